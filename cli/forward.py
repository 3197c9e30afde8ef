"""`heapline forward`: deliver events to Heap."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cli.output import print_json, print_table

if TYPE_CHECKING:
    from types import FrameType

    from consumers.forwarder.dry_run import Forecast
    from consumers.forwarder.totals import Totals


class Stop:
    """Asked by the loop whether to end; set by Ctrl-C and SIGTERM, a second one ends at once."""

    def __init__(self) -> None:
        self._asked = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._on_signal)

    def __call__(self) -> bool:
        """Whether to end."""
        return self._asked

    def _on_signal(self, number: int, _frame: FrameType | None) -> None:
        if self._asked:
            raise SystemExit(128 + number)
        self._asked = True


def forward(
    *,
    until_caught_up: Annotated[
        bool,
        typer.Option(
            "--until-caught-up",
            help="End once every event there at the start is delivered, skipped, dead-lettered "
            "or deferred, and so is what was deferred or replayed and due.",
        ),
    ] = False,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss",
            help="Go on although the log no longer holds events that were never read.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Say what would be sent and how long it would take."),
    ] = False,
    show: Annotated[
        int,
        typer.Option(min=0, help="With --dry-run: print so many events as Heap would get them."),
    ] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print the summary as JSON.")] = False,
) -> None:
    """Deliver events from Kafka to Heap, within Heap's limits, losing nothing.

    Runs until Ctrl-C; a second Ctrl-C ends at once. Several processes with different
    HEAPLINE_INSTANCE_ID share the work.
    """
    from heapline.many_records import expect_many_records  # noqa: PLC0415 -- as below

    expect_many_records()  # importing makes many objects, too
    from consumers.forwarder.run import forward as run  # noqa: PLC0415 -- `--help` stays quick
    from heapline.settings import load_settings  # noqa: PLC0415 -- as above

    settings = load_settings()
    stop = Stop()
    if dry_run:
        from consumers.forwarder.dry_run import dry_run as forecast  # noqa: PLC0415 -- as above

        _print_forecast(forecast(settings, stop, show=show), as_json=as_json)
        return
    totals = run(settings, stop, until_caught_up=until_caught_up, accept_loss=accept_loss)
    _print_totals(totals, as_json=as_json)


def _print_totals(totals: Totals, *, as_json: bool) -> None:
    from consumers.forwarder.totals import advice  # noqa: PLC0415 -- see `forward`

    lines: list[dict[str, Any]] = [
        {
            "workspace": workspace,
            "outcome": outcome,
            "reason": reason,
            "events": count,
            "to_change_it": advice(workspace, reason),
        }
        for (workspace, outcome, reason), count in sorted(totals.outcomes.items())
    ]
    if as_json:
        requests = {str(verdict): count for verdict, count in totals.requests.items()}
        print_json({"outcomes": lines, "requests": requests, "seconds": round(totals.seconds, 3)})
        return
    if not lines:
        print("no events were settled")
        return
    print_table(
        ["workspace", "outcome", "reason", "events"],
        [[x["workspace"], x["outcome"], x["reason"], x["events"]] for x in lines],
    )
    print(f"{totals.settled()} events in {totals.seconds:.1f} s")
    for line in lines:
        if line["to_change_it"]:
            print(f"{line['workspace']}, {line['reason']}: {line['to_change_it']}")


def _print_forecast(forecast: Forecast, *, as_json: bool) -> None:
    plain = forecast.as_json()
    if as_json:
        print_json(plain)
        return
    print_table(
        ["workspace", "would send", "seconds at Heap's limits", "would not send"],
        [
            [
                workspace,
                share["would_send"],
                share["seconds_at_limits"],
                ", ".join(f"{reason}: {n}" for reason, n in share["would_not_send"].items()),
            ]
            for workspace, share in plain["workspaces"].items()
        ],
    )
    for example in plain["examples"]:
        print(example)
