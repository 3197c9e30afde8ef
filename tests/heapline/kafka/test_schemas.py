"""The Avro contracts as files."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from heapline.kafka.schemas import parse, parsed_schema, schema_text
from heapline.kafka.topics import TOPICS

FOLDER = Path(__file__).resolve().parents[3] / "avro"
CONTRACTS = sorted(path.stem for path in FOLDER.glob("*.avsc"))


def types_of(node: Any) -> list[dict[str, Any]]:  # noqa: ANN401 -- any JSON
    """Every object inside a schema."""
    if isinstance(node, dict):
        return [node, *(found for item in node.values() for found in types_of(item))]
    return [found for item in node for found in types_of(item)] if isinstance(node, list) else []


@pytest.mark.parametrize("name", CONTRACTS)
def test_every_contract_is_documented(name: str) -> None:
    """Whoever writes in another language reads nothing but the schema."""
    document = json.loads(schema_text(name))
    assert (document["name"], document["namespace"]) == (name, "heapline")
    for node in types_of(document):
        if "fields" in node:
            assert node["doc"].strip()
            assert all(field["doc"].strip() for field in node["fields"])


def test_every_topics_contract_exists_and_every_contract_has_a_topic() -> None:
    """Nothing is registered that nobody writes."""
    assert {topic.schema for topic in TOPICS if topic.schema} == set(CONTRACTS)


@pytest.mark.parametrize("name", CONTRACTS)
def test_parsed_contracts_have_no_logical_types(name: str) -> None:
    """Times are plain integers on both sides of the codec; the text keeps them for others."""
    assert "logicalType" in schema_text(name)
    assert not [node for node in types_of(parsed_schema(name)) if "logicalType" in node]
    assert parsed_schema(name) is parsed_schema(name)


def test_an_unknown_contract_is_no_file() -> None:
    """Names are exact."""
    with pytest.raises(FileNotFoundError):
        schema_text("CommandAiEvent2")


@pytest.mark.parametrize(
    "text",
    ["", "nonsense", "{}", "5", "null", '{"type": "record"}', '"b"', "[" * 5000],
)
def test_what_is_no_schema_is_a_value_error(text: str) -> None:
    """One kind of error for the many fastavro has."""
    with pytest.raises(ValueError, match=r".*"):
        parse(text)


def test_a_record_that_names_itself_can_be_parsed() -> None:
    """Schemas of the same name are told apart, and recursion is no trouble."""
    for default in ("1", "2"):
        text = (
            '{"type": "record", "name": "t", "fields": [{"name": "next", "type": ["null", "t"]},'
            f' {{"name": "n", "type": "int", "default": {default}}}]}}'
        )
        assert parse(text)["fields"][1]["default"] == int(default)
