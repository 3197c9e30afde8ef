"""Every setting as people read about it, derived from where it is declared."""

from __future__ import annotations

import os
import textwrap
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, get_args, get_origin

from dotenv import dotenv_values
from pydantic import BaseModel, SecretStr

from cli.output import without_credentials
from heapline.settings import PREFIX, Settings, known_names

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pydantic.fields import FieldInfo

_MASK: Final = "********"
_UNITS: Final = ("seconds", "bytes", "events", "records")
_HARMLESS: Final = (
    "protocol",
    "mechanism",
    "mechanisms",
    "username",
    "location",
    "method",
    "algorithm",
    "verification",
    "suites",
    "url",
)
"""How librdkafka's sign-in settings end that are no secrets; all others are masked."""
_KINDS: Final[dict[Any, str]] = {
    bool: "true or false",
    int: "number",
    float: "number",
    Path: "path",
    SecretStr: "secret",
}
_WIDTH: Final = 96


class Origin(StrEnum):
    """Where a value comes from."""

    ENVIRONMENT = "environment"
    FILE = ".env"
    DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting.

    Attributes:
        name: of the environment variable.
        path: of fields from `Settings` to it.
        field: its declaration.
    """

    name: str
    path: tuple[str, ...]
    field: FieldInfo

    @property
    def default(self) -> Any:  # noqa: ANN401 -- settings are of any type
        """The default; None where there is none, or where it depends on the machine."""
        return None if self.field.default_factory else self.field.default

    @property
    def depends_on_machine(self) -> bool:
        """Whether the default is worked out when it is read."""
        return self.field.default_factory is not None

    @property
    def kind(self) -> str:
        """What its value is, with the unit: `seconds`, `number of events`, `us or eu`."""
        unit = next((each for each in _UNITS if self.path[-1].endswith(f"_{each}")), None)
        return unit or _kind(self.field.annotation)


def catalogue() -> Iterator[Setting]:
    """List every setting, in the order of declaration."""
    for name, section in known_names().items():
        path = tuple(name.removeprefix(PREFIX).lower().split("__"))
        yield Setting(name, path, section.model_fields[path[-1]])


def _kind(annotation: Any) -> str:  # noqa: ANN401 -- any type expression
    if get_origin(annotation) is Literal:
        return " or ".join(get_args(annotation))
    if get_origin(annotation) is list:
        return "JSON list"
    chosen = [each for each in get_args(annotation) if each is not type(None)] or [annotation]
    names = {
        bool: "true or false",
        int: "number",
        float: "number",
        Path: "path",
        SecretStr: "secret",
    }
    return names.get(chosen[0], "text")


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting's value in force, fit to be shown, and where it comes from."""

    name: str
    value: Any
    origin: Origin


def effective(settings: Settings) -> Iterator[Shown]:
    """List the values in force; secrets are masked, credentials in addresses too."""
    variables, file = _upper(os.environ), _upper(_dotenv())
    for setting in catalogue():
        value: Any = settings
        for part in setting.path:
            value = getattr(value, part)
        yield Shown(setting.name, showable(value), _origin(setting.name, variables, file))
    for key, value in settings.kafka.security().items():
        name = f"{PREFIX}KAFKA__{key.replace('.', '_').upper()}"
        harmless = key.rsplit(".", 1)[-1] in _HARMLESS
        yield Shown(name, value if harmless else _MASK, _origin(name, variables, file))


def showable(value: Any) -> Any:  # noqa: ANN401 -- settings are of any type
    """Turn a value into JSON's types, without secrets."""
    if isinstance(value, SecretStr):
        return _MASK if value.get_secret_value() else ""
    if isinstance(value, BaseModel):
        return {name: showable(getattr(value, name)) for name in type(value).model_fields}
    if isinstance(value, list):
        return [showable(each) for each in value]
    if isinstance(value, (str, Path)):
        return without_credentials(str(value))
    return value


def _origin(name: str, variables: Mapping[str, str], file: Mapping[str, str]) -> Origin:
    """An empty variable counts as not set; a section may be given whole, as JSON."""
    names = [name, name.rsplit("__", 1)[0]]
    if any(variables.get(each) for each in names):
        return Origin.ENVIRONMENT
    return Origin.FILE if any(file.get(each) for each in names) else Origin.DEFAULT


def _upper(variables: Mapping[str, str | None]) -> dict[str, str]:
    return {name.upper(): value for name, value in variables.items() if value}


def _dotenv() -> dict[str, str | None]:
    return dict(dotenv_values(".env")) if Path(".env").is_file() else {}


def example() -> Iterator[str]:
    """Give the lines of a `.env` file with every setting, each commented out at its default."""
    yield "# Settings of heapline. Take the # from a line to change what it says."
    yield "# Variables of the environment win over this file."
    section = ""
    for setting in catalogue():
        if setting.path[0] != section and len(setting.path) > 1:
            section = setting.path[0]
            yield from ("", f"# --- {section.replace('_', ' ')} ---")
        yield from ("", *_comment(setting), f"# {setting.name}={written_default(setting)}")
    yield from ("", *_KAFKA_SECURITY)


def _comment(setting: Setting) -> list[str]:
    default = (
        "worked out on this machine" if setting.depends_on_machine else written_default(setting)
    )
    text = f"{setting.field.description} ({setting.kind}; default: {default or 'none'})"
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="#   ")


def written_default(setting: Setting) -> str:
    """Write a default as the value of a variable; empty where there is none."""
    default = setting.default
    if default is None:
        return ""
    return str(default).lower() if isinstance(default, bool) else str(default)


_KAFKA_SECURITY: Final = (
    "# --- signing in to Kafka: any librdkafka setting that begins with security., sasl., ssl. ---",
    "# HEAPLINE_KAFKA__SECURITY_PROTOCOL=SASL_SSL",
    "# HEAPLINE_KAFKA__SASL_MECHANISM=SCRAM-SHA-512",
    "# HEAPLINE_KAFKA__SASL_USERNAME=heapline",
    "# HEAPLINE_KAFKA__SASL_PASSWORD=...",
)
