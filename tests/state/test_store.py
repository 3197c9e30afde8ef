from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from state.errors import StoreLocked, StoreOutOfStep
from state.folder import StateFolder
from state.payload import Changes, OutcomeFacts, Payload, SyncFacts
from state.store import Store
from tests.state.payloads import Coder, members, segment_facts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.state.payloads import Change


@pytest.fixture
def folder(tmp_path: Path) -> StateFolder:
    """Give a state folder that does not exist yet."""
    return StateFolder(tmp_path / "state")


@pytest.fixture
def store(folder: StateFolder) -> Iterator[Store]:
    """Give an empty store."""
    with Store(folder, now_ms=500) as opened:
        yield opened


def test_a_new_store_is_empty(store: Store) -> None:
    """Nothing is known, and the history begins now."""
    assert store.version == 0
    assert store.positions() == {}
    assert members(store) == {}
    assert store.origin().history_since_ms == 500
    assert store.origin().applied_at_ms is None


def test_a_payload_is_all_there_and_stays(folder: StateFolder) -> None:
    """Memberships, rows, positions and the version are there after the file is opened again."""
    row = segment_facts(syncs=(SyncFacts("sync-1", 1, "sync", 900, 1_000, None, 1, 2, adds=2),))
    with Store(folder, now_ms=1) as store:
        payload = Coder().payload(
            [
                ("acme", "ann", "S1", True, 900, "sync-1"),
                ("acme", "bob", "S1", True, 900, "sync-1"),
                ("zeta", "ann", "S1", True, 950, None),
            ],
            segments=(row,),
            positions={("memberships", 3): 17, ("segments", 0): 4},
            now_ms=2_000,
        )
        assert store.apply(payload) == 1
    with Store(folder, now_ms=9) as again:
        assert again.version == 1
        assert members(again) == {
            ("acme", "ann", "S1"): 900,
            ("acme", "bob", "S1"): 900,
            ("zeta", "ann", "S1"): 950,
        }
        assert again.positions() == {("memberships", 3): 17, ("segments", 0): 4}
        assert again.origin().applied_at_ms == 2_000
        assert again.segments().facts == [row, None]


def test_a_leave_ends_a_membership_and_both_are_history(store: Store) -> None:
    """The membership goes; the history tells of the enter and of the leave."""
    coder = Coder()
    store.apply(coder.payload([("acme", "ann", "S1", True, 900, "a")]))
    store.apply(coder.payload([("acme", "ann", "S1", False, 950, "b")]))
    assert members(store) == {}
    assert store.database.run(
        "SELECT h.enters, m.at_ms, s.sync_id FROM stored.history AS h"
        " JOIN stored.moment AS m ON m.code = h.moment JOIN stored.sync AS s ON s.code = m.sync"
        " ORDER BY h.rowid"
    ).rows == [(True, 900, "a"), (False, 950, "b")]


def test_one_payload_may_change_a_pair_several_times(store: Store) -> None:
    """What counts is the last change; a leave and an enter give a new time of entering."""
    coder = Coder()
    store.apply(coder.payload([("acme", "ann", "S1", True, 1, None)]))
    store.apply(
        coder.payload(
            [
                ("acme", "ann", "S1", False, 5, None),
                ("acme", "bob", "S1", True, 5, None),
                ("acme", "ann", "S1", True, 6, None),
                ("acme", "bob", "S1", False, 6, None),
            ]
        )
    )
    assert members(store) == {("acme", "ann", "S1"): 6}


def test_leaving_without_being_in_is_refused_and_changes_nothing(store: Store) -> None:
    """A change that is not effective means that index and store differ: nothing is kept of it."""
    coder = Coder()
    store.apply(coder.payload([("acme", "ann", "S1", True, 1, None)]))
    wrong = coder.payload(
        [("acme", "bob", "S1", True, 2, None), ("acme", "cat", "S1", False, 2, None)],
        positions={("memberships", 0): 9},
    )
    with pytest.raises(StoreOutOfStep, match="1 memberships end and 0"):
        store.apply(wrong)
    assert members(store) == {("acme", "ann", "S1"): 1}
    assert store.users().user_id.tolist() == ["ann"]
    assert store.positions() == {}
    assert store.version == 1


