"""Every setting, as a page."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Final

from cli.reference.markdown import code, table
from cli.setting_catalogue import catalogue, written_default
from heapline.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.setting_catalogue import Setting

_HEAD: Final = """# Settings

Read from the environment and from a file `.env` in the working folder; the environment wins. An
unknown name is an error that names the nearest right one. Lists are written as JSON. `heapline
config show` shows what is in force, `heapline config example` prints a `.env` file with all of
them, `heapline config validate` checks them. Made from the code by `make reference`.
"""
_SIGN_IN: Final = """
Any of librdkafka's settings that begin with `security.`, `sasl.`, `ssl.`, `enable.ssl.` or `https.`
may be given too, with `.` written as `_`: `HEAPLINE_KAFKA__SASL_USERNAME` becomes `sasl.username`.
"""


def setting_reference() -> str:
    """Give the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from _HEAD.splitlines()
    by_section = sorted(catalogue(), key=lambda each: len(each.path) > 1)
    for section, settings in groupby(by_section, lambda each: each.path[:-1]):
        yield ""
        yield f"## {_title(section)}"
        yield ""
        titles = ("variable", "value", "default", "meaning")
        yield from table(titles, [_row(each) for each in settings])
        if section == ("kafka",):
            yield from _SIGN_IN.splitlines()


def _title(section: tuple[str, ...]) -> str:
    if not section:
        return "All roles"
    declared = Settings.model_fields[section[0]].annotation
    summary = (getattr(declared, "__doc__", "") or "").strip().splitlines()[0].rstrip(".")
    return f"{section[0].replace('_', ' ').capitalize()}: {summary}"


def _row(setting: Setting) -> tuple[str, ...]:
    worked_out = "worked out on this machine"
    default = worked_out if setting.depends_on_machine else code(written_default(setting)) or "none"
    return code(setting.name), setting.kind, default, setting.field.description or ""
