"""What docs/publishing.md tells other clients is true."""

from __future__ import annotations

import json
import re
import uuid
from pathlib import Path
from typing import Any

import rfc8785

from heapline.events import Refusal
from heapline.events.identity import LONGEST_OWN_ID, NAMESPACE
from heapline.events.model import Event
from heapline.events.outbox import RECORD_BYTES, Patience
from heapline.events.properties import DEEPEST_LEVEL, TOO_DEEP
from heapline.events.shapes import OWN_ID_FIELDS, V2_GROUPS
from heapline.kafka.codec import Decoder
from heapline.kafka.partition import partition_of
from heapline.kafka.schemas import schema_text
from heapline.words import EventId, UserId, Workspace
from tests.fakes.schema_source import FakeSchemas

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "publishing.md").read_text(encoding="utf-8")
VECTORS = json.loads((Path(__file__).parent / "vectors.json").read_text(encoding="utf-8"))


def fenced(language: str) -> list[str]:
    """Give the fenced blocks of one language."""
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", PAGE, re.DOTALL | re.MULTILINE)


def rows(title: str) -> list[list[str]]:
    """Give the cells of the table whose first column has this title, without its head."""
    table = re.search(rf"^\| {title} \|.*\n\|[-|]+\n((?:\|.*\n)+)", PAGE, re.MULTILINE)
    assert table is not None, title
    return [
        [cell.strip().strip("`") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        for line in table[1].splitlines()
    ]


def test_vectors() -> None:
    """The page's vectors are the ones the code is tested with."""
    assert json.loads(fenced("json")[-1]) == VECTORS["events"]
    assert str(NAMESPACE) in PAGE


def test_vectors_follow_from_the_page_alone() -> None:
    """Done by hand as the page says, with nothing of heapline's, each id comes out."""

    def flat(value: dict[str, Any], path: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        for key in sorted(value, key=lambda each: "." not in each):  # dotted first: nested wins
            item = value[key]
            if isinstance(item, dict):
                found |= flat(item, f"{path}{key}.")
            else:
                # As a reader of JSON without integers would have it: the nearest double.
                found[path + key] = float(item) if type(item) is int else item
        return found

    for vector in json.loads(fenced("json")[-1]):
        names = ("workspace", "name", "user_id", "anonymous_id", "session_id", "timestamp")
        array: Any = [vector["fields"][name] for name in names]
        array.append(flat(vector["fields"]["properties"]))
        text = rfc8785.dumps(array).decode()
        assert text == vector["hashed_text"]
        assert str(uuid.uuid5(NAMESPACE, text)) == vector["event_id"]


def test_partitions() -> None:
    """Each key of the table has its bytes and its partition."""
    for key, in_hex, partition in rows("key"):
        assert key.encode().hex() == in_hex
        assert partition_of(key.encode(), 12) == int(partition)


def test_the_example_record() -> None:
    """The bytes of the example are the first vector's record."""
    example = bytes.fromhex(next(block for block in fenced("text") if block.startswith("00")))
    assert example[:5] == b"\x00\x00\x00\x00\x07"
    decoder = Decoder("CommandAIEvent", FakeSchemas({7: schema_text("CommandAIEvent")}))
    fields = VECTORS["events"][0]["fields"]
    assert Event.from_record(decoder.decode(example)) == Event(
        EventId(VECTORS["events"][0]["event_id"]),
        Workspace(fields["workspace"]),
        fields["name"],
        UserId(fields["user_id"]),
        fields["timestamp"],
        1772357400500,
        anonymous_id=fields["anonymous_id"],
        session_id=fields["session_id"],
        properties='{"nudge.id":"n1","nudge.step.id":1,"type":"nudge_shown"}',
    )


def test_fields() -> None:
    """The table has the contract's fields, in its order, with their types."""
    contract = json.loads(schema_text("CommandAIEvent"))["fields"]

    def written(kind: Any) -> str:  # noqa: ANN401 -- any Avro type
        if isinstance(kind, list):
            return ", ".join(map(written, kind))
        if isinstance(kind, dict) and kind["type"] == "array":
            return f"array of {written(kind['items'])}"
        return f"{kind['type']} ({kind['logicalType']})" if isinstance(kind, dict) else str(kind)

    assert [row[:2] for row in rows("field")] == [
        [field["name"], written(field["type"])] for field in contract
    ]


def test_refusals() -> None:
    """Every reason is explained, and no other."""
    assert [row[0] for row in rows("reason")] == list(Refusal)


def test_numbers() -> None:
    """Limits are told as they are."""
    assert f"{RECORD_BYTES:,} bytes" in PAGE
    assert f"Over {LONGEST_OWN_ID} characters" in PAGE
    assert f"deeper than {DEEPEST_LEVEL}\n  levels" in PAGE
    assert f'"{TOO_DEEP}"' in PAGE
    assert f"no room for {Patience().queue_seconds:.0f} s" in PAGE


def test_shapes() -> None:
    """Groups and id fields are all named."""
    table = {row[0]: row[1] for row in rows("of the event")}
    assert re.findall(r"[a-zA-Z_]+", table["properties, with their prefix"]) == list(V2_GROUPS)
    assert re.findall(r"`([a-zA-Z_]+)", "`" + table["own id"]) == list(OWN_ID_FIELDS)
