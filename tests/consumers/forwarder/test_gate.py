"""Which events the gate lets through."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.forwarder.desk import Desk, desk_of
from consumers.forwarder.gate import Gate
from heapline.erasures import EraseKey, Erasure, Erasures
from heapline.events.catalogue import DEFAULT_OFF, V1_TYPES, V2_NAMES
from heapline.events.model import Event
from heapline.heap.connection import Connection, Region, Send
from heapline.kafka.connection_table import ConnectionTable
from heapline.outcomes import SkipReason
from heapline.words import AppId, EventId, UserId, Workspace

CONNECTION = Connection(
    Workspace("acme"), app_id=AppId("1001"), region=Region.US, send=Send.ON, version=1
)


def event(name: str = "nudge_clicked", user_id: str | None = "u-1", **more: Any) -> Event:  # noqa: ANN401 -- any field of the event
    """Make an event the gate lets through unless told otherwise."""
    user = None if user_id is None else UserId(user_id)
    return Event(EventId("e-1"), Workspace("acme"), name, user, 1, 1, **more)


def judged(name: str, *, include: tuple[str, ...] = (), exclude: tuple[str, ...] = ()) -> Any:  # noqa: ANN401 -- compared only
    """Judge a name under filters."""
    return Gate(replace(CONNECTION, include=include, exclude=exclude)).judge(event(name))


@pytest.mark.parametrize(
    "connection",
    [
        None,
        Connection(Workspace("acme"), send=Send.ON),
        replace(CONNECTION, app_id=None),
        replace(CONNECTION, region=None),
    ],
)
def test_a_workspace_without_app_or_region_is_not_connected(connection: Connection | None) -> None:
    """Without an environment to send to there is nothing else to ask."""
    assert Gate(connection).judge(event()) is SkipReason.NOT_CONNECTED


def test_events_of_a_workspace_that_was_disconnected_are_told_apart() -> None:
    """Its connection was removed; put back, it is judged by that."""
    table = ConnectionTable()
    acme = Workspace("acme")
    refused = []
    for row in (None, CONNECTION, None):
        table.apply(acme, row)
        refused.append(desk_of(acme, table).refusal(event()))
    assert refused == [SkipReason.DISCONNECTED, None, SkipReason.DISCONNECTED]
    stranger = desk_of(Workspace("stranger"), table)
    assert stranger.refusal(event()) is SkipReason.NOT_CONNECTED
    table.replace({}, [Workspace("stranger")])
    assert desk_of(Workspace("stranger"), table).refusal(event()) is SkipReason.DISCONNECTED
    assert desk_of(acme, table).refusal(event()) is SkipReason.NOT_CONNECTED


@pytest.mark.parametrize(
    ("send", "expected"), [(Send.ON, None), (Send.HOLD, None), (Send.OFF, SkipReason.SEND_OFF)]
)
def test_only_off_is_a_refusal(send: Send, expected: SkipReason | None) -> None:
    """An event on hold waits; it is not skipped."""
    assert Gate(replace(CONNECTION, send=send)).judge(event()) is expected


def test_send_is_off_by_default() -> None:
    """A new connection sends nothing."""
    connection = Connection(Workspace("acme"), app_id=AppId("1"), region=Region.EU)
    assert Gate(connection).judge(event()) is SkipReason.SEND_OFF


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ((), (), None),
        (("nudge_*",), (), None),
        (("nudge_click?d",), (), None),
        (("nudge_[bc]licked",), (), None),
        (("NUDGE_*",), (), SkipReason.FILTERED),
        (("questlist_*",), (), SkipReason.FILTERED),
        (("questlist_*", "nudge_clicked"), (), None),
        ((), ("nudge_*",), SkipReason.FILTERED),
        (("nudge_clicked",), ("nudge_*",), SkipReason.FILTERED),
        ((), ("questlist_*",), None),
    ],
)
def test_filters_are_shell_globs_and_exclude_wins(
    include: tuple[str, ...], exclude: tuple[str, ...], expected: SkipReason | None
) -> None:
    """Case counts, an empty include means all, an exclude always wins."""
    assert judged("nudge_clicked", include=include, exclude=exclude) is expected


@pytest.mark.parametrize("name", ["nudge_seen", "nudge_shown"])
def test_both_names_of_one_event_share_their_filters(name: str) -> None:
    """`nudge_seen` and `nudge_shown` are one event, whichever a filter names."""
    assert judged(name, exclude=("nudge_seen",)) is SkipReason.FILTERED
    assert judged(name, exclude=("nudge_shown",)) is SkipReason.FILTERED
    assert judged(name, include=("nudge_seen",)) is None
    assert judged(name, include=("nudge_show?",)) is None


@pytest.mark.parametrize("name", sorted(DEFAULT_OFF))
def test_names_off_by_default_need_to_be_spelled_out(name: str) -> None:
    """No glob switches raw browsing and typing on; the name itself does."""
    assert judged(name) is SkipReason.NOT_SENT_BY_DEFAULT
    assert judged(name, include=("*",)) is SkipReason.NOT_SENT_BY_DEFAULT
    assert judged(name, include=(f"{name[:3]}*",)) is SkipReason.NOT_SENT_BY_DEFAULT
    assert judged(name, include=("*", name)) is None
    assert judged(name, include=(name,), exclude=("*",)) is SkipReason.FILTERED


@pytest.mark.parametrize("name", sorted({*V1_TYPES, *V2_NAMES} - DEFAULT_OFF))
def test_every_other_published_name_is_sent(name: str) -> None:
    """The catalogue's events for subscribers pass an open gate."""
    assert judged(name) is None


