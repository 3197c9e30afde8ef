from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.errors import CallerMistake
from heapline.heap.connection import BlockedCategory, Connection, Region, Send
from heapline.words import AppId, Workspace
from producers.connections import ConnectionPatch, patched

ACME, GLOBEX = Workspace("acme"), Workspace("globex")
NOW_MS = 1_700_000_000_000

texts = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)
globs = st.none() | st.lists(texts, max_size=3).map(tuple)
patches = st.builds(
    ConnectionPatch,
    app_id=st.none() | st.sampled_from([AppId("1"), AppId("2"), AppId("3")]),
    region=st.none() | st.sampled_from(Region),
    send=st.none() | st.sampled_from(Send),
    include=globs,
    exclude=globs,
    blocked_categories=st.none() | st.frozensets(st.sampled_from(BlockedCategory)),
    send_anonymous=st.none() | st.booleans(),
    id_token=st.none() | st.sampled_from(["token-a", "token-b", "token-c"]),
)
workspaces = st.sampled_from([ACME, GLOBEX, Workspace("initech")])


def applied(history: list[tuple[Workspace, ConnectionPatch]]) -> dict[Workspace, Connection]:
    """Apply patches one after the other, as the registry does; refused ones change nothing."""
    rows: dict[Workspace, Connection] = {}
    for workspace, patch in history:
        try:
            rows[workspace] = patched(workspace, patch, rows.values(), NOW_MS)
        except CallerMistake:
            continue
    return rows


@given(st.lists(st.tuples(workspaces, patches), max_size=12))
def test_no_history_lets_two_workspaces_share_an_app_id_or_a_token(
    history: list[tuple[Workspace, ConnectionPatch]],
) -> None:
    """Whatever is asked for in whatever order, claims stay unique and apps have regions."""
    rows = applied(history).values()
    app_ids = [row.app_id for row in rows if row.app_id is not None]
    tokens = [row.id_token for row in rows if row.id_token is not None]
    assert len(set(app_ids)) == len(app_ids)
    assert len(set(tokens)) == len(tokens)
    assert all(row.region is not None for row in rows if row.app_id is not None)


@given(st.lists(st.tuples(workspaces, patches), max_size=6), workspaces, patches)
def test_only_what_is_named_changes(
    history: list[tuple[Workspace, ConnectionPatch]], workspace: Workspace, patch: ConnectionPatch
) -> None:
    """Every field is the patch's where it names one, and the old row's where it does not."""
    rows = applied(history)
    before = rows.get(workspace, Connection(workspace))
    try:
        after = patched(workspace, patch, rows.values(), NOW_MS)
    except CallerMistake:
        return
    named: dict[str, Any] = patch.changes()
    for field in dataclasses.fields(ConnectionPatch):
        assert getattr(after, field.name) == named.get(field.name, getattr(before, field.name))
    assert after.workspace == workspace


@given(patches, patches)
def test_the_version_counts_changes(first: ConnectionPatch, second: ConnectionPatch) -> None:
    """One more with each change, from 1; asking for what is there already changes nothing."""
    rows = applied([(ACME, first)])
    if ACME not in rows:
        return
    assert rows[ACME].version == 1
    assert patched(ACME, first, rows.values(), NOW_MS + 1) is rows[ACME]
    later = applied([(ACME, first), (ACME, second)])[ACME]
    same = dataclasses.replace(later, version=1) == rows[ACME]
    assert later.version == (1 if same else 2)


def test_nothing_named_on_a_new_workspace_still_makes_a_row() -> None:
    """The first version of a row exists from its first write on."""
    row = patched(ACME, ConnectionPatch(), [], NOW_MS)
    assert (row.version, row.updated_at_ms, row.send) == (1, NOW_MS, Send.OFF)


def test_send_may_be_set_before_there_is_an_app_id() -> None:
    """A customer can flip the switch first."""
    row = patched(ACME, ConnectionPatch(send=Send.ON), [], NOW_MS)
    assert row.send is Send.ON
    assert not row.connected


def test_a_first_app_id_needs_a_region() -> None:
    """It is asked for, never assumed; a region said earlier is enough."""
    patch = ConnectionPatch(app_id=AppId("11"))
    with pytest.raises(CallerMistake, match="--region us or --region eu"):
        patched(ACME, patch, [], NOW_MS)
    known = patched(ACME, ConnectionPatch(region=Region.EU), [], NOW_MS)
    assert patched(ACME, patch, [known], NOW_MS).connected


def test_a_second_claim_of_an_app_id_names_the_first() -> None:
    """One Heap environment belongs to one workspace."""
    first = Connection(ACME, version=1, app_id=AppId("11"), region=Region.US)
    patch = ConnectionPatch(app_id=AppId("11"), region=Region.US)
    with pytest.raises(CallerMistake, match="belongs to workspace acme"):
        patched(GLOBEX, patch, [first], NOW_MS)
    assert patched(ACME, ConnectionPatch(send=Send.ON), [first], NOW_MS).version == 2


def test_a_second_claim_of_a_token_names_the_first_and_not_the_token() -> None:
    """Tokens are secrets; messages are not."""
    first = Connection(ACME, version=1, id_token="hush-hush")
    with pytest.raises(CallerMistake, match="belongs to workspace acme") as raised:
        patched(GLOBEX, ConnectionPatch(id_token="hush-hush"), [first], NOW_MS)
    assert "hush" not in str(raised.value)


@pytest.mark.parametrize("text", ["", " ", "a ", "a\nb", "a\x00", "\ud800", "x" * 256, "\u200b"])
def test_unusable_text_is_refused_everywhere(text: str) -> None:
    """Workspace, app id and filters must be printable, so that people can tell them apart."""
    patch = ConnectionPatch(app_id=AppId(text), region=Region.US)
    with pytest.raises(CallerMistake, match="app id"):
        patched(ACME, patch, [], NOW_MS)
    with pytest.raises(CallerMistake, match="workspace"):
        patched(Workspace(text), ConnectionPatch(send=Send.ON), [], NOW_MS)
    for lists in (ConnectionPatch(include=("ok", text)), ConnectionPatch(exclude=(text,))):
        with pytest.raises(CallerMistake, match="filter"):
            patched(ACME, lists, [], NOW_MS)


def test_an_empty_tuple_empties_a_list() -> None:
    """None leaves it, () clears it."""
    row = patched(ACME, ConnectionPatch(include=("a*",), exclude=("b",)), [], NOW_MS)
    cleared = patched(ACME, ConnectionPatch(include=()), [row], NOW_MS)
    assert (cleared.include, cleared.exclude) == ((), ("b",))
