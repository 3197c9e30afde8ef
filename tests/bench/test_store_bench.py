from __future__ import annotations

from bench import store


def test_a_small_store_is_measured() -> None:
    """Sizes, payloads, the rival and replicas are all in the report."""
    section = store.measure(users=30_000, payloads=2)
    text = section.text()
    for told in ("300,000 memberships", "bytes a membership", "10 segments", "primary key"):
        assert told in text
    assert section.figures["replica_ms"] > 0
    assert section.figures["store, of 1 segment"]["changes_per_second"] > 0
