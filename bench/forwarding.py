"""One forwarder in a process of its own, which measures itself: `python -m bench.forwarding`.

Settings come from the environment. Prints one line of JSON at the end, see `Forwarding`.
"""

from __future__ import annotations

import argparse
import signal
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

import orjson

from bench.reading import Reading, peak_resident_bytes, resident_bytes
from heapline.many_records import expect_many_records

if TYPE_CHECKING:
    from types import FrameType

    from consumers.forwarder.totals import Totals


@dataclass(frozen=True, slots=True)
class Forwarding:
    """What one run came to.

    Attributes:
        imported: when all modules were there.
        first: the turn of the loop in which the first request was sent, or the last turn.
        last: the last turn: everything was settled and checkpointed.
        ended: the group was left.
        idle_bytes: memory held before the first event came.
        peak_bytes: the most memory held.
        outcomes: records by outcome, and deferred ones by reason.
        deferred_again: of these, how many had been deferred before.
        requests: requests by verdict.
    """

    imported: Reading
    first: Reading
    last: Reading
    ended: Reading
    idle_bytes: int
    peak_bytes: int
    outcomes: dict[str, int]
    deferred_again: int
    requests: dict[str, int]


class Watch:
    """Asked by the loop once a turn whether to end; notes the time by the way."""

    def __init__(self) -> None:
        self.last = Reading.now()
        self.first: Reading | None = None
        self.idle_bytes = resident_bytes()
        self._asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)

    def __call__(self) -> bool:
        """Whether to end."""
        if self.first is None:
            if _requests_sent():
                self.first = self.last
            else:
                self.idle_bytes = resident_bytes()
        self.last = Reading.now()
        return self._asked

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self._asked = True


def _requests_sent() -> bool:
    from heapline.telemetry import metrics  # noqa: PLC0415 -- see `main`

    families = metrics.HEAP_REQUEST_EVENTS.collect()
    return any(s.name.endswith("_count") and s.value for f in families for s in f.samples)


def _outcomes(totals: Totals) -> dict[str, int]:
    outcomes: dict[str, int] = {}
    for (_, outcome, reason), count in sorted(totals.outcomes.items()):
        kind = f"{outcome} {reason}".strip()
        outcomes[kind] = outcomes.get(kind, 0) + count
    return outcomes


def _deferred_again() -> int:
    from heapline.telemetry import metrics  # noqa: PLC0415 -- see `main`

    families = metrics.RECORDS_SETTLED.collect()
    return sum(
        int(sample.value)
        for family in families
        for sample in family.samples
        if sample.name.endswith("_total")
        and sample.labels["source"] != "events"
        and sample.labels["outcome"] == "deferred"
    )


def main() -> None:
    """Forward and print what it took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--until-caught-up", action="store_true")
    until_caught_up = parser.parse_args().until_caught_up
    expect_many_records()
    # Imported here, as `heapline forward` does.
    from consumers.forwarder.run import forward  # noqa: PLC0415
    from heapline.settings import load_settings  # noqa: PLC0415
    from heapline.telemetry.logs import configure_logs  # noqa: PLC0415

    imported = Reading.now()
    settings = load_settings()
    configure_logs(settings.log)
    watch = Watch()
    totals = forward(settings, watch, until_caught_up=until_caught_up)
    run = Forwarding(
        imported,
        watch.first or watch.last,
        watch.last,
        Reading.now(),
        watch.idle_bytes,
        peak_resident_bytes(),
        _outcomes(totals),
        _deferred_again(),
        {str(verdict): count for verdict, count in totals.requests.items()},
    )
    sys.stdout.buffer.write(orjson.dumps(asdict(run)) + b"\n")


if __name__ == "__main__":
    main()
