"""`make chaos`: rounds of trouble for the forwarder on the real broker, each by its seed.

A round that fails prints its seed; `ARGS="--seed N"` runs that one again.
"""

from __future__ import annotations

import argparse
import io
import sys
import time
import traceback
from contextlib import redirect_stderr
from typing import TYPE_CHECKING, Final

from devstack.temporary import temporary_world
from tests.chaos.forwarder_plan import plan
from tests.chaos.forwarder_round import Round
from tests.on_kafka import said_of_markers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from devstack.world import World
    from tests.chaos.forwarder_plan import Plan

_ROUNDS: Final = 20
_FULL_ROUNDS: Final = 200
_LOG_CHARACTERS: Final = 20_000
_LONG_OUTAGE_SECONDS: Final = 600.0


def plans(options: argparse.Namespace) -> list[Plan]:
    """Choose the rounds."""
    if options.seed is not None:
        return [plan(options.seed)]
    count = options.rounds or (_FULL_ROUNDS if options.full else _ROUNDS)
    chosen = [plan(seed) for seed in range(options.first, options.first + count)]
    if options.full:
        chosen += [plan(seed, outage_seconds=_LONG_OUTAGE_SECONDS) for seed in (1_000, 1_001)]
    return chosen


def run(chosen: Sequence[Plan], world: World) -> int:
    """Run rounds; give how many failed."""
    failed = 0
    began = time.monotonic()
    for each in chosen:
        print(each, flush=True)
        said, broker_said = io.StringIO(), said_of_markers(world)
        try:
            with redirect_stderr(said):  # the members' logs: of interest only where it fails
                report = Round(world, each).run()
        except Exception:  # noqa: BLE001 -- the other rounds are to be run, too
            failed += 1
            print(said.getvalue()[-_LOG_CHARACTERS:])
            traceback.print_exc()
            if (newly_said := said_of_markers(world)) != broker_said:
                print(f"  {newly_said}: nothing can be concluded from this round")
            print(f'  FAILED; again with: make chaos ARGS="--seed {each.seed}"', flush=True)
            continue
        print(
            f"  well after {report.seconds:.0f} s: {report.events:,} events, "
            f"{report.duplicates:,} repeated, {report.rate_limited} answers of 429",
            flush=True,
        )
    minutes = (time.monotonic() - began) / 60
    print(f"{len(chosen) - failed} of {len(chosen)} rounds well, {minutes:.1f} minutes")
    return failed


def parser() -> argparse.ArgumentParser:
    """Make the command line's parser."""
    made = argparse.ArgumentParser(prog="make chaos", description=__doc__)
    made.add_argument("--full", action="store_true", help="200 rounds and the long outages")
    made.add_argument("--rounds", type=int, help="so many")
    made.add_argument("--first", type=int, default=0, help="the first seed")
    made.add_argument("--seed", type=int, help="only this one")
    made.add_argument("--hours", type=float, help="soak instead: one long run")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Run what the command line asks for; 1 if any round failed."""
    options = parser().parse_args(arguments)
    with temporary_world(servers=("kafka", "registry")) as world:
        if options.hours:
            from tests.chaos.forwarder_soak import soak  # noqa: PLC0415 -- seldom wanted

            return soak(world, options.hours)
        return int(run(plans(options), world) > 0)


if __name__ == "__main__":
    sys.exit(main())
