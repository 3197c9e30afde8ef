"""`heapline run`: all roles in one process."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, NoReturn

from cli.roles import Role, Roles
from cli.serve import application, possible
from consumers.forwarder.run import forward
from consumers.materializer.readiness import Readiness
from consumers.materializer.run import materialize
from consumers.segment_sync.run import apply_syncs
from heapline.settings import load_settings
from heapline.telemetry.logs import configure_logs
from web.app import PARTS
from web.server import address_of, listen
from web.server import run as run_server

if TYPE_CHECKING:
    from types import FrameType


def run() -> None:
    """Serve everything over HTTP, deliver events, and keep segments up to date, in one process.

    The same as `heapline serve`, `forward`, `apply-syncs` and `materialize` side by side, for small
    installations. SIGTERM or Ctrl-C ends all gracefully.
    """
    settings = load_settings()
    configure_logs(settings.log)
    memberships = Readiness()
    roles = Roles(
        Role("forward", lambda stopping: forward(settings, stopping)),
        Role("apply-syncs", lambda stopping: apply_syncs(settings, stopping)),
        Role("materialize", lambda stop: materialize(settings, stop, readiness=memberships)),
    )
    with listen(settings.web) as listening:
        parts = possible(PARTS, settings)
        print(
            f"heapline runs, and serves {', '.join(parts)} on {address_of(listening)}", flush=True
        )
        checks = {"memberships": memberships}
        app = application(settings, settings.web, parts, more_checks=checks)
        try:
            signal.signal(signal.SIGTERM, _end_early)
            roles.start()
            run_server(app, listening, on_stopping=roles.stop)
        finally:
            roles.join()


def _end_early(_number: int, _frame: FrameType | None) -> NoReturn:
    """End in good order before the server listens to signals, as when a role cannot start."""
    raise SystemExit(0)
