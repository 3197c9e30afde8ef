"""`heapline state`: look after this machine's store of memberships."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from pathlib import Path  # noqa: TC003 -- typer reads it when the command is made
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.forward import Stop
from cli.output import ExitCode, print_json, tell
from heapline.clock import SystemClock
from heapline.errors import CallerMistake
from heapline.settings import load_settings
from state.folder import StateFolder

if TYPE_CHECKING:
    from consumers.materializer.progress import Report
    from state.backup import Backup

app = typer.Typer(
    no_args_is_help=True,
    help="Look after this machine's store of memberships: one DuckDB file, and an index made "
    "from it. What is to be written needs `heapline materialize` to be stopped first.",
)
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_MEGABYTE = 1_000_000


@app.command("verify")
def verify(*, as_json: _Json = False) -> None:
    """Compare memberships with their history, and the index with both.

    Works beside a running materializer, on its newest copy, and without one. Exit code 1: something
    is wrong; what to do is said.
    """
    from state.verify import verify_folder  # noqa: PLC0415 -- `--help` stays quick

    verdict = verify_folder(_folder(), SystemClock())
    if as_json:
        print_json({"ok": not verdict.problems, **asdict(verdict)})
    else:
        print(
            f"version {verdict.version}: {verdict.memberships:,} memberships of "
            f"{verdict.users:,} users in {verdict.segments:,} segments, {verdict.changes:,} "
            "enters and leaves"
        )
        for problem in verdict.problems:
            print(f"  {problem}")
    if verdict.problems:
        _advise(verdict.problems)
        raise typer.Exit(ExitCode.FAILED)
    if not as_json:
        print("all is well" if verdict.index_version else "all is well; there is no index yet")


def _advise(problems: list[str]) -> None:
    if all(each.startswith("index:") for each in problems):
        tell(
            "Only the index is wrong: stop `heapline materialize`, remove the folder "
            f"{_folder().index}, and start it again; it makes the index anew from the store."
        )
    else:
        tell(
            "Stop `heapline materialize`, then bring a backup back with `heapline state restore`, "
            "or read everything again with `heapline state rebuild`."
        )


@app.command("rebuild")
def rebuild(*, as_json: _Json = False) -> None:
    """Build the store anew from Kafka, and the index from it; the history is carried over.

    The old store answers until the new one is whole. For a store that is damaged or that may lack
    something. Stop `heapline materialize` first.
    """
    from cli.materialize import print_totals  # noqa: PLC0415 -- see `verify`
    from consumers.materializer.run import materialize  # noqa: PLC0415 -- see `verify`

    totals = materialize(
        load_settings(),
        Stop(),
        until_caught_up=True,
        rebuild_because="it was asked for",
        on_progress=_tell_progress,
    )
    print_totals(totals, as_json=as_json)


def _tell_progress(report: Report) -> None:
    left = "" if report.seconds_left is None else f", {report.seconds_left:.0f} s left"
    tell(f"{report.percent:.0f} %, {report.records_per_second:,.0f} records/s{left}")


@app.command("shrink")
def shrink(*, as_json: _Json = False) -> None:
    """Write the store's file anew: in order, and without what deletes left behind.

    Takes room for a second file meanwhile. Stop `heapline materialize` first.
    """
    from state.rewriting import shrink as run  # noqa: PLC0415 -- see `verify`
    from state.store import Store  # noqa: PLC0415 -- see `verify`

    folder = _existing()
    now_ms = SystemClock().epoch_ms()
    with Store(folder, now_ms) as store:
        before, after = run(store, now_ms)
    if as_json:
        print_json({"bytes_before": before, "bytes_after": after})
    else:
        print(f"{folder.store}: {_megabytes(before)} before, {_megabytes(after)} now")


@app.command("backup")
def backup(
    target: Annotated[Path, typer.Argument(metavar="FILE", help="To be written; must not exist.")],
    *,
    as_json: _Json = False,
) -> None:
    """Write a backup: one DuckDB file with everything, the history too.

    Works beside a running materializer (then it is as new as its newest copy) and without one.
    """
    from state.backup import back_up  # noqa: PLC0415 -- see `verify`

    _print_backup(back_up(_folder(), target), "backed up to", as_json=as_json)


@app.command("restore")
def restore(
    source: Annotated[Path, typer.Argument(metavar="FILE", help="A backup.")],
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Replace the store that stands there, without asking.")
    ] = False,
    as_json: _Json = False,
) -> None:
    """Let a backup be the store; the next start reads on from where the backup was.

    The backup is looked through first. Stop `heapline materialize` before.
    """
    from state.backup import restore as run  # noqa: PLC0415 -- see `verify`

    folder = _folder()
    if folder.store.exists() and not yes:
        typer.confirm(f"Replace {folder.store}?", abort=True, err=True)
    folder.create()
    restored = run(folder, source, SystemClock().epoch_ms())
    # Built anew by the next start; until then there would be answers of another time.
    shutil.rmtree(folder.index, ignore_errors=True)
    _print_backup(restored, "restored to", as_json=as_json)


def _print_backup(done: Backup, what: str, *, as_json: bool) -> None:
    if as_json:
        plain: dict[str, Any] = {**asdict(done), "path": str(done.path)}
        print_json(plain)
    else:
        print(
            f"{what} {done.path}: {done.memberships:,} memberships, {done.changes:,} enters and "
            f"leaves, {_megabytes(done.size_bytes)}"
        )


def _folder() -> StateFolder:
    return StateFolder(load_settings().state.directory)


def _existing() -> StateFolder:
    folder = _folder()
    if not folder.store.exists():
        raise CallerMistake(f"{folder.store} does not exist; `heapline materialize` makes it")
    return folder


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / _MEGABYTE:,.1f} MB"
