"""What an organisation's block list keeps from Heap."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from consumers.forwarder.blocked_text import BlockedText, Verdict, categories_of
from consumers.forwarder.json_nesting import MAX_DEPTH
from consumers.forwarder.mapping import Mapper
from heapline.events.model import Event
from heapline.heap.connection import BlockedCategory, Connection, Region, Send
from heapline.words import AppId, EventId, UserId, Workspace
from tests.consumers.forwarder.heap_rules import checked

COMMANDS = BlockedCategory.COMMANDS
RECORDS = BlockedCategory.RECORDS
URLS = BlockedCategory.URLS
INPUTS = BlockedCategory.USER_INPUTS_AND_DEADENDS
HELP_HUB = BlockedCategory.HELP_HUB_SEARCH
SECRET = "hunter2"

FORBIDDEN = [
    (COMMANDS, "command_execution", "command"),
    (COMMANDS, "command_execution", "commandText"),
    (COMMANDS, "command_execution", "commandDetails.url"),
    (COMMANDS, "command_execution", "category"),
    (COMMANDS, "command_execution", "categoryText"),
    (COMMANDS, "command_execution", "previousCommands"),
    (COMMANDS, "shortcut_edited", "commandText"),
    (COMMANDS, "client_error", "command_id"),
    (COMMANDS, "nudge_shown", "nudge.trigger.meta.command"),
    (COMMANDS, "preview_shown", "preview.source.command"),
    (COMMANDS, "questlist_item_engagement", "questlist_item.goal.meta.command"),
    (COMMANDS, "help_hub_doc_opened", "helpHubDoc.command"),
    (COMMANDS, "cb:action_executed", "action.meta.name"),
    (COMMANDS, "cb:action_executed", "name"),
    (COMMANDS, "cb:spotlight_search_result_clicked", "result.title"),
    (COMMANDS, "cb:spotlight_search_result_clicked", "title"),
    (RECORDS, "abandoned_search", "resource"),
    (RECORDS, "command_execution", "selections"),
    (RECORDS, "command_execution", "selections.project"),
    (RECORDS, "preview_shown", "preview.source.record"),
    (RECORDS, "cb:spotlight_search_result_clicked", "selectedRecord"),
    (URLS, "client_error", "url"),
    (URLS, "command_execution", "commandDetails.url"),
    (URLS, "nudge_shown", "nudge.trigger.meta.url"),
    (URLS, "help_hub_doc_opened", "helpHubDoc.url"),
    (URLS, "questlist_item_engagement", "questlist_item.goal.value"),
    (URLS, "cb:nudge_viewed", "page.domain"),
    (URLS, "cb:nudge_viewed", "page.path"),
    (URLS, "cb:nudge_viewed", "page.query"),
    (URLS, "cb:nudge_viewed", "page.hash"),
    (URLS, "opened", "context.page.search"),
    (URLS, "opened", "page_url"),
    (URLS, "opened", "currentURL"),
    (URLS, "cb:content_link_clicked", "link"),
    (URLS, "cb:copilot_link_clicked", "linkHref"),
    (INPUTS, "abandoned_search", "inputText"),
    (INPUTS, "abandoned_search", "inputText[*]"),
    (INPUTS, "closed", "inputText"),
    (INPUTS, "command_execution", "inputText"),
    (INPUTS, "no_results_for_query", "inputText"),
    (INPUTS, "opened", "search"),
    (INPUTS, "command_suggestion", "text"),
    (INPUTS, "cb:input", "value"),
    (INPUTS, "Search input", "text"),
    (INPUTS, "cb:spotlight_search_executed", "query"),
    (INPUTS, "cb:spotlight_search_input", "spotlight.input_text"),
    (INPUTS, "survey_response", "response.value"),
    (INPUTS, "cb:nudge_survey_submitted", "answers"),
    (INPUTS, "cb:copilot_chat_message_sent", "message"),
    (INPUTS, "cb:copilot_viewed", "copilot.messages"),
    (INPUTS, "help_hub_engagement", "message"),
    (INPUTS, "no_chat_response", "chatHistory"),
    (HELP_HUB, "help_hub_opened", "helpHub.query"),
    (HELP_HUB, "help_hub_engagement", "helpHub.query"),
    (HELP_HUB, "help_hub_engagement", "suggested_query"),
    (HELP_HUB, "help_hub_engagement", "message"),
    (HELP_HUB, "help_hub_engagement", "chat_history"),
    (HELP_HUB, "help_hub_engagement", "continuation"),
    (HELP_HUB, "help_hub_doc_opened", "helpHubDoc.query"),
    (HELP_HUB, "HelpHub engagement", "query"),
    (HELP_HUB, "no_results_for_query", "inputText"),
    (HELP_HUB, "no_chat_response", "chatHistory"),
    (HELP_HUB, "cb:helphub_search_input", "text"),
    (HELP_HUB, "cb:helphub_search_executed", "query"),
    (HELP_HUB, "cb:helphub_suggested_query_clicked", "suggested_query"),
    (HELP_HUB, "cb:nudge_viewed", "helphub.search_term"),
]
ALLOWED = [
    ("nudge_clicked", "nudge.slug"),
    ("nudge_clicked", "nudge.step.title"),
    ("nudge_clicked", "nudge.frequency_limit"),
    ("nudge_clicked", "type"),
    ("questlist_engagement", "questlist.title"),
    ("questlist_item_engagement", "questlist_item.goal.type"),
    ("cb:nudge_viewed", "page.title"),
    ("cb:nudge_viewed", "source.type"),
    ("client_error", "foobar_version"),
    ("client_error", "message"),
    ("client_error", "commandbar_version"),
    ("opened", "trigger"),
    ("shortcut_edited", "newShortcut"),
    ("help_hub_doc_opened", "helpHubDoc.title"),
    ("help_hub_engagement", "engagement_type"),
    ("cb:content_viewed", "recorded_at"),
    ("my own event", "plan"),
]


def sent(
    event_name: str, properties: str, *blocked: BlockedCategory, scrubbers: tuple[str, ...] = ()
) -> dict[str, Any]:
    """Give the properties Heap would get of an event under a block list."""
    connection = Connection(
        Workspace("acme"),
        app_id=AppId("1"),
        region=Region.US,
        send=Send.ON,
        blocked_categories=frozenset(blocked),
    )
    event = Event(
        EventId("e"), Workspace("acme"), event_name, UserId("u"), 0, 0, properties=properties
    )
    event = replace(event, scrubbers=scrubbers)
    properties_sent: dict[str, Any] = checked(Mapper(connection).map(event, "u").body)["properties"]
    return properties_sent


def nested(key: str, value: object) -> dict[str, Any]:
    """Write a dotted key as nested objects."""
    for segment in reversed(key.split(".")):
        value = {segment: value}
    assert isinstance(value, dict)
    return value


@pytest.mark.parametrize(("category", "event_name", "key"), FORBIDDEN)
def test_forbidden_text_is_left_out(category: BlockedCategory, event_name: str, key: str) -> None:
    """However the property is written: dotted, nested, in arrays, in objects in arrays, as JSON."""
    assert sent(event_name, json.dumps({key: SECRET, "type": 1})) == {key: SECRET, "type": 1}
    last = key.rsplit(".", 1)[-1]
    for value in (
        SECRET,
        [SECRET, "x"],
        [{"deep": SECRET}],
        {"deep": [SECRET]},
        json.dumps([{"deep": SECRET}]),
        json.dumps({last: SECRET})[:-1],
    ):
        for document in ({key: value}, nested(key, value)):
            properties = sent(event_name, json.dumps(document | {"type": 1}), category)
            assert SECRET not in json.dumps(properties)
            assert properties["type"] == 1


@pytest.mark.parametrize(("category", "event_name", "key"), FORBIDDEN)
def test_other_categories_do_not_forbid_more_than_they_hold(
    category: BlockedCategory, event_name: str, key: str
) -> None:
    """A property stays when only categories are forbidden to which it does not belong."""
    holders = {
        c
        for _, name, k in FORBIDDEN
        for c in categories_of(name, k)
        if (name, k) == (event_name, key)
    }
    others = set(BlockedCategory) - holders
    assert category in holders
    assert len(others) >= 2
    assert sent(event_name, json.dumps({key: SECRET}), *others) == {key: SECRET}


@pytest.mark.parametrize(("event_name", "key"), ALLOWED)
def test_everything_else_stays(event_name: str, key: str) -> None:
    """With all categories forbidden an event still tells what happened."""
    assert sent(event_name, json.dumps({key: "x"}), *BlockedCategory) == {key: "x"}


def test_each_category_forbids_something() -> None:
    """The table above speaks of all five."""
    assert {category for category, _, _ in FORBIDDEN} == set(BlockedCategory)


@pytest.mark.parametrize(
    ("event_name", "document"),
    [
        ("abandoned_search", {"results": {"numCommands": 3, "numRecords": 0}}),
        ("command_execution", {"command": 42, "ranking": 2, "shortcut": True}),
        ("client_error", {"command_id": 42}),
        ("survey_response", {"response": {"value": 9, "max": 10}}),
        ("help_hub_engagement", {"message_id": 7, "rating": 1}),
        ("my own event", {"page": 2, "search_count": 4}),
    ],
)
def test_numbers_that_are_no_text_stay(event_name: str, document: dict[str, Any]) -> None:
    """Ids, counts and scores are what an analyst still can use."""
    text = json.dumps(document)
    assert sent(event_name, text, *BlockedCategory) == sent(event_name, text)


def test_typed_digits_are_typed_text() -> None:
    """A number typed into a search is as private as a word."""
    assert sent("opened", '{"search": 4111111111111111}', INPUTS) == {}


def test_any_text_with_a_url_is_a_url() -> None:
    """Whatever the key, when URLs are forbidden."""
    document = {
        "target": "https://x.test/hunter2",
        "note": "see www.x.test or ftp://x.test/hunter2",
        "list": ["fine", "app://hunter2"],
        "site": "www.hunter2.test",
        "plain": "hunter 3",
    }
    assert sent("my own event", json.dumps(document), URLS) == {"list": "fine", "plain": "hunter 3"}
    assert sent("my own event", json.dumps(document), COMMANDS)["target"]


def test_objects_in_arrays_lose_only_what_is_forbidden() -> None:
    """In an array, and in text that holds JSON."""
    items = [{"url": "https://x.test", "id": 1}, {"id": 2}]
    for value in (items, json.dumps(items)):
        properties = sent("my own event", json.dumps({"items": value}), URLS)
        assert properties == {"items": '[{"id":1},{"id":2}]'}


@pytest.mark.parametrize(
    "text",
    [
        '[{"query": "hunter2"',
        '{"a": "{\\"query\\": \\"hunter2\\"}"}',
        "[" * (MAX_DEPTH + 1) + '"hunter2"' + "]" * (MAX_DEPTH + 1),
        "[" * 100_000 + '"hunter2"',
    ],
)
def test_text_nobody_can_look_into_is_left_out(text: str) -> None:
    """JSON that was cut, that hides in JSON text, or that is nested beyond reason."""
    assert SECRET not in json.dumps(sent("my own event", json.dumps({"blob": text}), INPUTS))


def test_texts_that_only_begin_like_json_stay_without_a_block_list() -> None:
    """Nothing is looked into when nothing is forbidden."""
    assert sent("e", '{"a": "[draft] hello"}') == {"a": "[draft] hello"}


@pytest.mark.parametrize("category", list(BlockedCategory))
def test_a_scrubber_named_like_a_category_forbids_it(category: BlockedCategory) -> None:
    """A v2 event may ask for itself what an organisation asks for all."""
    _, event_name, key = next(row for row in FORBIDDEN if row[0] is category)
    document = json.dumps({key: SECRET})
    assert sent(event_name, document, scrubbers=("emails", category.value)) == {}
    assert sent(event_name, document, scrubbers=("emails", "", "COMMANDS")) == {key: SECRET}


def test_scrubbers_add_to_the_block_list() -> None:
    """Neither lifts what the other forbids."""
    document = '{"url": "x", "inputText": "y", "plan": "z"}'
    assert sent("closed", document, URLS, scrubbers=(INPUTS.value,)) == {"plan": "z"}


def test_end_user_properties_stay_away_with_a_block_list_too() -> None:
    """The exact path and the pruned one leave them out alike."""
    assert sent("e", '{"end_user_properties": {"email": "x"}, "a": 1}', URLS) == {"a": 1}


def test_invented_keys_do_not_fill_memory() -> None:
    """Keys and names are open sets; verdicts are remembered up to a bound."""
    blocked = BlockedText([URLS])
    for number in range(45_000):
        assert blocked.verdict("e", f"k{number}") is Verdict.ALL
    assert len(blocked._judged) <= 20_000


def test_pruning_leaves_what_it_is_given_alone() -> None:
    """The event may be asked for again, under another block list."""
    given_properties = {"a": [{"url": "x"}], "url": "y"}
    copy = json.loads(json.dumps(given_properties))
    assert BlockedText([URLS]).without("e", given_properties) == {"a": [{}]}
    assert given_properties == copy


words = st.sampled_from(
    ["nudge", "page", "input", "Text", "helpHub", "query", "url", "command", "items", "x", "é", ""]
)
names = st.lists(words, max_size=3).map("".join)
plain = st.integers() | st.booleans() | st.sampled_from(["", "x", "[", "{}", "[1]", "NaN"])
trees = st.dictionaries(
    names,
    st.recursive(
        plain,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(names, inner, max_size=3)
            | st.dictionaries(names, inner, max_size=2).map(json.dumps)
        ),
        max_leaves=8,
    ),
    max_size=5,
)


@given(
    st.sampled_from(["opened", "cb:helphub_search_input", "my own event"]),
    trees,
    st.sampled_from(
        [
            (c, k)
            for c, _, k in FORBIDDEN
            if c in {URLS, INPUTS} and ("inputText" in k or "url" in k)
        ]
    ),
    st.booleans(),
)
def test_a_forbidden_text_never_appears(
    event_name: str,
    tree: dict[str, Any],
    forbidden: tuple[BlockedCategory, str],
    as_text: bool,  # noqa: FBT001 -- drawn
) -> None:
    """Beside any other properties, as a member of any of their objects."""
    category, key = forbidden
    secret = nested(key, SECRET)
    hidden = {**tree, "wrap": [json.dumps([secret]) if as_text else secret, tree], **secret}
    properties = sent(event_name, json.dumps(hidden), category, HELP_HUB)
    assert SECRET not in json.dumps(properties)
