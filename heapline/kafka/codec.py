"""Avro values in Confluent's framing: a zero byte, the schema id in four bytes, the body.

Keys are plain UTF-8 and never pass through here.
"""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING, Any, Final, Protocol

import fastavro

from heapline.errors import Undeliverable
from heapline.kafka.schemas import parse, parsed_schema
from heapline.outcomes import DeadLetterReason

if TYPE_CHECKING:
    from collections.abc import Mapping

FRAMING_BYTES: Final = 5
_FRAMING: Final = struct.Struct(">bI")


class SchemaSource(Protocol):
    """Where the text of a schema id comes from; the registry, or a fake."""

    def schema_by_id(self, schema_id: int) -> str:
        """Give a schema's text.

        Raises:
            UnknownSchema: the registry answered that it has none with this id.
            RegistryUnavailable: it did not answer.
        """
        ...


def frame(schema_id: int, body: bytes) -> bytes:
    """Put Confluent's framing before an Avro body."""
    return _FRAMING.pack(0, schema_id) + body


def schema_id_of(value: bytes | None) -> int:
    """Read the schema id from a framed value.

    Raises:
        Undeliverable: the value is absent, too short, or does not start with the magic byte.
    """
    if value is None or len(value) < FRAMING_BYTES:
        raise Undeliverable(DeadLetterReason.UNDECODABLE, "shorter than the five framing bytes")
    magic, schema_id = _FRAMING.unpack_from(value)
    if magic != 0:
        raise Undeliverable(DeadLetterReason.UNDECODABLE, f"wrong magic byte {magic & 0xFF:#04x}")
    return int(schema_id)


class Encoder:
    """Writes records of one contract under one registered schema id."""

    def __init__(self, contract: str, schema_id: int) -> None:
        self._schema = parsed_schema(contract)
        self._head = _FRAMING.pack(0, schema_id)

    def encode(self, record: Mapping[str, Any]) -> bytes:
        """Write one record.

        Raises:
            ValueError: the record does not fit the contract.
        """
        out = io.BytesIO()
        out.write(self._head)
        try:
            fastavro.schemaless_writer(out, self._schema, dict(record))
        except (TypeError, KeyError, AttributeError, OverflowError) as error:
            raise ValueError(f"does not fit the contract: {error!r}") from error
        return out.getvalue()


class Decoder:
    """Reads records of one contract, whatever version of it they were written with.

    Fields a writer did not know get the contract's defaults; fields the contract does not know are
    dropped; Avro's promotions apply.
    """

    def __init__(self, contract: str, schemas: SchemaSource) -> None:
        self._reader = parsed_schema(contract)
        self._schemas = schemas
        self._writers: dict[int, Any] = {}

    def knows(self, schema_id: int) -> bool:
        """Tell whether the id was read before."""
        return schema_id in self._writers

    def known_ids(self) -> tuple[int, ...]:
        """Give the ids read before."""
        return tuple(self._writers)

    def writer(self, schema_id: int) -> Any:  # noqa: ANN401 -- fastavro's own type for a schema
        """Give the parsed schema of an id read before.

        Raises:
            KeyError: it was not.
        """
        return self._writers[schema_id]

    def learn(self, schema_id: int) -> None:
        """Ask for a schema so that `decode` needs no network.

        Raises:
            UnknownSchema: the registry has none with this id.
            RegistryUnavailable: it did not answer.
            Undeliverable: what it has is not an Avro schema.
        """
        if schema_id in self._writers:
            return
        text = self._schemas.schema_by_id(schema_id)
        try:
            self._writers[schema_id] = parse(text)
        except ValueError as error:
            raise Undeliverable(DeadLetterReason.UNDECODABLE, str(error)) from error

    def decode(self, value: bytes | None) -> dict[str, Any]:
        """Read one framed value.

        Raises:
            Undeliverable: wrong framing, a body that does not fit its schema, bytes left over, or
                a schema that cannot be read as the contract.
            UnknownSchema, RegistryUnavailable: from `learn`, for an id not read before.
        """
        schema_id = schema_id_of(value)
        writer = self._writers.get(schema_id)
        if writer is None:
            self.learn(schema_id)
            writer = self._writers[schema_id]
        return self._read(value or b"", writer)

    def _read(self, value: bytes, writer: Any) -> dict[str, Any]:  # noqa: ANN401 -- parsed schema
        body = io.BytesIO(value)
        body.seek(FRAMING_BYTES)
        try:
            # One corrupt length can ask fastavro for anything; whatever it raises, the record
            # is undecodable and nothing else is wrong.
            record = fastavro.schemaless_reader(body, writer, self._reader)
        except Exception as error:
            raise Undeliverable(
                DeadLetterReason.UNDECODABLE, f"the body does not fit its schema: {_why(error)}"
            ) from error
        if body.tell() != len(value):
            left = len(value) - body.tell()
            raise Undeliverable(DeadLetterReason.UNDECODABLE, f"{left} bytes after the record")
        if not isinstance(record, dict):
            raise Undeliverable(DeadLetterReason.UNDECODABLE, "the schema is not a record")
        return record


def _why(error: Exception) -> str:
    """Name what fastavro raised, without the record's content: some errors quote what they read."""
    name = type(error).__name__
    quotes_schemas_only = isinstance(error, fastavro.read.SchemaResolutionError)
    return f"{name}: {error}"[:200] if quotes_schemas_only else name
