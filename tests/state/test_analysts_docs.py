"""What docs/analysts.md tells analysts is true."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

import duckdb
import pytest

from state.asking import Query
from state.folder import StateFolder
from state.payload import OutcomeFacts, SyncFacts
from state.replicas import Replicas, open_replica
from state.store import Store
from state.views import VIEWS
from tests.state.payloads import Coder, segment_facts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from state.database import Database
    from tests.state.payloads import Change

_PAGE: Final = Path(__file__).resolve().parents[2] / "docs" / "analysts.md"
_QUESTIONS: Final = re.findall(r"\n\n([^\n]+\?)\n\n```sql\n(.*?)```", _PAGE.read_text(), re.DOTALL)
_JANUARY: Final = int(datetime(2026, 1, 10, tzinfo=UTC).timestamp() * 1000)
_DAY: Final = 86_400_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StateFolder:
    """Give a state folder with a replica in which every question has an answer."""
    folder = StateFolder(tmp_path_factory.mktemp("analysts"))
    changes: list[Change] = [
        ("acme", "ann", "S1", True, _JANUARY, "a"),
        ("acme", "bob", "S1", True, _JANUARY, "a"),
        ("acme", "ann", "S2", True, _JANUARY, "b"),
        ("acme", "ann", "S1", False, _JANUARY + _DAY, "c"),
        ("acme", "ann", "S1", True, _JANUARY + 2 * _DAY, "d"),
    ]
    sync = SyncFacts("a", 1, "sync", _JANUARY, _JANUARY, None, 1, 2, 2)
    sent = OutcomeFacts("acme", "events", "nudge_shown", "delivered", None, 60_000, 4)
    with Store(folder, now_ms=1) as store, Replicas(folder) as replicas:
        rows = (segment_facts(syncs=(sync,)), segment_facts(segment="S2", name="Admins"))
        store.apply(Coder().payload(changes, segments=rows, outcomes=(sent,), now_ms=_JANUARY))
        replicas.refresh(store)
        assert replicas.finished(60.0)
    return folder


@pytest.fixture
def replica(folder: StateFolder) -> Iterator[Database]:
    """Give the replica, open."""
    with open_replica(folder) as opened:
        yield opened


def test_every_block_of_sql_is_a_question() -> None:
    """None is left out of the test below."""
    assert len(_QUESTIONS) == _PAGE.read_text().count("```sql")
    assert len(_QUESTIONS) > 10


@pytest.mark.parametrize(("question", "sql"), _QUESTIONS, ids=[each[0] for each in _QUESTIONS])
def test_a_question_has_an_answer(replica: Database, question: str, sql: str) -> None:
    """The SQL runs, and finds something in a store that holds some of everything."""
    assert list(Query(replica, sql).rows()), question


def test_answers_are_right(replica: Database) -> None:
    """A few of them, looked at closely."""
    answers = {question: list(Query(replica, sql).rows()) for question, sql in _QUESTIONS}
    assert answers["Who was in a segment at one moment?"] == [("ann",), ("bob",)]
    assert answers["How much do segments overlap?"] == [("Power users", "Admins", "1")]
    assert answers["Who is in one segment and not in another?"] == [("bob",)]
    assert answers["Who keeps coming and going?"] == [("ann", "Power users", "2")]
    assert [row[1:] for row in answers["How did a segment grow, day by day?"]] == [
        ("2", "2"),
        ("-1", "1"),
        ("1", "2"),
    ]


def test_all_views_and_columns_are_named() -> None:
    """The table of views leaves none out."""
    table = _PAGE.read_text().split("## What there is")[1].split("## Questions")[0]
    rows = {line.split("`")[1]: line for line in table.splitlines() if line.startswith("| `")}
    assert list(rows) == [view.name for view in VIEWS]
    told = set(re.findall(r"`(\w+)`", rows["membership"]))
    for view in VIEWS:
        missing = set(view.columns) - set(re.findall(r"`(\w+)`", rows[view.name])) - told
        assert not missing, view.name


def test_the_notebooks_way_works(folder: StateFolder) -> None:
    """Any DuckDB opens the file read only, by the path that never changes."""
    with duckdb.connect(folder.analyst, read_only=True) as heapline:
        assert heapline.sql("SELECT count(*) FROM segment").fetchall() == [(2,)]
        comment = heapline.sql(
            "SELECT comment FROM duckdb_columns()"
            " WHERE table_name = 'membership' AND column_name = 'user_id'"
        ).fetchall()
    assert comment == [("The workspace's own id of the user.",)]