def test_unknown_names_pass() -> None:
    """Event names are an open set."""
    assert judged("cb:something_of_next_year") is None


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ({"is_preview": True}, SkipReason.PREVIEW),
        ({"is_simulated": True}, SkipReason.SIMULATED),
        ({"is_admin": True}, SkipReason.ADMIN),
        ({"is_admin": True, "is_simulated": True}, SkipReason.SIMULATED),
        ({"is_admin": True, "is_simulated": True, "is_preview": True}, SkipReason.PREVIEW),
    ],
)
def test_test_traffic_is_skipped(flags: dict[str, Any], expected: SkipReason) -> None:
    """Previews, simulations and administrators are counted in this order."""
    assert Gate(CONNECTION).judge(event(**flags)) is expected


@pytest.mark.parametrize("nobody", [None, "", "null", "undefined", " ", " null\n", "\tundefined"])
def test_what_javascript_writes_for_nobody_is_nobody(nobody: str | None) -> None:
    """Such a user id would gather all anonymous visitors of a site in one Heap user."""
    gate = Gate(CONNECTION)
    assert gate.judge(event(user_id=nobody)) is SkipReason.ANONYMOUS
    assert gate.identity(event(user_id=nobody)) is None
    assert gate.judge(event(user_id=nobody, anonymous_id="a-1")) is SkipReason.ANONYMOUS


@pytest.mark.parametrize("somebody", ["0", "Null", "nullable", " u 1 ", "-", "null null"])
def test_other_ids_pass_exactly_as_they_came(somebody: str) -> None:
    """An id must equal the site's own, to the last space."""
    gate = Gate(CONNECTION)
    assert gate.judge(event(user_id=somebody)) is None
    assert gate.identity(event(user_id=somebody)) == somebody


@pytest.mark.parametrize(
    ("user_id", "anonymous_id", "expected"),
    [
        ("u-1", "a-1", "u-1"),
        (None, "a-1", "a-1"),
        ("null", "a-1", "a-1"),
        (None, None, None),
        ("undefined", "null", None),
    ],
)
def test_anonymous_ids_are_used_where_allowed(
    user_id: str | None, anonymous_id: str | None, expected: str | None
) -> None:
    """A user id is always preferred, and an anonymous one must be an id as well."""
    gate = Gate(replace(CONNECTION, send_anonymous=True))
    subject = event(user_id=user_id, anonymous_id=anonymous_id)
    assert gate.identity(subject) == expected
    assert gate.judge(subject) is (None if expected else SkipReason.ANONYMOUS)


def test_the_first_refusal_is_the_one_that_counts() -> None:
    """Lifting one refusal after another shows the next, in the order the reasons are declared."""
    subject = event("cb:click", None, is_preview=True, is_simulated=True, is_admin=True)
    seen = [Gate(None).judge(subject)]
    seen.append(Gate(replace(CONNECTION, send=Send.OFF)).judge(subject))
    seen.append(Gate(replace(CONNECTION, exclude=("cb:*",))).judge(subject))
    seen.append(Gate(CONNECTION).judge(subject))
    gate = Gate(replace(CONNECTION, include=("cb:click",)))
    for flag in ("is_preview", "is_simulated", "is_admin", None):
        seen.append(gate.judge(subject))
        if flag:
            setattr(subject, flag, False)
    others = {SkipReason.ERASED, SkipReason.DISCONNECTED}
    by_gate = [each for each in SkipReason if each not in others]
    assert seen == by_gate


def test_who_was_erased_is_refused_last() -> None:
    """What was accepted before the erasure; by user and workspace, and not what came after."""
    key = EraseKey(b"key")
    erased = Erasure(CONNECTION.workspace, key.mac(CONNECTION.workspace, "u-1"), key.id, 1_000)
    desk = Desk(CONNECTION, Erasures(key, [erased]))
    subject = replace(event("nudge_shown", "u-1"), received_at_ms=999)
    assert desk.refusal(subject) is SkipReason.ERASED
    assert desk.refusal(replace(subject, is_admin=True)) is SkipReason.ADMIN
    assert desk.refusal(replace(subject, received_at_ms=1_000)) is None
    assert desk.refusal(replace(subject, user_id=UserId("u-2"))) is None
    assert Desk(CONNECTION).refusal(subject) is None


def test_invented_names_do_not_fill_memory() -> None:
    """A producer with a new name for each event costs judging, not memory."""
    gate = Gate(CONNECTION)
    for number in range(25_000):
        gate.judge(event(f"name-{number}"))
    assert len(gate._names) <= 10_000


globs = st.text("ab*?[]:_", max_size=5)


@given(
    st.lists(st.text("ab:_", min_size=1, max_size=5), max_size=20),
    st.lists(globs, max_size=3),
    st.lists(globs, max_size=3),
)
def test_remembering_changes_no_judgement(
    names: list[str], include: list[str], exclude: list[str]
) -> None:
    """A gate that has judged before judges as a new one does."""
    connection = replace(CONNECTION, include=tuple(include), exclude=tuple(exclude))
    used = Gate(connection)
    for name in names * 2:
        assert used.judge(event(name)) is Gate(connection).judge(event(name))
