"""*Delivery* and its dead letters, asked in this process."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from consumers.forwarder.status import ForwarderStatus
from heapline.heap.connection import Connection, Region, Send
from heapline.kafka.headers import DeadLetter, Origin
from heapline.outcomes import DeadLetterReason
from heapline.words import AppId, Workspace
from operations.dlq import Content, Entry, Filter, Position
from operations.lag import WorkspaceLag
from operations.status import Status
from tests.fakes.console_data import FakeConsoleData
from tests.web.console.site import Browser
from web.console.data import Letter
from web.console.deliveries import LETTER_WORDS, PAUSE_WORDS

if TYPE_CHECKING:
    from collections.abc import Mapping

_ACME = Connection(Workspace("acme"), 1, 0, AppId("11"), Region.US, Send.ON)
_PAGE = "/console/acme/delivery"


def letter(offset: int, reason: DeadLetterReason, workspace: str = "acme") -> Letter:
    """Make a dead letter with a payload."""
    why = DeadLetter(Origin("commandai.events", 1, 7), reason, workspace, "e1", "said no", 400)
    entry = Entry(Position(3, offset), 1_760_000_000_000, why)
    event: Mapping[str, object] = {"name": "opened", "properties": '{"score": 9}'}
    return Letter(Content(entry, b"acme", b"\x00", []), event)


@pytest.fixture
def data() -> FakeConsoleData:
    """A paused workspace with dead letters, and one that is well."""
    data = FakeConsoleData(_ACME)
    data.status = Status(
        1,
        workspaces=[
            WorkspaceLag("acme", "11", "paused", "unauthorized", 1_200, 34, None, 0.5, 10**13),
            WorkspaceLag("shop", "12", "open", "", 90_000, 0, 360.0, 0.99, 0),
        ],
    )
    data.letters = [
        letter(15, DeadLetterReason.REJECTED_BY_HEAP),
        letter(16, DeadLetterReason.NAME_MISSING),
        letter(17, DeadLetterReason.REJECTED_BY_HEAP, "shop"),
    ]
    return data


def test_a_paused_workspace_says_why(data: FakeConsoleData) -> None:
    """With what waits, and a button that tries at once."""
    browser = Browser(data)
    text = browser.page(_PAGE)
    assert PAUSE_WORDS["unauthorized"] in text
    assert "1,200" in text
    assert "nothing moves now" in text
    assert "50 %" in text
    assert browser.submit(_PAGE, "/console/acme/try-now") == 303
    assert data.tried == [Workspace("acme")]


def test_all_workspaces(data: FakeConsoleData) -> None:
    """Those with something waiting, for whom the token is good."""
    text = Browser(data).page("/delivery")
    assert "6 minutes" in text
    assert "shop" in text
    browser = Browser(data, guarded=True)
    browser.sign_in("limited-token-0001")
    text = browser.page("/delivery")
    assert "acme" in text
    assert "shop" not in text


def test_a_workspace_of_which_nothing_waits(data: FakeConsoleData) -> None:
    """Says so, and offers nothing to try."""
    data.status = Status(1, [ForwarderStatus("one", 1, 1)])
    text = Browser(data).page(_PAGE)
    assert "Nothing is waiting." in text
    assert "Try now" not in text


def test_no_forwarder_runs(data: FakeConsoleData) -> None:
    """Then nothing is being sent, whatever waits."""
    data.status = Status(1)
    assert "start `heapline forward`" in Browser(data).page(_PAGE)


def test_dead_letters_by_reason(data: FakeConsoleData) -> None:
    """What would come back has no button; others' letters are not shown."""
    text = Browser(data).page(_PAGE)
    assert LETTER_WORDS[DeadLetterReason.REJECTED_BY_HEAP] in text
    assert "Replay all rejected_by_heap" in text
    assert "Replay all name_missing" not in text
    assert "3/15" in text
    assert "3/17" not in text


def test_a_dead_letter_in_full(data: FakeConsoleData) -> None:
    """Its reason, Heap's answer, and its payload with the properties unfolded."""
    text = Browser(data).page(f"{_PAGE}/3/15")
    assert "HTTP 400" in text
    assert "&#34;score&#34;: 9" in text


@pytest.mark.parametrize("position", ["3/17", "3/99", "x/1"])
def test_a_letter_that_is_not_theirs(data: FakeConsoleData, position: str) -> None:
    """Another workspace's is as little there as none."""
    status = Browser(data).client.get(f"{_PAGE}/{position}").status_code
    assert status == (400 if position == "x/1" else 404)


def test_one_is_replayed(data: FakeConsoleData) -> None:
    """By its position, and within its workspace only."""
    browser = Browser(data)
    assert browser.submit(_PAGE, "/console/acme/replay", position="3/15") == 200
    positions = frozenset({Position(3, 15)})
    assert data.replayed == [(Filter(workspace="acme", positions=positions), False)]


def test_all_with_a_reason_are_replayed(data: FakeConsoleData) -> None:
    """And the page says how many; what would come back stays, unless it is forced."""
    browser = Browser(data)
    page = browser.sent(_PAGE, "/console/acme/replay", reason="rejected_by_heap")
    assert "<strong>1</strong> event is" in page
    page = browser.sent(_PAGE, "/console/acme/replay", reason="name_missing")
    assert "1 stayed" in page
    browser.submit(_PAGE, "/console/acme/replay", position="3/16", force="yes")
    assert data.replayed[-1][1]


def test_a_reader_replays_nothing(data: FakeConsoleData) -> None:
    """The button is not there, and a forged form is refused."""
    browser = Browser(data, guarded=True)
    browser.sign_in("reading-token-0001")
    assert "Replay" not in browser.page(_PAGE)
    assert browser.submit("/", "/console/acme/replay", position="3/15") == 403
    assert browser.submit("/", "/console/acme/try-now") == 403
    assert (data.replayed, data.tried) == ([], [])


@pytest.mark.parametrize("path", ["/delivery", _PAGE, f"{_PAGE}/3/15", "/console/acme/events"])
def test_what_is_not_known_yet(data: FakeConsoleData, path: str) -> None:
    """The page is there at once, and looks again by itself, with scripts or without."""
    data.pending = True
    text = Browser(data).page(path)
    assert "Looking up" in text
    assert 'http-equiv="refresh"' in text


@pytest.mark.parametrize("path", ["/delivery", _PAGE, "/console/acme", "/console/acme/events"])
def test_what_cannot_be_known(data: FakeConsoleData, path: str) -> None:
    """The page says why, and the rest of it works."""
    data.missing = "the brokers are away"
    assert "the brokers are away" in Browser(data).page(path)
