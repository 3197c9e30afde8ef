"""The simulated Heap as one thing: its model, its faults and its memory of requests."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING
from uuid import uuid4

from devstack.heap_simulator.deletion_endpoints import DeletionModel
from devstack.heap_simulator.fault_board import FaultBoard
from devstack.heap_simulator.ledger import Ledger
from devstack.heap_simulator.limits import Limits
from devstack.heap_simulator.model import HeapModel
from devstack.heap_simulator.oauth_model import PartnerOAuth
from devstack.heap_simulator.partner_app import PartnerApp
from devstack.heap_simulator.request_log import RequestLog
from devstack.heap_simulator.segment_model import Segments

if TYPE_CHECKING:
    from collections.abc import Mapping

    from heapline.clock import Clock

KEEP_PAYLOADS = 200_000
"""How many accepted events are kept whole unless said otherwise: about 100 MB of usual events."""

DEFAULT_LIMITS = Limits()

DEFAULT_PARTNER_APP = PartnerApp()

ENVIRONMENTS = {"3100100101": "Production", "3100100909": "Development"}
"""What the authorize page offers unless said otherwise: names by environment id."""

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class SimulatorSettings:
    """How a simulator starts.

    Attributes:
        limits: may be changed later over HTTP.
        only_apps: the app ids that exist; None means every app id does.
        keep_payloads: how many accepted events the ledger keeps whole.
        seed: of the random numbers that faults draw.
        explain: name the broken rule in a header of refusals.
        max_body_bytes: larger bodies are answered 413 before they have arrived whole.
        keep_alive_seconds: how long an idle connection is kept open.
        partner_app: may be changed later over HTTP.
        environments: names by environment id; may be changed later over HTTP.
    """

    limits: Limits = DEFAULT_LIMITS
    only_apps: frozenset[str] | None = None
    keep_payloads: int = KEEP_PAYLOADS
    seed: int = 0
    explain: bool = False
    max_body_bytes: int = 16 * MEBIBYTE
    keep_alive_seconds: float = 75.0
    partner_app: PartnerApp = DEFAULT_PARTNER_APP
    environments: Mapping[str, str] = field(default_factory=ENVIRONMENTS.copy)


class SimulatedHeap:
    """All state behind the endpoints."""

    def __init__(self, settings: SimulatorSettings, clock: Clock) -> None:
        self.clock = clock
        self.explain = settings.explain
        self.faults = FaultBoard(Random(settings.seed))
        self._keep_payloads = settings.keep_payloads
        self.model = HeapModel(
            settings.limits,
            Ledger(keep_payloads=settings.keep_payloads),
            only_apps=settings.only_apps,
        )
        self.requests = RequestLog()
        self.oauth = PartnerOAuth(
            settings.partner_app, dict(settings.environments), lambda: str(uuid4())
        )
        self.spoilt_oauth: dict[str, int] = {}
        self.segments = Segments()
        self.deletions = DeletionModel()
        self.schedule_ahead_seconds = 0.0

    def schedule_now(self) -> float:
        """Give the time that recurring syncs go by, in monotonic seconds."""
        return self.clock.monotonic() + self.schedule_ahead_seconds

    def forget(self) -> None:
        """Forget all that was sent, as on a fresh start; what was set stays."""
        ledger = Ledger(keep_payloads=self._keep_payloads)
        self.model = HeapModel(self.model.limits, ledger, only_apps=self.model.only_apps)
        self.requests = RequestLog()
