"""A targeting service in one file: which product tour and which checklist does a user see?

Run it on a machine where `heapline materialize` keeps its state:

    python docs/examples/targeting_service.py --workspace acme --port 8090
    curl 'http://127.0.0.1:8090/experiences?user=u-1'

It needs `pip install 'heapline-client[reader]'` and no other service: every answer comes from files
that are mapped into this process.
"""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from heapline.memberships import IndexUnavailable, MembershipReader, Result, UnknownWorkspace


def heap_segment(name: str, operator: str = "is") -> dict[str, Any]:
    """Write the condition "Heap Segment", by the segment's name in Heap."""
    condition = {"type": "heap", "operator": operator, "value": name}
    return {"type": "CONDITION", "condition": condition}


def custom(*conditions: dict[str, Any]) -> dict[str, Any]:
    """Write an audience as the editor's "Custom" does: all conditions must hold."""
    expression = {"type": "AND", "exprs": list(conditions)}
    return {"type": "rule_expression", "expression": expression}


@dataclass(frozen=True)
class Experience:
    """Something a user may see."""

    kind: str
    name: str
    audience: dict[str, Any]


EXPERIENCES = (
    Experience("product_tour", "Tour of the reports", custom(heap_segment("Free customers"))),
    Experience(
        "checklist",
        "Getting started",
        custom(heap_segment("Signed up this month"), heap_segment("Power users", "isNot")),
    ),
)


class Targeting:
    """Decides what users see; threads may share it."""

    def __init__(self, index: Path, workspace: str) -> None:
        self._reader = MembershipReader(index)
        self._workspace = workspace

    def experiences(self, user: str) -> dict[str, Any]:
        """Tell what a user sees, and what could not be decided and is therefore not shown."""
        view = self._reader.pinned()  # every question below is about one moment
        ids = {row.name: row.segment_id for row in view.segments(self._workspace)}
        shown, undecided = [], []
        for each in EXPERIENCES:
            found = view.evaluate(self._workspace, with_ids(each.audience, ids), user)
            if found.result is Result.MATCH:
                shown.append({"kind": each.kind, "name": each.name, "doubtful": found.doubtful})
            elif found.result is Result.UNDECIDED:
                left = [f"{one.reason}: {one.detail or one.type}" for one in found.unresolved]
                undecided.append({"kind": each.kind, "name": each.name, "left_to_know": left})
        return {
            "user": user,
            "show": shown,
            "undecided": undecided,
            "as_of_ms": view.freshness.as_of_ms,
        }


def with_ids(rule: Any, ids: dict[str, str]) -> Any:
    """Put ids where an audience names segments; a name nobody knows stays, and is undecided."""
    if isinstance(rule, list):
        return [with_ids(each, ids) for each in rule]
    if not isinstance(rule, dict):
        return rule
    if rule.get("type") == "heap":
        return {**rule, "value": ids.get(rule["value"], rule["value"])}
    return {key: with_ids(value, ids) for key, value in rule.items()}


class Handler(BaseHTTPRequestHandler):
    """`GET /experiences?user=ID`."""

    targeting: Targeting

    def do_GET(self) -> None:
        """Answer."""
        asked = urlsplit(self.path)
        user = parse_qs(asked.query).get("user", [""])[0]
        if asked.path != "/experiences" or not user:
            self._send(404, {"error": "ask /experiences?user=ID"})
            return
        try:
            self._send(200, self.targeting.experiences(user))
        except UnknownWorkspace as error:
            self._send(404, {"error": str(error)})

    def log_message(self, *_: Any) -> None:
        """Write no log: an address names a user."""

    def _send(self, status: int, body: dict[str, Any]) -> None:
        written = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(written)))
        self.end_headers()
        self.wfile.write(written)


def main() -> None:
    """Serve until Ctrl-C."""
    state = os.environ.get("HEAPLINE_STATE__DIRECTORY", "~/.local/state/heapline")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--state", type=Path, default=Path(state).expanduser())
    parser.add_argument("--workspace", required=True)
    parser.add_argument("--port", type=int, default=8090, help="0 takes a free one")
    chosen = parser.parse_args()
    try:
        Handler.targeting = Targeting(chosen.state / "index", chosen.workspace)
    except IndexUnavailable as error:
        raise SystemExit(f"targeting: {error}") from None
    with ThreadingHTTPServer(("127.0.0.1", chosen.port), Handler) as server:
        print(f"targeting on http://127.0.0.1:{server.server_port}", flush=True)
        server.serve_forever()


if __name__ == "__main__":
    main()
