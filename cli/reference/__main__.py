"""`python -m cli.reference`: write `docs/reference/` anew; `make reference` calls it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from cli.reference.asyncapi import asyncapi_reference
from cli.reference.commands import command_reference
from cli.reference.metrics import metric_reference
from cli.reference.openapi import openapi_reference
from cli.reference.settings import setting_reference
from cli.reference.topics import topic_reference

FOLDER: Final = Path(__file__).resolve().parents[2] / "docs" / "reference"


def documents() -> dict[str, str]:
    """Give the text of every file of the reference, by its name."""
    return {
        "openapi.json": openapi_reference(),
        "asyncapi.json": asyncapi_reference(),
        "topics.md": topic_reference(),
        "settings.md": setting_reference(),
        "commands.md": command_reference(),
        "metrics.md": metric_reference(),
    }


def main() -> None:
    """Write them."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, text in documents().items():
        (FOLDER / name).write_text(text, "utf-8")
        print(f"wrote {FOLDER / name}")


if __name__ == "__main__":
    main()
