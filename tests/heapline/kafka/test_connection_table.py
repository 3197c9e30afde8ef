from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from heapline.heap.connection import Connection
from heapline.kafka.connection_table import ConnectionTable
from heapline.words import AppId, Workspace
from tests.fakes.connections import FakeConnections

if TYPE_CHECKING:
    from heapline.kafka.connection_table import Connections

WORKSPACES = st.sampled_from([Workspace("a"), Workspace("b"), Workspace("c")])


@st.composite
def changes(draw: st.DrawFn) -> tuple[Workspace, Connection | None]:
    """A change of one row."""
    workspace = draw(WORKSPACES)
    app_id = draw(st.sampled_from([None, AppId("1"), AppId("2")]))
    version = draw(st.integers(1, 3))
    return workspace, draw(st.sampled_from([None, Connection(workspace, version, app_id=app_id)]))


@given(st.lists(changes()))
def test_the_last_write_of_each_workspace_wins(history: list[tuple[Workspace, Connection]]) -> None:
    """Whatever the history, the table holds what a dictionary of last writes holds."""
    table = ConnectionTable()
    for workspace, connection in history:
        table.apply(workspace, connection)
    expected = {name: row for name, row in dict(history).items() if row is not None}
    assert {row.workspace: row for row in table} == expected
    assert len(table) == len(expected)


@given(st.lists(changes()), changes())
def test_apply_tells_whether_anything_changed(
    history: list[tuple[Workspace, Connection | None]],
    change: tuple[Workspace, Connection | None],
) -> None:
    """True exactly when the row differs from the one before."""
    table = ConnectionTable()
    for each in history:
        table.apply(*each)
    before = table.get(change[0])
    assert table.apply(*change) == (before != change[1])
    assert table.get(change[0]) == change[1]
    assert not table.apply(*change)


@given(st.lists(changes()), st.lists(changes()))
def test_replace_names_exactly_the_differences(
    first: list[tuple[Workspace, Connection | None]],
    second: list[tuple[Workspace, Connection | None]],
) -> None:
    """A table read anew reports removed, added and changed workspaces, and no others."""
    before = {name: row for name, row in dict(first).items() if row is not None}
    after = {name: row for name, row in dict(second).items() if row is not None}
    table = ConnectionTable(before)
    changed = table.replace(after)
    assert changed == {
        name for name in before.keys() | after.keys() if before.get(name) != after.get(name)
    }
    assert {row.workspace: row for row in table} == after


def test_by_app_id_finds_the_owner() -> None:
    """An app id leads to its workspace, and to none when nobody holds it."""
    owner = Connection(Workspace("a"), app_id=AppId("7"))
    table = ConnectionTable({owner.workspace: owner})
    assert table.by_app_id(AppId("7")) is owner
    assert table.by_app_id(AppId("8")) is None


def test_the_table_may_change_while_it_is_walked_through() -> None:
    """Iterating works on the rows there were at its start."""
    table = ConnectionTable()
    for name in "abc":
        table.apply(Workspace(name), Connection(Workspace(name)))
    for row in table:
        table.apply(row.workspace, None)
    assert len(table) == 0


def test_the_fake_behaves_as_the_protocol_says() -> None:
    """Nothing before ready, then all at once, then change by change."""
    connection = Connection(Workspace("a"))
    fake = FakeConnections(connection, ready=False)
    connections: Connections = fake
    assert connections.poll() == frozenset()
    states = [connections.ready]
    assert connections.table.get(Workspace("a")) is None
    fake.become_ready()
    assert connections.poll() == {"a"}
    assert [*states, connections.ready] == [False, True]
    fake.remove(Workspace("a"))
    assert connections.table.get(Workspace("a")) == connection
    assert connections.poll() == {"a"}
    assert connections.table.get(Workspace("a")) is None
