"""Tests of what a demo counts as gone well."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from devstack.demo.books import Account, Books, accounts
from devstack.demo.cast import AURORA
from devstack.demo.report import Running, member_lines, next_lines, number_table
from devstack.demo.verdict import Verdict, judged
from devstack.heap_simulator.reports import AppReport, LedgerReport
from heapline.outcomes import DeadLetterReason, Outcome, SkipReason, Source

NAME = str(AURORA.workspace)


def books() -> Books:
    """Give ten records of one workspace: six delivered, three skipped, one dead-lettered."""
    delivered, skipped, dead = Outcome.DELIVERED, Outcome.SKIPPED, Outcome.DEAD_LETTERED
    return Books(
        published=Counter({NAME: 10}),
        outcomes=Counter(
            {
                (NAME, Source.EVENTS, delivered, ""): 6,
                (NAME, Source.EVENTS, skipped, SkipReason.PREVIEW): 3,
                (NAME, Source.EVENTS, dead, DeadLetterReason.REJECTED_BY_HEAP): 1,
            }
        ),
        dead_letters=[(NAME, "events/0/3")],
    )


def ledger(accepted: int = 6, conflicting: int = 0) -> LedgerReport:
    """Give the simulator's report on one app."""
    app = AppReport(accepted, conflicting, conflicting, [], {"200": 2, "400": 3}, accepted, 1)
    return LedgerReport(5, {"200": 2, "400": 3}, {}, accepted, 0, 0, {str(AURORA.app_id): app})


def verdict_on(there: Books, report: LedgerReport | None = None, acknowledged: int = 10) -> Verdict:
    """Judge these books."""
    return judged(accounts(there), {NAME: acknowledged}, report or ledger(), 1.5)


def test_balanced_books_are_well() -> None:
    """Nothing lost, nothing left, and Heap holds what was delivered."""
    verdict = verdict_on(books())
    assert verdict.ok
    assert verdict.lost == 0
    assert verdict.rows[0].requests == 5


def test_a_missing_outcome_is_not_well() -> None:
    """The message says which books differ, in which direction."""
    there = books()
    there.outcomes[NAME, Source.EVENTS, Outcome.DELIVERED, ""] = 5
    verdict = verdict_on(there, ledger(5))
    assert not verdict.ok
    assert verdict.lost == 1
    assert verdict.problems == [
        "aurora: events the forwarder has passed and outcomes counted for them differ by +1"
    ]


def test_an_outcome_counted_twice_is_not_well() -> None:
    """A double count is as bad as a loss."""
    there = books()
    there.outcomes[NAME, Source.EVENTS, Outcome.SKIPPED, SkipReason.PREVIEW] = 4
    verdict = verdict_on(there)
    assert verdict.lost == 1
    assert "differ by -1" in verdict.problems[0]


@pytest.mark.parametrize("accepted", [5, 7])
def test_heap_must_hold_what_was_delivered(accepted: int) -> None:
    """The topics may agree among themselves and still be wrong about Heap."""
    verdict = verdict_on(books(), ledger(accepted))
    assert verdict.lost == 0
    assert verdict.problems == [f"aurora: 6 counted as delivered, but Heap holds {accepted}"]


def test_a_repeated_delivery_with_other_content_is_not_well() -> None:
    """The same key must mean the same event."""
    assert not verdict_on(books(), ledger(conflicting=1)).ok


def test_records_the_brokers_confirmed_must_be_in_the_topic() -> None:
    """What was lost before the forwarder could see it shows too."""
    verdict = verdict_on(books(), acknowledged=11)
    assert verdict.problems == ["aurora: the brokers confirmed 11 records, the topic holds 10"]


def test_events_left_waiting_are_not_well() -> None:
    """A forwarder that was stopped too early has lost nothing, but is not done."""
    there = books()
    there.published[NAME] += 2
    there.waiting[NAME] += 2
    verdict = verdict_on(there, acknowledged=12)
    assert verdict.lost == 0
    assert verdict.problems == ["aurora: 2 events are still waiting"]


def test_json_says_the_same() -> None:
    """Scripts read the numbers, the reasons by their names, and the command that helps."""
    plain = verdict_on(books()).as_json()
    assert plain["ok"] is True
    assert plain["lost"] == 0
    assert plain["workspaces"][NAME]["skipped"] == {"preview": 3}
    assert plain["workspaces"][NAME]["requests"] == 5
    assert plain["not_delivered"][1] == {
        "workspace": "aurora",
        "outcome": "dead_lettered",
        "reason": "rejected_by_heap",
        "events": 1,
        "to_change_it": "heapline dlq list --workspace aurora",
    }


def lines_of(verdict: Verdict) -> dict[str, list[str]]:
    """Draw the table and take it apart: the numbers of each line by its title."""
    console = Console(width=100, color_system=None)
    with console.capture() as drawn:
        console.print(number_table(verdict))
    lines = [line.split() for line in drawn.get().splitlines()]
    return {
        " ".join(word for word in line if not word[0].isdigit()): [
            word for word in line if word[0].isdigit()
        ]
        for line in lines
    }


def test_the_table_has_a_line_for_each_outcome_and_reason() -> None:
    """A person finds every number, and reasons in words."""
    lines = lines_of(verdict_on(books()))
    assert lines["published"] == ["10", "10"]
    assert lines["delivered"] == ["6", "6"]
    assert lines["preview in the editor"] == ["3", "3"]
    assert lines["requests to Heap"] == ["5", "5"]
    assert lines["lost"] == ["0", "0"]


def test_a_reason_nobody_found_words_for_is_shown_by_its_name() -> None:
    """A new reason is not hidden."""
    verdict = verdict_on(books())
    account: Account = replace(verdict.rows[0].account, deferred_for={"over_limit": 4})
    changed = replace(verdict, rows=[replace(verdict.rows[0], account=account)])
    assert lines_of(changed)["over limit"] == ["4", "4"]


def test_the_seed_is_named_where_somebody_should_look_again() -> None:
    """A failed demo tells how to have the same one left running."""
    verdict = verdict_on(books())
    failed = replace(verdict, problems=["something"])
    where = Running("http://console", "http://heap")
    assert "--seed" not in "\n".join(next_lines(verdict, where, None, 7))
    assert "heapline demo --keep --seed 7" in "\n".join(next_lines(failed, where, None, 7))
    assert "http://console" in next_lines(verdict, where, Path("/kept"), 7)[0]
    assert member_lines(verdict) == ["  aurora   Send on"]
