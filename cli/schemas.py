"""`heapline schemas`: the Avro contracts in the schema registry."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from cli.output import ExitCode, print_findings, print_json, print_table
from heapline.kafka.registry import Registry
from heapline.kafka.topics import Names
from heapline.settings import load_settings
from operations import schemas

app = typer.Typer(
    no_args_is_help=True,
    help="Register the Avro contracts, or tell where the registry has something else.",
)

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def register(*, as_json: _Json = False) -> None:
    """Register every contract, with compatibility FULL_TRANSITIVE.

    Registers nothing when one of them would not be compatible with what is there.
    """
    settings = load_settings()
    with Registry(settings.schema_registry) as opened:
        registered = schemas.register(opened, Names(settings.kafka.prefix))
    if as_json:
        print_json({"schemas": [asdict(each) for each in registered]})
    else:
        print_table(
            ("subject", "contract", "id", ""),
            [(each.subject, each.name, each.schema_id, each.did) for each in registered],
        )


@app.command()
def check(*, as_json: _Json = False) -> None:
    """Tell what is not as it should be; changes nothing. Exit code 1 if anything is."""
    settings = load_settings()
    with Registry(settings.schema_registry) as opened:
        findings = schemas.check(opened, Names(settings.kafka.prefix))
    if as_json:
        print_json({"findings": [asdict(each) for each in findings]})
    elif findings:
        print_findings(findings)
    else:
        print("All contracts are registered as they should be.")
    if findings:
        raise typer.Exit(ExitCode.FAILED)
