"""What desks said of event names is asked once, and anew when the desk is another."""

from __future__ import annotations

from consumers.forwarder.desk import Desk
from consumers.forwarder.known_names import (
    ANONYMOUS,
    ANSWERS,
    BY_NAME,
    ELIGIBLE,
    UNSURE,
    KnownNames,
)
from consumers.forwarder.stretch import Fate
from heapline.heap.connection import Connection, Region, Send
from heapline.outcomes import SkipReason
from heapline.words import AppId, Workspace


def desk(*, send: Send = Send.ON, exclude: tuple[str, ...] = ()) -> Desk:
    """Make the desk of a connected workspace."""
    acme = Workspace("acme")
    connection = Connection(acme, 1, 0, AppId("1"), Region.US, send, exclude=exclude)
    return Desk(connection)


def test_a_name_keeps_its_number_while_the_desk_is_the_same() -> None:
    """So that one look into a dictionary is enough for each event."""
    known, acme = KnownNames(10), desk(exclude=("hidden",))
    names = known.of("acme", acme)
    first = names["shown"]
    assert known.of("acme", acme) is names
    assert names["shown"] == first != names["hidden"]
    assert len(known.fates) == 2 * ANSWERS


def test_another_desk_is_asked_anew() -> None:
    """A connection that changed may answer otherwise."""
    known = KnownNames(10)
    before = known.of("acme", desk())["shown"]
    after = known.of("acme", desk(exclude=("shown",)))["shown"]
    assert known.answers[before] == ELIGIBLE
    assert known.answers[after] == BY_NAME
    assert known.workspaces[known.homes[after]] == "acme"


def test_codes_tell_fates() -> None:
    """A number and an answer make a code, whose fate names the reason."""
    known = KnownNames(10)
    number = known.of("acme", desk(exclude=("hidden",)))["hidden"]
    fates = known.fates
    assert fates[number * ANSWERS + ELIGIBLE] == Fate("acme", "hidden", None)
    assert fates[number * ANSWERS + BY_NAME] == Fate("acme", "hidden", SkipReason.FILTERED)
    assert fates[number * ANSWERS + ANONYMOUS] == Fate("acme", "hidden", SkipReason.ANONYMOUS)


def test_what_is_held_or_oddly_named_is_left_to_the_gate() -> None:
    """Its events take the exact way."""
    known = KnownNames(10)
    held = known.of("acme", desk(send=Send.HOLD))["shown"]
    odd = known.of("other", desk())[' "quoted"']
    assert known.answers[[held, odd]].tolist() == [UNSURE, UNSURE]


def test_there_is_room_for_so_many_names() -> None:
    """Whoever makes up a name for each event must not fill memory."""
    known = KnownNames(3)
    assert known.has_room(3)
    known.of("acme", desk())["shown"]
    assert known.has_room(2)
    assert not known.has_room(3)
