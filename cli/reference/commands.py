"""Every command with its options, as a page."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Final

from cli.main import MOUNTS, load_command
from cli.reference.markdown import code, table

if TYPE_CHECKING:
    from collections.abc import Iterator

_HEAD: Final = """# Commands

`heapline COMMAND --help` says the same on a terminal. Exit codes: 0 done, 1 failed, 2 usage or
settings, 3 done but some items were set aside. Results go to standard output, everything said
about them to standard error. Made from the code by `make reference`.
"""


def command_reference() -> str:
    """Give the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from _HEAD.splitlines()
    yield ""
    yield from table(("command", "what it does"), [(_link(m.name), m.summary) for m in MOUNTS])
    for mount in MOUNTS:
        yield from _command(load_command(mount), f"heapline {mount.name}", 2)


def _link(name: str) -> str:
    return f"[`heapline {name}`](#heapline-{name})"


def _command(command: Any, name: str, level: int) -> Iterator[str]:  # noqa: ANN401 -- typer keeps its command classes private
    yield from ("", f"{'#' * level} {name}", "")
    context = command.context_class(command, info_name=name)
    yield from inspect.cleandoc(command.help or "").splitlines()
    inner = getattr(command, "commands", None)
    if inner is not None:
        for own_name, own in inner.items():
            yield from _command(own, f"{name} {own_name}", level + 1)
        return
    usage = " ".join(command.collect_usage_pieces(context))
    yield from ("", code(f"{name} {usage}"))
    shown = [each for each in command.params if not getattr(each, "hidden", False)]
    rows = [_row(each, context) for each in shown]
    if rows:
        yield from ("", *table(("option", "default", "meaning"), rows))


def _row(parameter: Any, context: Any) -> tuple[str, str, str]:  # noqa: ANN401 -- as above
    name = parameter.opts[0]
    if name.startswith("-"):
        name = parameter.get_help_record(context)[0]
    else:
        name = parameter.metavar or name.upper()
    return code(" ".join(name.split())), _default(parameter), parameter.help or ""


def _default(parameter: Any) -> str:  # noqa: ANN401 -- as above
    if parameter.required:
        return "required"
    default = parameter.default
    if default is None or default is False or callable(default) or default in ((), []):
        return ""
    return code(str(default))
