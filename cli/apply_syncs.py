"""`heapline apply-syncs`: turn Heap's segment pages into memberships."""

from __future__ import annotations

from typing import Annotated

import typer

from cli.forward import Stop
from cli.output import print_json
from consumers.segment_sync.run import apply_syncs as run
from heapline.settings import load_settings


def apply_syncs(
    *,
    until_caught_up: Annotated[
        bool,
        typer.Option(
            "--until-caught-up", help="End once all pages there at the start are applied."
        ),
    ] = False,
    accept_loss: Annotated[
        bool,
        typer.Option(
            "--accept-loss", help="Go on although the log no longer holds pages never read."
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Apply the pages that Heap's webhook took in: who entered and who left which segment.

    Exactly once, whatever is duplicated, late, or killed meanwhile. Start more of them to share the
    work, each with its own HEAPLINE_INSTANCE_ID. Ctrl-C or SIGTERM ends it gracefully.
    """
    done = run(load_settings(), Stop(), until_caught_up=until_caught_up, accept_loss=accept_loss)
    if as_json:
        print_json({"pages": done.pages, "changes": done.changes})
    else:
        print(f"{done.pages:,} pages applied: {done.changes:,} memberships written")
