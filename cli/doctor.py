"""`heapline doctor`: is everything there that heapline needs?"""

from __future__ import annotations

from dataclasses import asdict
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Final

import typer

from cli.output import ExitCode, print_json
from cli.plain_text import printable
from heapline.clock import SystemClock
from heapline.errors import InvalidSetting
from heapline.settings import load_settings
from operations.doctor import Level, Result, examine
from operations.examination import DEADLINE_SECONDS, Examination

if TYPE_CHECKING:
    from collections.abc import Sequence

_WIDTH: Final = max(map(len, Level))
_COLOURS: Final = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "red", Level.SKIPPED: None}


def doctor(*, as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False) -> None:
    """Check settings, Kafka, registry, topics, schemas, connections, Heap, and this machine.

    Changes nothing and sends nothing. Exit code 1 if anything fails; each failure says how to mend
    it.
    """
    results = _results()
    if as_json:
        print_json({"results": [asdict(each) for each in results]})
    else:
        for each, following in zip_longest(results, results[1:]):
            _print(each, fix_follows=following is not None and following.fix == each.fix)
    if any(each.level is Level.FAIL for each in results):
        raise typer.Exit(ExitCode.FAILED)


def _results() -> Sequence[Result]:
    try:
        settings = load_settings()
    except InvalidSetting as error:
        fix = "see `heapline config example`"
        lines = str(error).splitlines()
        return [Result("settings", Level.FAIL, line, fix) for line in lines]
    examination = Examination(settings)
    try:
        return examine(examination.checks(), DEADLINE_SECONDS, SystemClock())
    finally:
        examination.http.close()


def _print(result: Result, *, fix_follows: bool) -> None:
    level = typer.style(result.level.ljust(_WIDTH), fg=_COLOURS[result.level])
    typer.echo(f"{level}  {result.check:<12} {printable(result.detail)}")
    if result.fix and not fix_follows:
        typer.echo(f"{'':<{_WIDTH}}  {'':<12}   {printable(result.fix)}")