def test_entering_twice_in_a_row_is_the_callers_mistake(store: Store) -> None:
    """A pair's changes are enters and leaves by turns."""
    twice = Coder().payload([("acme", "ann", "S1", True, at, None) for at in (1, 2)])
    with pytest.raises(ValueError, match="twice in a row"):
        store.apply(twice)
    assert store.users().user_id.tolist() == []


def test_unknown_codes_are_refused(store: Store) -> None:
    """A change must not name a user whom nobody introduced."""
    payload = Coder().payload([("acme", "ann", "S1", True, 1, None)])
    with pytest.raises(ValueError, match="user 0 is not among the 0 known"):
        store.apply(Payload(now_ms=1, changes=payload.changes))


def test_a_segment_row_needs_a_segment(store: Store) -> None:
    """A row of a segment without a code is refused, and nothing is kept."""
    with pytest.raises(ValueError, match="'S1' needs a code"):
        store.apply(Payload(now_ms=1, segments=(segment_facts(),)))
    assert store.version == 0


def test_syncs_are_replaced_and_those_no_longer_named_are_kept(store: Store) -> None:
    """`heap.segments` names the latest syncs only; the store remembers all."""
    coder = Coder()
    first = SyncFacts("sync-1", 1, "sync", 100, 100, None, 1, 2)
    done = SyncFacts("sync-1", 1, "sync", 100, 200, 200, 2, 2, adds=7)
    second = SyncFacts("sync-2", 2, "sync", 300, 300, 300, 1, 1)
    for offset, syncs in enumerate(((first,), (done,), (second,))):
        store.apply(coder.payload(segments=(segment_facts(offset=offset, syncs=syncs),)))
    (facts,) = store.segments().facts
    assert facts == segment_facts(offset=2, syncs=(done, second))


def test_outcomes_add_up(store: Store) -> None:
    """Counts of one minute from two payloads are two facts with one sum."""
    count = OutcomeFacts("acme", "events", "nudge_shown", "skipped", "filtered", 60_000, 3)
    sent = OutcomeFacts("acme", "events", "nudge_shown", "delivered", None, 60_000, 4)
    store.apply(Payload(now_ms=1, outcomes=(count, sent)))
    store.apply(Payload(now_ms=1, outcomes=(count,)))
    rows = store.database.run(
        "SELECT outcome, reason, sum(records) FROM stored.outcome GROUP BY ALL ORDER BY ALL"
    ).rows
    assert rows == [("delivered", None, 4), ("skipped", "filtered", 6)]


def test_a_second_writer_is_refused_and_told_who_writes(folder: StateFolder, store: Store) -> None:
    """Only one process may write a state folder, and the error names it."""
    with pytest.raises(StoreLocked, match="only one may write"):
        Store(folder, now_ms=1)
    assert store.version == 0


def test_any_text_is_a_user_id(store: Store) -> None:
    """Ids with quotes, control characters, NUL, emoji and a megabyte of text come back as sent."""
    ids = ["'; DROP TABLE x; --", "a\x00b", "\x1f\n", "🙂", "nan", "NULL", "7", "x" * 1_000_000]
    changes: list[Change] = [("acme", each, "S1", True, 1, None) for each in ids]
    store.apply(Coder().payload(changes))
    assert store.users().user_id.tolist() == ids


def test_the_origin_is_remembered(store: Store) -> None:
    """Cluster and topics are told as they were last remembered."""
    store.remember_origin("cluster-1", {"a": "1"})
    store.remember_origin("cluster-2", {"b": "2"})
    assert store.origin().cluster_id == "cluster-2"
    assert store.origin().topic_ids == {"b": "2"}


def test_payloads_of_any_length_follow_each_other(store: Store) -> None:
    """A small payload after a large one writes nothing of it again, nor the other way round."""
    coder, held = Coder(), 0
    for number, count in enumerate((3, 20_000, 1, 40, 17_000, 2)):
        changes: list[Change] = [
            ("acme", f"u{number}-{n}", f"S{n % 3}", True, number, f"sync-{n % 7}")
            for n in range(count)
        ]
        store.apply(coder.payload(changes))
        held += count
        written = "SELECT (SELECT count(*) FROM stored.membership), count(*) FROM stored.history"
        assert store.database.one(written) == (held, held)


