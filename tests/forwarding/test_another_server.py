"""Nothing depends on the simulator: any server that answers as Heap documents will do."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.forwarding.harness import Forwarding


class _PlainHeap(BaseHTTPRequestHandler):
    """Knows one path, HTTP/1.0, and the two documented statuses."""

    received: list[dict[str, Any]]

    def do_POST(self) -> None:
        """Take a bulk request; refuse a request that carries the event named `refused`."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        bad = any(event["event"] == "refused" for event in body["events"])
        if not bad:
            self.received.extend(body["events"])
        self.send_response(400 if bad else 200)
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002, ANN401 -- the base's own
        """Say nothing."""


def test_a_plain_server_gets_every_event(forwarding: Forwarding) -> None:
    """The same forwarder delivers to a server of forty lines, and finds the refused event."""
    ids = forwarding.publish("acme", 1_200)
    forwarding.publish_events([forwarding.event("acme", 9_999, name="refused")])
    _PlainHeap.received = []
    with ThreadingHTTPServer(("127.0.0.1", 0), _PlainHeap) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        forwarding.catch_up(HEAPLINE_HEAP__API_URL=url)
        server.shutdown()
    assert {event["idempotency_key"] for event in _PlainHeap.received} == ids
    audit = forwarding.audit([])
    assert set(audit.dead) == {"acme-9999"}
    assert audit.outcome("delivered") == 1_200
