"""Tests of the demo's accounting: it balances for any honest history, and for no other."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.demo.books import Account, Books, accounts
from heapline.outcomes import Outcome, Source

WORKSPACES = ("acme", "zeta")
FINAL = (Outcome.DELIVERED, Outcome.SKIPPED, Outcome.DEAD_LETTERED)


@dataclass(frozen=True)
class History:
    """What became of one record: `deferrals` times deferred, then perhaps an outcome.

    Attributes:
        end: None while it waits, in the events topic or (after deferrals) in the deferred topic.
    """

    workspace: str
    deferrals: int
    end: Outcome | None


histories = st.builds(
    History,
    st.sampled_from(WORKSPACES),
    st.integers(0, 3),
    st.sampled_from([*FINAL, None]),
)


def write(there: list[History]) -> Books:
    """Keep the books as a faultless forwarder would."""
    books = Books()
    for number, each in enumerate(there):
        workspace = each.workspace
        books.published[workspace] += 1
        books.deferred[workspace] += each.deferrals
        for nth in range(each.deferrals):
            source = Source.EVENTS if nth == 0 else Source.DEFERRED
            books.outcomes[workspace, source, Outcome.DEFERRED, "hold"] += 1
        if each.end is None:
            waiting = books.deferred_waiting if each.deferrals else books.waiting
            waiting[workspace] += 1
            continue
        source = Source.DEFERRED if each.deferrals else Source.EVENTS
        books.outcomes[workspace, source, each.end, "why"] += 1
        if each.end is Outcome.DEAD_LETTERED:
            books.dead_letters.append((workspace, f"events/0/{number}"))
    return books


def lost(books: Books) -> int:
    """Sum what is lost over all workspaces."""
    return sum(account.lost for account in accounts(books))


def adds_up(account: Account) -> bool:
    """Tell whether a person reading the row downwards gets the same sum."""
    return account.published == (
        account.delivered
        + sum(account.skipped.values())
        + sum(account.dead_lettered.values())
        + account.deferred
        + account.waiting
    )


@given(st.lists(histories))
def test_an_honest_history_loses_nothing_and_adds_up(there: list[History]) -> None:
    """Whatever happened to the records, nothing is lost and every row adds up."""
    rows = accounts(write(there), WORKSPACES)
    assert [row.lost for row in rows] == [0, 0]
    assert all(map(adds_up, rows))
    assert sum(row.published for row in rows) == len(there)


@given(st.lists(histories, min_size=1), st.data(), st.sampled_from([-1, 1]))
def test_any_outcome_missing_or_counted_twice_shows(
    there: list[History], data: st.DataObject, by: int
) -> None:
    """One outcome too few or too many, of any kind, is never balanced by anything else."""
    books = write(there)
    kinds = [kind for kind, count in books.outcomes.items() if count]
    if kinds:
        books.outcomes[data.draw(st.sampled_from(kinds))] += by
        assert lost(books) > 0


@given(st.lists(histories, min_size=1), st.data(), st.sampled_from([-1, 1]))
def test_any_record_missing_or_doubled_shows(
    there: list[History], data: st.DataObject, by: int
) -> None:
    """One record too few or too many in the events or the deferred topic shows."""
    books = write(there)
    topic = data.draw(st.sampled_from([books.published, books.deferred]))
    topic[data.draw(st.sampled_from(WORKSPACES))] += by
    assert lost(books) > 0


@given(st.lists(histories, min_size=1), st.data())
def test_a_dead_letter_missing_or_written_twice_shows(
    there: list[History], data: st.DataObject
) -> None:
    """The DLQ holds exactly what is counted as dead-lettered, each record once."""
    books = write(there)
    if books.dead_letters:
        place = data.draw(st.integers(0, len(books.dead_letters) - 1))
        doubled = [*books.dead_letters, books.dead_letters[place]]
        missing = books.dead_letters[:place] + books.dead_letters[place + 1 :]
        for wrong in (doubled, missing):
            books.dead_letters = wrong
            assert lost(books) > 0


def test_a_loss_and_a_double_do_not_cancel_one_another() -> None:
    """A record missing in one workspace and one doubled in another are two, not none."""
    books = write([History("acme", 0, Outcome.DELIVERED), History("zeta", 0, Outcome.DELIVERED)])
    books.outcomes["acme", Source.EVENTS, Outcome.DELIVERED, "why"] -= 1
    books.outcomes["zeta", Source.EVENTS, Outcome.DELIVERED, "why"] += 1
    assert [account.lost for account in accounts(books)] == [1, 1]
    assert lost(books) == 2


def test_a_dead_letter_doubled_in_place_of_another_shows() -> None:
    """Two records of the DLQ for one event and none for another have the right number only."""
    books = write([History("acme", 0, Outcome.DEAD_LETTERED)] * 2)
    books.dead_letters[1] = books.dead_letters[0]
    assert lost(books) == 1


@pytest.mark.parametrize("source", [Source.DEFERRED, Source.REPLAY])
def test_outcomes_of_other_sources_do_not_hide_a_lost_event(source: Source) -> None:
    """An event without an outcome is lost although another source counted one more."""
    books = write([History("acme", 0, Outcome.DELIVERED)])
    books.outcomes["acme", Source.EVENTS, Outcome.DELIVERED, "why"] -= 1
    books.outcomes["acme", source, Outcome.DELIVERED, "why"] += 1
    assert lost(books) == 2


def test_workspaces_nobody_expected_have_a_row_too() -> None:
    """Records under another key are not overlooked."""
    books = write([History("zeta", 0, None)])
    books.dead_letters.append(("", "events/0/9"))
    assert [row.workspace for row in accounts(books, ["acme"])] == ["acme", "", "zeta"]