def test_memberships_stand_by_segment_and_history_by_time(store: Store) -> None:
    """Within a payload of several pages: so each packs best, and a segment's stand together."""
    changes: list[Change] = [
        ("acme", f"u{(7 * n + at) % 40}", f"S{n % 3}", True, at, None)
        for at in range(3)
        for n in range(12)
    ]
    store.apply(Coder().payload(list({change[1:3]: change for change in changes}.values())))
    held = store.database.run("SELECT segment, person FROM stored.membership ORDER BY rowid").rows
    assert held == sorted(held)
    order = "SELECT moment, segment, person FROM stored.history ORDER BY rowid"
    happened = store.database.run(order).rows
    assert happened == sorted(happened)
    assert [row[1:] for row in happened] != held


def test_positions_move_alone_and_together(folder: StateFolder) -> None:
    """Those that a payload names move, whether or not others are named as they were."""
    places = [("memberships", n) for n in range(5)]
    with Store(folder, now_ms=1) as store:
        for steps in ((1, 1, 1, 1, 1), (1, 1, 2, 1, 1), (5, 4, 3, 4, 5)):
            store.apply(Payload(now_ms=1, positions=dict(zip(places, steps, strict=True))))
        store.apply(Payload(now_ms=1, positions={places[0]: 6}))
    with Store(folder, now_ms=1) as again:
        assert again.positions() == dict(zip(places, (6, 4, 3, 4, 5), strict=True))


def test_leavers_of_several_segments_leave_only_theirs(store: Store) -> None:
    """Who leaves one segment stays in another that somebody else leaves in the same payload."""
    coder = Coder()
    users, segments = [f"u{n}" for n in range(30)], [f"S{n}" for n in range(4)]
    store.apply(coder.payload([("acme", u, s, True, 1, None) for u in users for s in segments]))
    gone: list[Change] = [
        ("acme", user, segments[place % 3], False, 2, None) for place, user in enumerate(users)
    ]
    store.apply(coder.payload(gone))
    left = {change[:3] for change in gone}
    everybody = {("acme", u, s) for u in users for s in segments}
    assert members(store).keys() == everybody - left


_STEPS = st.lists(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2), st.integers(0, 3)), max_size=12),
    max_size=6,
)


@given(batches=_STEPS)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_payloads_end_as_toggling_does(
    batches: list[list[tuple[int, int, int]]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Whatever is cut into payloads, memberships and history are those of one change at a time."""
    held: dict[tuple[str, str, str], int] = {}
    happened: list[tuple[str, str, bool, int]] = []
    coder, now = Coder(), 0
    with Store(StateFolder(tmp_path_factory.mktemp("state")), now_ms=0) as store:
        for batch in batches:
            changes: list[Change] = []
            for user, segment, later in batch:
                now += later
                pair = ("acme", f"u{user}", f"S{segment}")
                enters = pair not in held
                if enters:
                    held[pair] = now
                else:
                    del held[pair]
                changes.append((*pair, enters, now, None))
                happened.append((pair[1], pair[2], enters, now))
            store.apply(coder.payload(changes))
        assert members(store) == held
        rows = store.database.run(
            "SELECT p.user_id, s.segment_id, h.enters, m.at_ms FROM stored.history AS h"
            " JOIN stored.person AS p ON p.code = h.person"
            " JOIN stored.segment AS s ON s.code = h.segment"
            " JOIN stored.moment AS m ON m.code = h.moment ORDER BY h.rowid"
        ).rows
    assert sorted(rows, key=lambda row: row[:2]) == sorted(happened, key=lambda row: row[:2])
    assert all(before[3] <= after[3] for before, after in pairwise(rows))


def test_an_empty_payload_only_counts(store: Store) -> None:
    """A payload without anything is a version more."""
    assert store.apply(Payload(now_ms=1, changes=Changes())) == 1
