"""An HTTP server that plays Heap as its contract says, and no kinder.

`POST /api/track` takes single and bulk requests with Heap's validation, limits and idempotency;
`/api/partner/…` lets a partner connect by OAuth, segments are sent to its webhook, signed;
`/_sim/…` orders faults, reads the ledger of all that was accepted and changes the limits. Run it
with `python -m devstack.heap_simulator`, or inside a test with `running_simulator`.
"""

from __future__ import annotations

from devstack.heap_simulator.client import SimulatorClient
from devstack.heap_simulator.limits import Limits
from devstack.heap_simulator.partner_app import PartnerApp
from devstack.heap_simulator.running import running_simulator
from devstack.heap_simulator.segment_model import SyncOptions
from devstack.heap_simulator.world import SimulatorSettings

__all__ = [
    "Limits",
    "PartnerApp",
    "SimulatorClient",
    "SimulatorSettings",
    "SyncOptions",
    "running_simulator",
]
