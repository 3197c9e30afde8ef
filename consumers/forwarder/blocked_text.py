"""Text an organisation forbids to pass on: which property holds which category.

Command AI lets an organisation forbid five categories (contracts: Command AI event shapes), and the
`scrubbers` of a v2 event may name the same five; other scrubbers say what the source already did
and ask nothing of us. Command AI does not publish which property belongs to which category, and
properties are an open set. So keys are judged by the words in them (`inputText[*]` is *input text*,
`helpHubDoc.query` is *help hub doc*, *query*), and where a key may hold forbidden text it counts as
holding it: a missing property costs an analyst a column, a leaked one costs a customer's trust.

`commands`
    Command ids, texts, details and history; the v2 `action`; name, text and category of a command
    in events about one; texts of search results.
`records`
    Records, resources, selections; texts of search results.
`urls`
    URLs and their parts (all of `page` but its title), links, referrers, the goal of a checklist's
    item; any text with a URL in it.
`user_inputs_and_deadends`
    What was typed: input, search, query; `text` and `value` in events about typing; texts in
    answers to surveys; chat.
`help_hub_search`
    The same words where the event or the key speaks of Help Hub; chat.

A text in chat belongs to both of the last two, as does what was typed when nothing was found.
Ids and counts are numbers, not text: `command_id`, `numRecords`, a survey's score stay, unless they
are texts themselves.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from consumers.forwarder.json_nesting import MAX_DEPTH, nested_within
from heapline.heap.connection import BlockedCategory

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_WORD: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
_JUDGED_REMEMBERED: Final = 20_000


class Verdict(IntEnum):
    """What may pass of the value under a key."""

    ALL = 0
    NUMBERS = 1
    NOTHING = 2


@dataclass(frozen=True, slots=True)
class _Key:
    """One property of one event, in words.

    Attributes:
        event: the words of the event's name.
        words: all words of the key, its segments' one after another.
        last: the words of its last segment.
        above: the words of the segments above it.
    """

    event: frozenset[str]
    words: frozenset[str]
    last: tuple[str, ...]
    above: frozenset[str]

    def about(self, *topics: str) -> bool:
        """Tell whether the event or the key speaks of one of these."""
        return any(topic in self.event or topic in self.words for topic in topics)

    def starts(self, *prefixes: str) -> bool:
        """Tell whether a word of the key starts so."""
        return any(word.startswith(prefixes) for word in self.words)

    def counts(self) -> bool:
        """Tell whether the key names a count, a duration or an id."""
        return bool(self.last) and (self.last[0] in _COUNTS_FIRST or self.last[-1] in _COUNTS_LAST)


_COUNTS_FIRST: Final = frozenset({"num", "number", "count", "total", "is", "has"})
_COUNTS_LAST: Final = frozenset(
    {"id", "ids", "count", "total", "length", "rank", "ranking", "index", "ms", "seconds", "shown"}
)
_TYPED: Final = ("input", "search", "query", "queries", "typed", "deadend", "prompt", "keyword")
_TYPING_EVENTS: Final = frozenset(
    {"input", "search", "suggestion", "abandoned", "deadend", "click", "query"}
)
_TYPED_THERE: Final = frozenset({"text", "value", "content", "term", "terms", "label"})
_CHAT: Final = frozenset({"chat", "copilot", "conversation"})
_SAID: Final = frozenset(
    {
        "message",
        "messages",
        "question",
        "questions",
        "answer",
        "answers",
        "history",
        "continuation",
        "text",
        "content",
        "reply",
        "replies",
        "response",
        "responses",
        "transcript",
        "feedback",
        "comment",
        "suggestion",
        "suggestions",
        "title",
        "follow",
        "value",
    }
)
_SURVEY: Final = frozenset({"survey", "response", "responses", "answer", "answers"})
_ANSWERED: Final = frozenset(
    {
        "value",
        "values",
        "text",
        "answer",
        "answers",
        "response",
        "responses",
        "comment",
        "feedback",
        "label",
        "option",
        "options",
    }
)
_RECORDS: Final = frozenset(
    {
        "record",
        "records",
        "recordid",
        "recordtext",
        "recordname",
        "recordkey",
        "resource",
        "resources",
        "selection",
        "selections",
    }
)
_URL_WORDS: Final = frozenset(
    {
        "link",
        "links",
        "hostname",
        "host",
        "domain",
        "hash",
        "path",
        "pathname",
        "location",
        "origin",
        "page",
        "pages",
    }
)
_URL_ENDINGS: Final = ("url", "urls", "uri", "uris", "href", "hrefs", "referrer", "referer")
_ABOUT_COMMANDS: Final = frozenset({"command", "action", "shortcut"})
_COMMAND_NAMES: Final = frozenset({"category", "text", "name", "title", "label", "slug"})
_NOT_COMMANDS: Final = ("commandbar", "commandai")


class BlockedText:
    """Takes the text of some categories out of events' properties."""

    def __init__(self, categories: Iterable[BlockedCategory]) -> None:
        self._categories = frozenset(categories)
        self._no_urls = BlockedCategory.URLS in self._categories
        self._judged: dict[tuple[str, str], Verdict] = {}

    def without(self, event_name: str, properties: dict[str, Any]) -> dict[str, Any]:
        """Give the properties less what is forbidden; what is given is left as it is.

        Nested objects, arrays of objects and texts that hold JSON are looked into; properties must
        be nested within `MAX_DEPTH`. A text that begins like JSON and is not, because it was cut,
        is left out, and so is JSON text inside JSON text: nobody can tell what it holds.
        """
        return _Pruning(self, event_name, no_urls=self._no_urls).members("", properties)

    def verdict(self, event_name: str, key: str) -> Verdict:
        """Judge one key, dots included."""
        asked = (event_name, key)
        known = self._judged.get(asked)
        if known is None:
            if len(self._judged) >= _JUDGED_REMEMBERED:
                self._judged.clear()
            known = self._judged[asked] = self._judge(event_name, key)
        return known

    def _judge(self, event_name: str, key: str) -> Verdict:
        verdicts = categories_of(event_name, key)
        return max((verdicts.get(c, Verdict.ALL) for c in self._categories), default=Verdict.ALL)


