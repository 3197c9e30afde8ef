"""The Avro contracts in `avro/`, loaded and parsed."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, Final

import fastavro

_BESIDE_SOURCE: Final = Path(__file__).resolve().parents[2] / "avro"
_INSIDE_WHEEL: Final = Path(__file__).resolve().parents[1] / "avro"


def schema_text(name: str) -> str:
    """Give the text of one contract, for example `CommandAIEvent`.

    Raises:
        FileNotFoundError: there is no such contract.
    """
    folder = _INSIDE_WHEEL if _INSIDE_WHEEL.is_dir() else _BESIDE_SOURCE
    return (folder / f"{name}.avsc").read_text(encoding="utf-8")


@functools.cache
def parsed_schema(name: str) -> Any:  # noqa: ANN401 -- fastavro's own type for a parsed schema
    """Give one contract ready for fastavro; times are plain integers (see `parse`)."""
    return parse(schema_text(name))


def parse(text: str) -> Any:  # noqa: ANN401 -- as above
    """Parse a schema for fastavro, leaving out logical types.

    A `timestamp-millis` far in the future has no Python datetime, and making one costs more than
    the rest of decoding: the codec deals in the plain integers which the wire carries.

    Raises:
        ValueError: the text is not an Avro schema.
    """
    try:
        return fastavro.parse_schema(_without_logical_types(json.loads(text)))
    except (fastavro.schema.SchemaParseException, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"not an Avro schema: {error}") from error


def _without_logical_types(node: Any) -> Any:  # noqa: ANN401 -- any JSON
    if isinstance(node, dict):
        return {k: _without_logical_types(v) for k, v in node.items() if k != "logicalType"}
    if isinstance(node, list):
        return [_without_logical_types(item) for item in node]
    return node
