"""`heapline config`: the settings, in force and as they are meant."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import orjson
import typer

from cli.output import print_json, print_table
from cli.setting_catalogue import Origin, effective, example
from heapline.settings import Settings, load_settings

app = typer.Typer(no_args_is_help=True, help="Show, check and describe the settings.")

_Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command()
def show(*, as_json: _Json = False) -> None:
    """Show the settings in force and where each comes from; secrets are masked."""
    shown = list(effective(load_settings()))
    if as_json:
        print_json({"settings": [asdict(each) for each in shown]})
    else:
        rows = [(each.name, _text(each.value), each.origin) for each in shown]
        print_table(("setting", "value", "from"), rows)


@app.command()
def validate() -> None:
    """Check the settings; exit code 2 and a line for each problem if they are not valid."""
    given = [each for each in effective(load_settings()) if each.origin is not Origin.DEFAULT]
    print(f"The settings are valid; {len(given)} are set, the others have their defaults.")


@app.command("example")
def print_example() -> None:
    """Print a .env file with every setting, its unit, default and meaning."""
    print("\n".join(example()))


@app.command()
def schema() -> None:
    """Print the JSON Schema of the settings."""
    described = Settings.model_json_schema()
    print(orjson.dumps(described, option=orjson.OPT_INDENT_2).decode())


def _text(value: object) -> str:
    if value is None or isinstance(value, bool):
        return {None: "-", True: "true", False: "false"}[value]
    return orjson.dumps(value).decode() if isinstance(value, list) else str(value)
