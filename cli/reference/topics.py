"""Every topic, its keys, headers and values, as a page."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from cli.reference.asyncapi_messages import MESSAGES, messages_of
from cli.reference.asyncapi_roles import ROLES
from cli.reference.markdown import code, table
from heapline.kafka.headers import PREFIX
from heapline.kafka.schemas import schema_text
from heapline.kafka.topics import DAY_MS, TOPICS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.reference.asyncapi_messages import MessageKind
    from heapline.kafka.topics import Topic

_HEAD: Final = """# Topics

What stands in Kafka. Names begin with the installation's prefix (`HEAPLINE_KAFKA__PREFIX`), which
is empty unless somebody chose one. [asyncapi.json](asyncapi.json) says the same to programs, in
AsyncAPI 3.0. Made from the code by `make reference`.

Keys are plain UTF-8, never framed. Values are Avro behind Confluent's five bytes; their schemas
are in `avro/`, under the subject `TOPIC-value`. Producers partition by murmur2 of the key, as Java
clients do by default; memberships by that of the workspace alone. Whoever reads a topic that is
written in transactions sets `isolation.level=read_committed`.
"""
_PARTITIONS_CHOSEN: Final = "as chosen at `topics apply`"


def topic_reference() -> str:
    """Give the page."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield from _HEAD.splitlines()
    yield ""
    titles = ("topic", "what it holds", "kept", "partitions", "written by", "read by")
    yield from table(titles, [_row(each) for each in TOPICS])
    for topic in TOPICS:
        yield from ("", f"## {topic.name}")
        for kind in messages_of(topic):
            yield from _message(kind)
    yield from ("", "## Values")
    for name in dict.fromkeys(each.value for each in MESSAGES if each.value is not None):
        yield from _record(json.loads(schema_text(name)))


def _row(topic: Topic) -> tuple[str, ...]:
    return (
        code(topic.name),
        topic.purpose,
        _kept(topic),
        _PARTITIONS_CHOSEN if topic.partitions is None else str(topic.partitions),
        ", ".join(code(role.name) for role in ROLES if topic in role.writes),
        ", ".join(code(role.name) for role in ROLES if topic in role.reads),
    )


def _kept(topic: Topic) -> str:
    if topic.config["cleanup.policy"] == "compact":
        return "compacted: the newest of each key"
    return f"{int(topic.config['retention.ms']) // DAY_MS} days"


def _message(kind: MessageKind) -> Iterator[str]:
    value = "none" if kind.value is None else f"[{code(kind.value)}](#{kind.value.lower()})"
    if kind.json_value is not None:
        value = f"JSON. {kind.json_value['description']}"
    yield from ("", f"**{kind.name}**: {kind.summary}", "")
    rows = [("key", kind.key["description"]), ("value", value)]
    for header in kind.headers:
        meaning = header.meaning + ("" if header.required else " May be missing.")
        known = ", ".join(code(each) for each in header.schema.get("enum", ()))
        rows.append(
            (code(PREFIX + header.name), f"{meaning} One of {known}." if known else meaning)
        )
    yield from table(("part", "is"), rows)


def _record(schema: dict[str, Any], level: int = 3) -> Iterator[str]:
    yield from ("", f"{'#' * level} {schema['name']}", "", schema["doc"], "")
    rows = [
        (code(each["name"]), _kind(each["type"]), _default(each), each["doc"])
        for each in schema["fields"]
    ]
    yield from table(("field", "type", "default", "meaning"), rows)
    for each in schema["fields"]:
        inner = each["type"]
        while isinstance(inner, dict) and inner["type"] == "array":
            inner = inner["items"]
        if isinstance(inner, dict) and inner["type"] == "record":
            yield from _record(inner, level + 1)


def _kind(kind: Any) -> str:  # noqa: ANN401 -- any Avro type
    if isinstance(kind, list):
        return " or ".join(map(_kind, kind))
    if isinstance(kind, str):
        return kind
    if kind["type"] == "array":
        return f"array of {_kind(kind['items'])}"
    if kind["type"] == "record":
        return f"[{kind['name']}](#{kind['name'].lower()})"
    return f"{kind['type']} ({kind['logicalType']})"


def _default(field: dict[str, Any]) -> str:
    return code(json.dumps(field["default"])) if "default" in field else ""
