"""`heapline materialize`: keep this machine's memberships current."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from cli.forward import Stop
from cli.output import print_json

if TYPE_CHECKING:
    from consumers.materializer.totals import Totals


def materialize(
    *,
    until_caught_up: Annotated[
        bool,
        typer.Option(
            "--until-caught-up",
            help="End once everything that stood in Kafka at the start can be looked up.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Bring segment memberships from Kafka into this machine's store and index.

    Lookups (`heapline serve`, `heapline lookup`, the library) read what this writes, on the same
    machine. One process writes a state folder. Runs until Ctrl-C; a second Ctrl-C ends at once.
    """
    from consumers.materializer.run import materialize as run  # noqa: PLC0415 -- `--help` is quick
    from heapline.settings import load_settings  # noqa: PLC0415 -- as above

    settings = load_settings()
    print_totals(run(settings, Stop(), until_caught_up=until_caught_up), as_json=as_json)


def print_totals(totals: Totals, *, as_json: bool) -> None:
    """Print what a materializer did."""
    from dataclasses import asdict  # noqa: PLC0415 -- see `materialize`

    if as_json:
        print_json({**asdict(totals), "seconds": round(totals.seconds, 3)})
        return
    if totals.rebuilt is not None:
        print(f"the store was built from the topics: {totals.rebuilt}")
    print(
        f"{totals.records:,} membership records applied ({totals.changes:,} entered or left), "
        f"{totals.rows:,} segment rows, {totals.outcomes:,} outcome counts in "
        f"{totals.seconds:.1f} s"
    )
