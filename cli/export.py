"""`heapline export`: what analysts read, as Parquet files."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from cli.output import print_json, print_table
from heapline.settings import load_settings
from state.asking import FileFormat, Query
from state.database import Engine
from state.errors import StateUnwritable
from state.folder import StateFolder
from state.replicas import open_replica
from state.views import VIEWS


def export(
    directory: Annotated[
        Path, typer.Argument(metavar="DIRECTORY", help="Made where it is missing.")
    ],
    only: Annotated[
        list[str] | None,
        typer.Option("--view", metavar="VIEW", help="This view alone; may be repeated."),
    ] = None,
    workspace: Annotated[
        str | None, typer.Option("--workspace", metavar="WORKSPACE", help="Of this one alone.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Write each view to DIRECTORY/VIEW.parquet, all from one moment.

    Files that are there already are replaced, each when its new one is complete.
    """
    chosen = _chosen(only)
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StateUnwritable(directory, str(error)) from error
    spill = Path(tempfile.gettempdir()) / "heapline-sql"
    folder = StateFolder(load_settings().state.directory)
    written: list[tuple[str, int, str]] = []
    with open_replica(folder, Engine(spill=spill)) as replica:
        for name in chosen:
            target = directory / f"{name}.parquet"
            rows = Query(replica, _asked(name, workspace)).write(target, FileFormat.PARQUET)
            written.append((name, rows, str(target)))
    titles = ("view", "rows", "file")
    if as_json:
        print_json({"files": [dict(zip(titles, each, strict=True)) for each in written]})
    else:
        print_table(titles, written)


def _chosen(only: list[str] | None) -> list[str]:
    names = [view.name for view in VIEWS]
    unknown = [each for each in only or () if each not in names]
    if unknown:
        raise typer.BadParameter(
            f"there is no view {unknown[0]}; there are {', '.join(names)}", param_hint="--view"
        )
    return [name for name in names if not only or name in only]


def _asked(view: str, workspace: str | None) -> str:
    has_workspaces = any(each.name == view and "workspace" in each.columns for each in VIEWS)
    if workspace is None or not has_workspaces:
        return f"FROM {view}"
    quoted = workspace.replace("'", "''")
    return f"FROM {view} WHERE workspace = '{quoted}'"
