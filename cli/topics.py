"""`heapline topics`: Kafka's topics as the catalogue says."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli.output import ExitCode, print_findings, print_json, print_table
from heapline.settings import load_settings
from operations.topics import BROKER_DEFAULT, Plan, TopicAdministrator

app = typer.Typer(
    no_args_is_help=True,
    help="Create Kafka's topics, or tell where they are not as they should be.",
)

_Partitions = Annotated[
    int | None,
    typer.Option(
        min=1,
        max=10_000,
        help="Of each event topic. Final once created. Default: as they are, else 12.",
    ),
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def apply(
    partitions: _Partitions = None,
    replication_factor: Annotated[
        int,
        typer.Option(min=-1, max=32_767, help="Of topics created now. -1: the brokers' default."),
    ] = BROKER_DEFAULT,
    *,
    as_json: _Json = False,
) -> None:
    """Create missing topics and mend their settings.

    Changes nothing when a partition count would have to change.
    """
    done = TopicAdministrator(load_settings().kafka).apply(partitions, replication_factor)
    if as_json:
        print_json({"created": [asdict(each) for each in done.create], "altered": done.alter})
    else:
        _print_done(done)


@app.command()
def check(partitions: _Partitions = None, *, as_json: _Json = False) -> None:
    """Tell what is not as it should be; changes nothing. Exit code 1 if anything is."""
    findings = TopicAdministrator(load_settings().kafka).check(partitions)
    if as_json:
        print_json({"findings": [asdict(each) for each in findings]})
    elif findings:
        print_findings(findings)
    else:
        print("All topics are as they should be.")
    if findings:
        raise typer.Exit(ExitCode.FAILED)


def _print_done(done: Plan) -> None:
    if done.create:
        print_table(
            ("created", "partitions", "holds"),
            [(each.name, each.partitions, each.purpose) for each in done.create],
        )
    for topic, config in done.alter.items():
        print(f"{topic}: set {', '.join(f'{key}={value}' for key, value in config.items())}")
    if not done.create and not done.alter:
        print("All topics are as they should be.")
