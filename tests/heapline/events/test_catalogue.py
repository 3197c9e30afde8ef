"""The catalogue of published names."""

from __future__ import annotations

import pytest

from heapline.events.catalogue import (
    DEFAULT_OFF,
    V1_ALIASES,
    V1_INTERNAL_NAMES,
    V1_INTERNAL_ONLY,
    V1_TYPES,
    V2_NAMES,
    meaning,
)


def test_its_size() -> None:
    """31 v1 types, 46 internal names, 44 v2 names, as the vendor's package has them."""
    assert (len(V1_TYPES), len(V1_INTERNAL_NAMES), len(V2_NAMES)) == (31, 46, 44)


def test_off_by_default() -> None:
    """Raw browsing and typing and the SDK's own affairs are off; what people do with it is on."""
    assert {"cb:identify", "cb:decide", "cb:pageview", "cb:click", "cb:input"} < DEFAULT_OFF
    assert V1_INTERNAL_NAMES.keys() > V1_INTERNAL_ONLY
    assert V1_INTERNAL_ONLY < DEFAULT_OFF
    assert DEFAULT_OFF.isdisjoint(V1_TYPES)
    assert {"cb:nudge_viewed", "Nudge shown", "nudge_seen"}.isdisjoint(DEFAULT_OFF)


@pytest.mark.parametrize("name", [*V1_TYPES, *V1_INTERNAL_NAMES, *V2_NAMES, *V1_ALIASES])
def test_every_name_has_a_meaning(name: str) -> None:
    """One line, no full stop: it is shown in tables."""
    text = meaning(name)
    assert text
    assert "\n" not in text
    assert not text.endswith(".")


def test_unknown_names_have_none() -> None:
    """The set is open; a name outside of it is simply not explained."""
    assert meaning("cb:brand_new") is None
