"""The comparison of HTTP transports, in miniature."""

from __future__ import annotations

from bench.transport import CARRIERS, measure


def test_all_carriers_deliver_and_are_compared() -> None:
    """A request that is not answered 200 would raise."""
    section = measure(rounds=1, requests=3)
    assert section.figures["body_bytes"] > 100_000
    for many in ("1", "8"):
        assert section.figures["milliseconds"][many].keys() == CARRIERS.keys()
    assert "our client and transport" in section.text()
