"""`heapline dev heap-allow`: click Allow on the simulated Heap's page."""

from __future__ import annotations

from pathlib import Path  # noqa: TC003 -- typer reads it when the command is made
from typing import Annotated

import typer

from cli.heap_sync import simulator_url
from cli.output import tell
from devstack.browser import allow
from devstack.heap_simulator import SimulatorClient


def heap_allow(
    link: Annotated[str, typer.Argument(help="As `heapline connections invite` prints it.")],
    environment: Annotated[
        str, typer.Option(help="Heap environment. Default: the first that the page offers.")
    ] = "",
    data: Annotated[
        Path | None, typer.Option("--data", metavar="FOLDER", help="See `heapline dev up`.")
    ] = None,
) -> None:
    """Open an invitation's link and click Allow at the simulated Heap, as in a browser.

    For machines without one, and for scripts. Where the workspace is connected already it stays
    with its environment.
    """
    page = allow(link, SimulatorClient(simulator_url(data)), environment)
    print(page)
    tell("Allowed. That page says what to do in Heap; here: `heapline dev heap-sync`.")
