"""A typed client of `/_sim/…`: order faults, read the ledger, change the limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import orjson
from pydantic import TypeAdapter

from devstack.heap_simulator.faults import FAULTS
from devstack.heap_simulator.limits import Limits
from devstack.heap_simulator.partner_client import PartnerClient
from devstack.heap_simulator.reports import LedgerReport
from devstack.heap_simulator.request_log import LoggedRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from devstack.heap_simulator.faults import Fault

_LEDGER = TypeAdapter(LedgerReport)
_REQUESTS = TypeAdapter(list[LoggedRequest])


class SimulatorClient(PartnerClient):
    """Talks to a running simulator; every call uses a connection of its own.

    Args:
        url: of the simulator, for example `http://127.0.0.1:8800`.

    All calls raise `OSError` if nothing listens there and `CallerMistake` if the simulator
    refuses, with its explanation.
    """

    def is_healthy(self) -> bool:
        """Whether a simulator answers there."""
        try:
            return bool(orjson.loads(self._call("GET", "/_sim/health"))["status"] == "ok")
        except OSError:
            return False

    def faults(self, *faults: Fault) -> None:
        """Order these faults, in place of all before."""
        self._call("PUT", "/_sim/faults", FAULTS.dump_json(list(faults)))

    def clear_faults(self) -> None:
        """Heap is well again."""
        self._call("DELETE", "/_sim/faults")

    def armed_faults(self) -> list[dict[str, Any]]:
        """The ordered faults with how often each `matched` and `struck`, and if it is `spent`."""
        faults: list[dict[str, Any]] = orjson.loads(self._call("GET", "/_sim/faults"))
        return faults

    def ledger(self) -> LedgerReport:
        """What came of all requests so far."""
        return _LEDGER.validate_json(self._call("GET", "/_sim/ledger"))

    def events(self, app_id: str, *, page_size: int = 10_000) -> Iterator[dict[str, Any]]:
        """The accepted events of one app, in order of acceptance.

        Each has `number`, `idempotency_key`, and as long as the ledger kept payloads also what
        was sent, `request_number` and `received_at_ms`.
        """
        after = 0
        while lines := self._page(app_id, after, page_size):
            yield from map(orjson.loads, lines)
            after += len(lines)

    def keys(self, app_id: str) -> list[str]:
        """The idempotency keys of the accepted events of one app; each stands there once."""
        events = self.events(app_id, page_size=100_000)
        return [key for event in events if (key := event["idempotency_key"]) is not None]

    def requests(self, *, limit: int = 1_000) -> list[LoggedRequest]:
        """The latest requests to the track endpoint, oldest first."""
        return _REQUESTS.validate_json(self._call("GET", f"/_sim/requests?limit={limit}"))

    def reset(self) -> None:
        """Forget all that was sent, as on a fresh start; limits, app ids and faults stay."""
        self._call("DELETE", "/_sim/ledger")

    def limits(self) -> Limits:
        """The limits in force."""
        return Limits.model_validate_json(self._call("GET", "/_sim/limits"))

    def change_limits(self, **changes: int | str) -> Limits:
        """Change the named limits (fields of `Limits`) and leave the others; tells all."""
        answer = self._call("PUT", "/_sim/limits", orjson.dumps(changes))
        return Limits.model_validate_json(answer)

    def only_apps(self, *app_ids: str) -> None:
        """Answer 401 to all other app ids; without any name, to all."""
        self._call("PUT", "/_sim/apps", orjson.dumps({"only": app_ids}))

    def all_apps(self) -> None:
        """Let every app id exist."""
        self._call("PUT", "/_sim/apps", b'{"only": null}')

    def track(self, document: object) -> int:
        """Send one track request, as Heap's clients do; tells the status."""
        status, _ = self._exchange("POST", "/api/track", orjson.dumps(document))
        return status

    def _page(self, app_id: str, after: int, limit: int) -> list[bytes]:
        query = urlencode({"app_id": app_id, "events": 1, "after": after, "limit": limit})
        return self._call("GET", f"/_sim/ledger?{query}").splitlines()
