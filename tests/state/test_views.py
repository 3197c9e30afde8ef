from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from state.folder import StateFolder
from state.payload import OutcomeFacts, SyncFacts
from state.store import Store
from state.views import VIEWS
from tests.state.payloads import Coder, segment_facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from state.views import View


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Give a store in which Ann came twice and Bob once."""
    coder = Coder()
    with Store(StateFolder(tmp_path), now_ms=500) as opened:
        sync = SyncFacts("a", 1, "sync", 900, 950, 950, 1, 1, adds=2)
        opened.apply(
            coder.payload(
                [("acme", "ann", "S1", True, 900, "a"), ("acme", "bob", "S1", True, 900, "a")],
                segments=(segment_facts(syncs=(sync,)),),
                now_ms=5_000,
            )
        )
        count = OutcomeFacts("acme", "events", "nudge_shown", "delivered", None, 60_000, 3)
        opened.apply(
            coder.payload(
                [("acme", "ann", "S1", False, 950, "b"), ("acme", "ann", "S1", True, 990, None)],
                outcomes=(count, count),
                now_ms=6_000,
            )
        )
        yield opened


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_columns_are_as_declared_and_explained(store: Store, view: View) -> None:
    """A view has exactly the declared columns, each with its comment in the file."""
    found = store.database.run(
        "SELECT column_name, comment FROM duckdb_columns() WHERE database_name = 'heapline'"
        " AND schema_name = 'main' AND table_name = ? ORDER BY column_index",
        [view.name],
    ).rows
    assert found == list(view.columns.items())
    comment = store.database.run(
        "SELECT comment FROM duckdb_views() WHERE database_name = 'heapline' AND view_name = ?",
        [view.name],
    ).value
    assert comment == view.comment


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_times_are_with_a_time_zone(store: Store, view: View) -> None:
    """Every column that tells a time is a TIMESTAMPTZ."""
    for name, kind, *_ in store.database.run(f"DESCRIBE {view.name}").rows:
        is_time = name.endswith(("_at", "_since")) or name in {"as_of", "minute"}
        assert (kind == "TIMESTAMP WITH TIME ZONE") is is_time, name


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_no_name_needs_quotes(store: Store, view: View) -> None:
    """Views and columns can be typed as they are."""
    for name in view.columns:
        store.database.run(f"SELECT count({name}) FROM {view.name} WHERE {name} IS NOT NULL")


def test_membership_tells_who_is_in(store: Store) -> None:
    """One row a user and segment, with the time of the latest enter."""
    assert store.database.run(
        "SELECT * REPLACE (epoch_ms(entered_at) AS entered_at) FROM membership ORDER BY user_id"
    ).rows == [
        ("acme", "ann", "S1", "Power users", 990, None),
        ("acme", "bob", "S1", "Power users", 900, "a"),
    ]


def test_history_tells_stays(store: Store) -> None:
    """A stay that ended has both ends; one that goes on has no end."""
    assert store.database.run(
        "SELECT user_id, epoch_ms(entered_at), epoch_ms(left_at), sync_task_id, left_sync_task_id,"
        " entered_cause, left_cause FROM membership_history ORDER BY user_id, entered_at"
    ).rows == [
        ("ann", 900, 950, "a", "b", "sync", "sync"),
        ("ann", 990, None, None, None, "sync", None),
        ("bob", 900, None, "a", None, "sync", None),
    ]


def test_changes_tell_every_enter_and_leave(store: Store) -> None:
    """One row each, in plain words."""
    assert store.database.run(
        "SELECT user_id, epoch_ms(changed_at), change FROM membership_change"
        " ORDER BY user_id, changed_at"
    ).rows == [
        ("ann", 900, "enter"),
        ("ann", 950, "leave"),
        ("ann", 990, "enter"),
        ("bob", 900, "enter"),
    ]


def test_segments_syncs_outcomes_and_about(store: Store) -> None:
    """The other views tell counts, progress, sums and how new the file is."""
    run = store.database.run
    assert run(
        "SELECT segment_id, member_count, status, epoch_ms(updated_at) FROM segment"
    ).rows == [("S1", 2, "complete", 1_000)]
    assert run("SELECT sync_task_id, epoch_ms(completed_at), adds FROM sync").rows == [
        ("a", 950, 2)
    ]
    assert run("SELECT event, outcome, epoch_ms(minute), records FROM outcome").rows == [
        ("nudge_shown", "delivered", 60_000, 6)
    ]
    assert run(
        "SELECT epoch_ms(as_of), epoch_ms(history_since), version, memberships FROM about"
    ).rows == [(6_000, 500, 2, 2)]