class _Pruning:
    """Walks one event's properties, or the JSON text in one of them."""

    def __init__(
        self, blocked: BlockedText, event_name: str, *, no_urls: bool, in_text: bool = False
    ) -> None:
        self._blocked = blocked
        self._event_name = event_name
        self._no_urls = no_urls
        self._in_text = in_text

    def members(self, path: str, members: dict[str, Any]) -> dict[str, Any]:
        kept = {}
        for key, value in members.items():
            left = self.value(f"{path}.{key}" if path else key, value)
            if left is not None:
                kept[key] = left
        return kept

    def value(self, path: str, value: Any) -> Any:  # noqa: ANN401 -- any JSON
        if isinstance(value, dict):
            return self.members(path, value)
        if isinstance(value, list):
            return [left for item in value if (left := self.value(path, item)) is not None]
        return self._scalar(path, value)

    def _scalar(self, path: str, value: Any) -> Any:  # noqa: ANN401 -- any JSON but containers
        verdict = self._blocked.verdict(self._event_name, path)
        if verdict is Verdict.NOTHING:
            return None
        if not isinstance(value, str):
            return value
        if verdict is Verdict.NUMBERS:
            return None
        if value.lstrip().startswith(("{", "[")):
            return self._json_text(path, value)
        return None if self._no_urls and _holds_url(value) else value

    def _json_text(self, path: str, text: str) -> str | None:
        try:
            held = None if self._in_text else json.loads(text)
        except (ValueError, RecursionError):
            return None
        if held is None or not nested_within(MAX_DEPTH, held):
            return None
        inside = _Pruning(self._blocked, self._event_name, no_urls=self._no_urls, in_text=True)
        return json.dumps(inside.value(path, held), ensure_ascii=False, separators=(",", ":"))


