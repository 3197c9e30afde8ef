from __future__ import annotations

import json
from typing import TYPE_CHECKING

import duckdb
import pytest

from state.folder import StateFolder
from state.replicas import Replicas
from state.store import Store
from tests.command import heapline
from tests.state.payloads import Coder, segment_facts

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a state folder with a replica: Ann and Bob are in, in two workspaces."""
    folder = StateFolder(tmp_path_factory.mktemp("sql") / "state")
    with Store(folder, now_ms=1) as store, Replicas(folder) as replicas:
        store.apply(
            Coder().payload(
                [
                    ("acme", "ann", "S1", True, 1_700_000_000_123, "a"),
                    ("zeta", "bob,\x1b[31m", "S1", True, 1_700_000_001_000, None),
                ],
                segments=(segment_facts(),),
            )
        )
        replicas.refresh(store)
        assert replicas.finished(60.0)
    return folder.path


def ask(
    state: Path, *arguments: str, command: str = "sql", stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run `heapline sql` on a state folder."""
    settings = {"HEAPLINE_STATE__DIRECTORY": str(state)}
    return heapline(command, *arguments, folder=state.parent, settings=settings, stdin=stdin)


def rows_in(path: Path) -> int:
    """Count the rows of a file."""
    read = {".csv": duckdb.read_csv, ".json": duckdb.read_json, ".parquet": duckdb.read_parquet}
    return len(read[path.suffix](str(path)).project("user_id").fetchall())


def test_a_table_by_default(state: Path) -> None:
    """Columns under titles, times in UTC, nothing that steers the terminal."""
    done = ask(state, "SELECT user_id, entered_at, sync_task_id FROM membership ORDER BY user_id")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "USER_ID       ENTERED_AT                SYNC_TASK_ID",
        "ann           2023-11-14T22:13:20.123Z  a",
        "bob,\\x1b[31m  2023-11-14T22:13:21.000Z",
    ]


def test_json_and_csv_to_standard_output(state: Path) -> None:
    """JSON keeps numbers and nulls; CSV quotes what must be."""
    query = "SELECT user_id, 7 AS n, sync_task_id FROM membership ORDER BY user_id -- all\n;"
    done = ask(state, query, "--json")
    assert json.loads(done.stdout) == [
        {"user_id": "ann", "n": 7, "sync_task_id": "a"},
        {"user_id": "bob,\x1b[31m", "n": 7, "sync_task_id": None},
    ]
    done = ask(state, query, "--format", "csv")
    assert done.stdout == 'user_id,n,sync_task_id\nann,7,a\n"bob,\x1b[31m",7,\n'
    assert json.loads(ask(state, "FROM membership WHERE false", "--json").stdout) == []


@pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
def test_a_file_by_its_ending(state: Path, tmp_path: Path, ending: str) -> None:
    """What is written can be read again, and how much it is, is told."""
    target = tmp_path / f"out.{ending}"
    done = ask(state, "FROM membership", "--output", str(target))
    assert done.returncode == 0, done.stderr
    assert "2 rows in" in done.stderr
    assert rows_in(target) == 2
    assert [path.name for path in tmp_path.iterdir()] == [target.name]


def test_the_file_for_other_tools(state: Path) -> None:
    """The path is the one that never changes."""
    done = ask(state, "--path")
    assert done.stdout.strip() == str(state / "analyst" / "heapline.duckdb")


def test_a_query_from_standard_input(state: Path) -> None:
    """As `-` says."""
    assert ask(state, "-", stdin="SELECT 41 + 1 AS answer").stdout == "ANSWER\n42\n"


@pytest.mark.parametrize("query", ["SHOW TABLES", "DESCRIBE membership", "SUMMARIZE membership"])
def test_looking_around(state: Path, query: str) -> None:
    """What newcomers type first works."""
    done = ask(state, query)
    assert done.returncode == 0, done.stderr
    assert "membership" in done.stdout or "user_id" in done.stdout


@pytest.mark.parametrize(
    "query",
    [
        "DROP VIEW membership",
        "DELETE FROM stored.membership",
        "CREATE TABLE x AS SELECT 1",
        "SELECT 1) TO 'x.csv'; COPY (SELECT 1",
        "SELEKT 1",
        "SELECT 1; SELECT 2",
        "SELECT 1); SET threads = 1; FROM (SELECT 1",
    ],
)
def test_what_is_no_reading_query_is_refused(state: Path, query: str) -> None:
    """Nothing is changed, and DuckDB's own words say what is wrong."""
    done = ask(state, query)
    assert done.returncode == 1
    assert "Error" in done.stderr or "one query at a time" in done.stderr
    assert "should not have happened" not in done.stderr


def test_wrong_usage_is_told(state: Path, tmp_path: Path) -> None:
    """No query, Parquet to a terminal and an unknown ending are mistakes of usage."""
    for arguments in (
        (),
        ("FROM about", "--format", "parquet"),
        ("FROM about", "--output", str(tmp_path / "out.xls")),
    ):
        assert ask(state, *arguments).returncode == 2


def test_without_a_replica_the_way_to_one_is_told(tmp_path: Path) -> None:
    """An empty state folder says what fills it."""
    for arguments in (("FROM about",), ("--path",)):
        done = ask(tmp_path / "none", *arguments)
        assert done.returncode == 1
        assert "heapline materialize" in done.stderr


def test_everything_can_be_exported(state: Path, tmp_path: Path) -> None:
    """One Parquet file a view, with the same rows."""
    done = ask(state, str(tmp_path / "out"), "--json", command="export")
    assert done.returncode == 0, done.stderr
    rows = {each["view"]: each["rows"] for each in json.loads(done.stdout)["files"]}
    assert rows["membership"] == rows["membership_change"] == 2
    assert duckdb.read_parquet(str(tmp_path / "out" / "about.parquet")).columns[0] == "as_of"


def test_one_view_of_one_workspace(state: Path, tmp_path: Path) -> None:
    """As the options say."""
    done = ask(
        state, str(tmp_path), "--view", "membership", "--workspace", "acme", command="export"
    )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["membership.parquet"]
    written = duckdb.read_parquet(str(tmp_path / "membership.parquet"))
    assert written.project("user_id").fetchall() == [("ann",)]
    assert ask(state, str(tmp_path), "--view", "nothing", command="export").returncode == 2
