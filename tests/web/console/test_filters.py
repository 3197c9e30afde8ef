"""The switches of *Events sent to Heap*, held to what the forwarder's gate really does."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.heap.connection import Connection
from heapline.words import Workspace
from web.console.filters import is_on, new_events, new_switched, switched

if TYPE_CHECKING:
    from web.console.filters import Lists

ACME = Connection(Workspace("acme"))
NAMES = ("nudge_shown", "nudge_seen", "opened", "cb:click", "a*", "[x]", "brand_new")


def with_lists(connection: Connection, lists: Lists) -> Connection:
    """Give the connection as it is after a switch."""
    return replace(connection, include=lists.include, exclude=lists.exclude)


_SWITCHES = st.lists(st.tuples(st.sampled_from([*NAMES, None]), st.booleans()), max_size=12)


@given(_SWITCHES)
def test_whatever_is_switched_is_as_switched(switches: list[tuple[str | None, bool]]) -> None:
    """After any switches, in any order, the last one holds; new names follow theirs."""
    connection = ACME
    for name, on in switches:
        if name is None:
            known = [each for each in NAMES if each != "brand_new"]
            connection = with_lists(connection, new_switched(connection, known, on=on))
            assert new_events(connection) is on
            assert is_on(connection, "nobody_saw_this") is on
        else:
            connection = with_lists(connection, switched(connection, name, on=on))
            assert is_on(connection, name) is on


@given(st.sampled_from(NAMES))
def test_off_and_on_again_leaves_nothing_behind(name: str) -> None:
    """A switch moved to and fro adds no filter, but for names that are off by default."""
    off = with_lists(ACME, switched(ACME, name, on=False))
    on = with_lists(off, switched(off, name, on=True))
    assert on.exclude == ()
    assert on.include == (("*", name) if name == "cb:click" else ())


def test_raw_browsing_is_off_until_switched_on() -> None:
    """Its switch shows that, and switching it on leaves all others as they were."""
    assert not is_on(ACME, "cb:click")
    on = with_lists(ACME, switched(ACME, "cb:click", on=True))
    assert is_on(on, "cb:click")
    assert is_on(on, "opened")
    assert not is_on(on, "cb:input")


def test_a_persons_own_pattern_is_left_alone() -> None:
    """What it decides, no switch changes."""
    filtered = replace(ACME, exclude=("nudge_*",))
    with pytest.raises(ValueError, match="pattern"):
        switched(filtered, "nudge_shown", on=True)


def test_an_event_has_a_name() -> None:
    """A form without one changes nothing."""
    with pytest.raises(ValueError, match="which event"):
        switched(ACME, "", on=True)
