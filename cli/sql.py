"""`heapline sql`: questions to the newest replica, in SQL."""

from __future__ import annotations

import csv
import sys
import tempfile
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import Annotated, Final

import typer

from cli.output import print_table, tell
from heapline.settings import load_settings
from state.asking import FileFormat, Query
from state.database import Engine
from state.errors import StoreMissing
from state.folder import StateFolder
from state.replicas import open_replica

_TABLE_ROWS: Final = 1_000


class Shown(StrEnum):
    """How a result is shown."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


def sql(
    query: Annotated[
        str | None,
        typer.Argument(metavar="QUERY", help="One query that gives rows, or - for standard input."),
    ] = None,
    shown: Annotated[Shown, typer.Option("--format", help="Parquet needs --output.")] = Shown.TABLE,
    output: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="Write there; the ending tells the format."),
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="As --format json.")] = False,
    path: Annotated[
        bool, typer.Option("--path", help="Print the file for tools of your own, and end.")
    ] = False,
) -> None:
    """Ask memberships, their history and outcomes in SQL; nothing can be changed.

    Reads the newest replica on this machine. Start with: SHOW TABLES, DESCRIBE membership, FROM
    about.
    """
    folder = StateFolder(load_settings().state.directory)
    if path:
        print(_existing(folder))
        return
    if query is None:
        raise typer.BadParameter("say what to ask, for example 'FROM about'", param_hint="QUERY")
    text = sys.stdin.read() if query == "-" else query
    chosen = Shown.JSON if as_json else _by_ending(output, shown)
    if chosen is Shown.PARQUET and output is None:
        raise typer.BadParameter("parquet is written to a file only", param_hint="--output")
    spill = Path(tempfile.gettempdir()) / "heapline-sql"
    with open_replica(folder, Engine(spill=spill)) as replica:
        asked = Query(replica, text)
        if output is None:
            _show(asked, chosen)
        else:
            rows = asked.write(output, FileFormat(chosen))
            tell(f"{rows:,} rows in {output}")


def _existing(folder: StateFolder) -> Path:
    if not folder.analyst.exists():
        raise StoreMissing(folder.analyst)
    return folder.analyst


def _by_ending(output: Path | None, shown: Shown) -> Shown:
    """Choose by the file's ending where no format is named."""
    if output is None or shown is not Shown.TABLE:
        return shown
    ending = output.suffix.removeprefix(".").lower()
    if ending not in set(FileFormat):
        raise typer.BadParameter(
            f"end its name in .csv, .json or .parquet, or name a --format; not {output.name}",
            param_hint="--output",
        )
    return Shown(ending)


def _show(asked: Query, shown: Shown) -> None:
    if shown is Shown.JSON:
        _print_objects(asked)
    elif shown is Shown.CSV:
        lines = csv.writer(sys.stdout, lineterminator="\n")
        lines.writerow(asked.columns)
        lines.writerows(asked.rows())
    else:
        rows = list(asked.rows(_TABLE_ROWS + 1))
        print_table(asked.columns, rows[:_TABLE_ROWS])
        if len(rows) > _TABLE_ROWS:
            tell(f"Only the first {_TABLE_ROWS:,} rows; --format csv gives all.")


def _print_objects(asked: Query) -> None:
    objects = asked.objects()
    print("[" + next(objects, ""), end="")
    for each in islice(objects, 0, None):
        print(",\n" + each, end="")
    print("]")