@lru_cache(maxsize=_JUDGED_REMEMBERED)
def categories_of(event_name: str, key: str) -> dict[BlockedCategory, Verdict]:
    """Give which categories a key's value may belong to, and what may still pass under each."""
    segments = [_words(segment) for segment in key.split(".")]
    words = frozenset(word for segment in segments for word in segment)
    above = frozenset(word for segment in segments[:-1] for word in segment)
    asked = _Key(frozenset(_words(event_name)), words, segments[-1], above)
    found: dict[BlockedCategory, Verdict] = {}
    for category, verdict in _findings(asked):
        found[category] = max(verdict, found.get(category, Verdict.ALL))
    return found


def _findings(key: _Key) -> Iterator[tuple[BlockedCategory, Verdict]]:
    firm = Verdict.NUMBERS if key.counts() else Verdict.NOTHING
    if _is_result(key):
        yield BlockedCategory.COMMANDS, Verdict.NUMBERS
        yield BlockedCategory.RECORDS, Verdict.NUMBERS
    if _is_command(key):
        yield BlockedCategory.COMMANDS, Verdict.NUMBERS
    if key.words & _RECORDS:
        yield BlockedCategory.RECORDS, firm
    if _is_url(key):
        yield BlockedCategory.URLS, Verdict.NUMBERS if key.last == ("page",) else firm
    if _is_answer(key):
        yield BlockedCategory.USER_INPUTS_AND_DEADENDS, Verdict.NUMBERS
    for category in _typed_categories(key):
        yield category, firm


def _typed_categories(key: _Key) -> tuple[BlockedCategory, ...]:
    both = (BlockedCategory.USER_INPUTS_AND_DEADENDS, BlockedCategory.HELP_HUB_SEARCH)
    typed = _is_typed(key)
    if _is_chat(key) or (typed and "results" in key.event):
        return both
    if not typed:
        return ()
    return (BlockedCategory.HELP_HUB_SEARCH if key.about("helphub") else both[0],)


def _is_typed(key: _Key) -> bool:
    if "page" in key.above:  # the query of a URL
        return False
    return key.starts(*_TYPED) or bool(key.event & _TYPING_EVENTS and key.words & _TYPED_THERE)


def _is_chat(key: _Key) -> bool:
    """Help Hub's chat speaks in `help_hub_engagement`, which does not say chat."""
    about_chat = key.about(*_CHAT) or {"helphub", "engagement"} <= key.event
    return about_chat and (bool(key.words & _SAID) or key.starts(*_TYPED))


def _is_answer(key: _Key) -> bool:
    return key.about(*_SURVEY) and bool(key.words & _ANSWERED)


def _is_result(key: _Key) -> bool:
    searched = key.about("spotlight", "search")
    return bool(key.words & {"result", "results"}) or (
        searched and "result" in key.event and bool(key.words & _COMMAND_NAMES)
    )


def _is_command(key: _Key) -> bool:
    if any(w.startswith("command") and not w.startswith(_NOT_COMMANDS) for w in key.words):
        return True
    return "action" in key.above or bool(key.event & _ABOUT_COMMANDS and key.words & _COMMAND_NAMES)


def _is_url(key: _Key) -> bool:
    if any(word.endswith(_URL_ENDINGS) or word.startswith("url") for word in key.words):
        return True
    if "page" in key.above:
        return key.last != ("title",)
    return bool(key.words & _URL_WORDS) or key.words >= {"goal", "value"}


def _words(text: str) -> tuple[str, ...]:
    """Split camelCase, snake_case and prose into words in lower case; Help Hub is one word."""
    words = " ".join(match.group().lower() for match in _WORD.finditer(text))
    return tuple(words.replace("help hub", "helphub").split())


def _holds_url(text: str) -> bool:
    return "://" in text or text.startswith("www.")
