"""`heapline demo`: the whole path on this machine, with made-up events and books that balance."""

from __future__ import annotations

import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, Final, Self

import typer
from rich.console import Console

from cli.output import ExitCode, print_json, tell
from devstack.demo.place import RAISED, Place, demo_folder, demo_world, kept_folder
from devstack.demo.report import (
    Running,
    limits_line,
    member_lines,
    next_lines,
    number_table,
)
from devstack.demo.run import DEFAULT_EVENTS, DEFAULT_SEED, FEWEST_EVENTS, Plan, run_demo
from devstack.demo.segment_report import answer_lines, segment_table
from devstack.demo.segments import show_segments
from devstack.programs import prepare
from devstack.progress import ConsoleReporter
from heapline.settings import load_settings

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.demo.segments import Answered
    from devstack.demo.verdict import Verdict

_MOST_EVENTS: Final = 10_000_000


def demo(
    *,
    events: Annotated[
        int, typer.Option(min=FEWEST_EVENTS, max=_MOST_EVENTS, help="How many to publish.")
    ] = DEFAULT_EVENTS,
    seed: Annotated[
        int, typer.Option(help="Another seed makes other events; the same one the same.")
    ] = DEFAULT_SEED,
    keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Leave all of it running, heapline and its console too, to look around. "
            "What an earlier --keep left is replaced.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """See all of it work on this machine, with made-up events, a real Kafka and a played Heap.

    Starts the embedded world, connects five workspaces, publishes events, forwards them, and shows
    what became of each. Then lets Heap sync segments of 50,000 users, and asks who is in them.
    Reads and changes nothing but what it starts itself. The first run fetches Kafka and the schema
    registry (about 200 MB), once for this person. Exit code 1 if any event was lost, or any answer
    is wrong.
    """
    err = Console(stderr=True, soft_wrap=True, highlight=False)
    dev = load_settings().dev
    kept_in = kept_folder(dev.data) if keep else None
    started = time.monotonic()
    programs = prepare(ConsoleReporter(err), base_url=dev.maven_url)
    try:
        with ConsoleSteps(err) as steps:
            steps.begin("Start Kafka, the schema registry and the Heap simulator")
            with demo_world(programs, kept_in) as world:
                place = Place.in_world(world)
                verdict = run_demo(place, Plan(events, seed), steps)
                with demo_folder(kept_in) as folder:
                    answered = show_segments(place, folder, steps, keep=keep)
                heap_url = world.heap_url
                steps.begin("Leave all of it running" if keep else "Stop everything")
    except KeyboardInterrupt:
        tell("Interrupted; everything the demo had started is stopped.")
        raise typer.Exit(ExitCode.INTERRUPTED) from None
    seconds = time.monotonic() - started
    where = Running(answered.console, heap_url)
    if as_json:
        found = _as_json(verdict, Plan(events, seed), seconds, kept_in)
        print_json({**found, "segments": asdict(answered)})
    else:
        _print(verdict, answered, seconds, next_lines(verdict, where, kept_in, seed))
    raise typer.Exit(exit_code(verdict, answered))


def exit_code(verdict: Verdict, answered: Answered) -> ExitCode:
    """Give 0 only if nothing was lost, doubled or left, and every question was answered right."""
    return ExitCode.DONE if verdict.ok and not answered.problems else ExitCode.FAILED


class ConsoleSteps:
    """Says each step on standard error: on a terminal it moves, elsewhere it is a line each."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._status = console.status("")
        self._what = ""
        self._since = time.monotonic()

    def begin(self, what: str) -> None:
        """See `devstack.demo.steps.Steps`."""
        self._done()
        self._what, self._since = what, time.monotonic()
        if self._console.is_terminal:
            self._status.update(what)
        else:
            self._say(f"{what} ...")

    def at(self, how_far: str) -> None:
        """See `devstack.demo.steps.Steps`."""
        self._status.update(f"{self._what}: {how_far}")

    def _done(self) -> None:
        if self._what and self._console.is_terminal:
            self._say(f"{self._what}  {time.monotonic() - self._since:.1f} s")
        self._what = ""

    def _say(self, line: str) -> None:
        self._console.print(line, markup=False)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._status.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._status.stop()
        if kind is None:
            self._done()


def _print(verdict: Verdict, answered: Answered, seconds: float, following: list[str]) -> None:
    out = Console(highlight=False)
    out.print()
    out.print("\n".join(member_lines(verdict)), markup=False, soft_wrap=True)
    out.print(number_table(verdict))
    out.print()
    published = sum(row.account.published for row in verdict.rows)
    out.print(
        f"{published:,} events, forwarded in {verdict.seconds:.1f} s; all of it took "
        f"{seconds:.0f} s. {limits_line()}",
        markup=False,
    )
    out.print(f"lost: {verdict.lost}", style="bold green" if verdict.ok else "bold red")
    if verdict.ok:
        out.print(
            "Every record of the topics has exactly one outcome, and Heap holds what was "
            "delivered, each event once."
        )
    for problem in verdict.problems:
        out.print(f"  {problem}", markup=False, soft_wrap=True)
    out.print()
    out.print(segment_table(answered))
    for line in answer_lines(answered):
        out.print(line, markup=False, soft_wrap=True)
    for problem in answered.problems:
        out.print(f"  {problem}", markup=False, soft_wrap=True, style="bold red")
    out.print("\nWhere to look next:")
    for line in following:
        out.print(line, markup=False, soft_wrap=True)


def _as_json(verdict: Verdict, plan: Plan, seconds: float, kept_in: Path | None) -> dict[str, Any]:
    return {
        **verdict.as_json(),
        "events": plan.events,
        "seed": plan.seed,
        "seconds": round(seconds, 3),
        "limits_raised_times": RAISED,
        "kept_in": None if kept_in is None else str(kept_in),
    }
