"""Many framed Avro values of one writer schema, decoded at once as one Avro object container.

Bodies without a schema, put one after another behind a header, a count and a length, *are* a block
of an Avro object container (Avro specification, Object container files), which polars decodes in
Rust. The five framing bytes before each are read as a field of fixed size.

Polars is not asked to judge: a value is taken from a block only if every byte of its structure
stands where the canonical encoding of what was decoded puts it. So a value that is too short, too
long or oddly encoded cannot shift or swallow its neighbours; it is left to the exact decoder.
"""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import polars as pl

from consumers.forwarder.flat_objects import SPARE_BYTES
from heapline.kafka.codec import FRAMING_BYTES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_SYNC: Final = b"heapline's block"
_AT_ONCE: Final = 1_000
"""Values in one block: few enough that a corrupt one does not spoil many, and fast."""
_REPAIRS: Final = 8
"""Bad values cut out of one block before the rest of it is left to the exact decoder."""
_FEWEST: Final = 16
_LAYOUT: Final = (
    ("event_id", "text"),
    ("workspace", "text"),
    ("name", "text"),
    ("user_id", "nullable"),
    ("anonymous_id", "nullable"),
    ("session_id", "nullable"),
    ("timestamp", "long"),
    ("received_at", "long"),
    ("shape", "text"),
    ("is_admin", "boolean"),
    ("is_simulated", "boolean"),
    ("is_preview", "boolean"),
    ("scrubbers", "texts"),
    ("properties", "text"),
)
"""The contract as it stands today; values of every other writer schema are decoded one by one."""
_KINDS: Final[dict[str, Any]] = {
    "text": "string",
    "nullable": ["null", "string"],
    "long": "long",
    "boolean": "boolean",
    "texts": {"type": "array", "items": "string"},
}


def readable(writer: dict[str, Any]) -> bool:
    """Tell whether values of a writer schema, parsed, can be read in blocks."""
    found = [(field["name"], _plain(field["type"])) for field in writer.get("fields", ())]
    return writer.get("type") == "record" and found == [(n, _KINDS[k]) for n, k in _LAYOUT]


def _plain(kind: Any) -> Any:  # noqa: ANN401 -- any schema
    return kind["type"] if isinstance(kind, dict) and kind.keys() == {"type"} else kind


class Decoded(NamedTuple):
    """What could be decoded in blocks.

    Attributes:
        frame: one row for each value decoded; column `end` says where it ends in `joined`,
            `value_bytes` how long it is, `event_id_bytes` and the like how long its texts are.
        rows: which values these are, ascending. The others need the exact decoder.
        joined: all values, one right behind the other, and `SPARE_BYTES`. `properties`, the last
            field, stands at the end of each.
    """

    frame: pl.DataFrame
    rows: Integers
    joined: bytes


def read(values: Sequence[bytes], framing: bytes) -> Decoded:
    """Decode what can be decoded in blocks.

    Args:
        values: framed values, all starting with `framing`.
        framing: the five bytes of a schema that is `readable`.
    """
    given = _Values(values, framing)
    blocks = [given.decoded(at, at + _AT_ONCE) for at in range(0, len(values), _AT_ONCE)]
    whole = [block for block in blocks if block is not None]
    if whole and len(whole) == len(blocks):
        frame = _measured(pl.concat(whole, rechunk=False))
        if frame.height == len(values) == given.good_rows(frame, 0):
            return given.taken(frame, np.arange(len(values)))
    return _read_around(given)


def _read_around(given: _Values) -> Decoded:
    """Decode values among which some are bad."""
    frames: list[pl.DataFrame] = []
    places: list[Integers] = [np.empty(0, np.int64)]
    for start in range(0, len(given), _AT_ONCE):
        _Block(given, frames, places).read(start, min(start + _AT_ONCE, len(given)))
    return given.taken(
        pl.concat(frames, rechunk=False) if frames else EMPTY, np.concatenate(places)
    )


class _Values:
    """Framed values, joined."""

    def __init__(self, values: Sequence[bytes], framing: bytes) -> None:
        self._framing = framing
        self._joined = b"".join([*values, bytes(SPARE_BYTES)])
        self._lengths = np.fromiter(map(len, values), np.int64, len(values))
        self._ends = np.cumsum(self._lengths)

    def __len__(self) -> int:
        return len(self._lengths)

    def taken(self, frame: pl.DataFrame, rows: Integers) -> Decoded:
        places = [
            pl.Series("end", self._ends[rows]),
            pl.Series("value_bytes", self._lengths[rows]),
        ]
        return Decoded(frame.hstack(places), rows, self._joined)

    def decoded(self, start: int, stop: int) -> pl.DataFrame | None:
        """Decode some neighbours, or none of them."""
        ends = self._ends[start:stop]
        body = memoryview(self._joined)[ends[0] - self._lengths[start] : ends[-1]]
        parts = (_HEAD, _varint(len(ends)), _varint(len(body)), body, _SYNC)
        try:
            return pl.read_avro(io.BytesIO(b"".join(parts)))
        # Corrupt bytes can ask polars for anything; whatever it raises, they are decoded exactly.
        except (Exception, pl.exceptions.PanicException):  # noqa: BLE001
            return None

    def good_rows(self, frame: pl.DataFrame, first: int) -> int:
        """Count rows before one that is not exactly its value, canonically encoded.

        Args:
            frame: decoded from the values from `first` on, and measured.
            first: a value.
        """
        rows = min(frame.height, len(self) - first)
        ends = self._ends[first : first + rows]
        check = _Check(np.frombuffer(self._joined, np.uint8), ends - self._lengths[first:][:rows])
        frame = frame[:rows]
        check.good &= (frame["framing"] == pl.Series([self._framing])).to_numpy()
        check.at += FRAMING_BYTES
        for name, kind in _LAYOUT:
            measured = frame[name if kind in _PLAIN else f"{name}_bytes"]
            getattr(check, kind)(measured.to_numpy(), frame[name])
        check.good &= check.at == ends
        bad = np.flatnonzero(~check.good)
        return int(bad[0]) if len(bad) else rows


class _Block:
    """Reads up to a thousand values, with as little left out as can be."""

    def __init__(self, given: _Values, frames: list[pl.DataFrame], places: list[Integers]) -> None:
        self._given = given
        self._frames = frames
        self._places = places
        self._repairs = _REPAIRS

    def read(self, start: int, stop: int) -> None:
        while start < stop:
            frame = self._given.decoded(start, stop)
            if frame is None:
                self._halve(start, stop)
                return
            frame = _measured(frame)
            good = self._given.good_rows(frame[: stop - start], start)
            if good:
                self._frames.append(frame[:good])
                self._places.append(np.arange(start, start + good))
            start += good + 1
            self._repairs -= 1
            if self._repairs <= 0 and start < stop:
                return

    def _halve(self, start: int, stop: int) -> None:
        self._repairs -= 1
        if stop - start < _FEWEST or self._repairs <= 0:
            return
        middle = (start + stop) // 2
        self.read(start, middle)
        self.read(middle, stop)


class _Check:
    """Walks along all rows at once, field by field, and compares structure with content.

    Attributes:
        at: where the next field of each row starts.
        good: rows whose structure was canonical so far.
    """

    def __init__(self, data: NDArray[np.uint8], starts: Integers) -> None:
        self.at = starts.copy()
        self.good = np.ones(len(starts), np.bool_)
        self._data = data

    def _byte(self, at: Integers) -> NDArray[np.uint8]:
        return self._data.take(at, mode="clip")

    def text(self, lengths: Integers, _column: pl.Series) -> None:
        self._text(lengths)

    def _text(self, lengths: Integers) -> None:
        self._number(lengths * 2)
        self.at += lengths

    def _number(self, zigzag: Integers) -> None:
        """Pass a varint: as many bytes as it needs, of which the last does not go on."""
        size = np.ones(len(zigzag), np.int64)
        bound = 1 << 7
        while bound <= zigzag.max(initial=0):
            size += zigzag >= bound
            bound <<= 7
        self.at += size
        self.good &= self._byte(self.at - 1) < 0x80  # noqa: PLR2004 -- Avro: the bit that goes on

    def nullable(self, lengths: Integers, _column: pl.Series) -> None:
        """Pass a text or null; the length of null is -1."""
        present = lengths >= 0
        self.good &= self._byte(self.at) == present * 2
        self.at += 1
        before, good = self.at.copy(), self.good.copy()
        self._text(np.maximum(lengths, 0))
        self.at = np.where(present, self.at, before)
        self.good = np.where(present, self.good, good)

    def long(self, numbers: Integers, _column: pl.Series) -> None:
        near = np.abs(numbers) < _FAR
        self.good &= near
        safe = np.where(near, numbers, 0)
        self._number((safe << 1) ^ (safe >> 63))

    def boolean(self, truths: NDArray[np.bool_], _column: pl.Series) -> None:
        self.good &= self._byte(self.at) == truths
        self.at += 1

    def texts(self, counts: Integers, column: pl.Series) -> None:
        """Pass an array; one that is not empty is compared byte by byte, for it is rare."""
        for row in np.flatnonzero(counts).tolist():
            items = [item.encode() for item in column[row]]
            expected = b"".join((_varint(len(items)), *map(_text, items)))
            found = self._data[self.at[row] : self.at[row] + len(expected)].tobytes()
            self.good[row] &= found == expected
            self.at[row] += len(expected)
        self.good &= self._byte(self.at) == 0
        self.at += 1


def _measured(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.hstack(frame.select(_MEASURES))


def _measure(name: str, kind: str) -> pl.Expr:
    """Give how long a text is, of null -1, or how many texts there are."""
    column = pl.col(name)
    size = column.list.len() if kind == "texts" else column.str.len_bytes()
    return size.cast(pl.Int64).fill_null(-1).alias(f"{name}_bytes")


_PLAIN: Final = ("long", "boolean")
"""What is not measured."""
_MEASURES: Final = [_measure(name, kind) for name, kind in _LAYOUT if kind not in _PLAIN]
_FAR: Final = 1 << 61
"""Numbers beyond are left to the exact decoder: doubling them leaves 64 bits."""


def _varint(number: int) -> bytes:
    zigzag, written = number << 1, bytearray()
    while zigzag > 0x7F:  # noqa: PLR2004 -- Avro: seven bits a byte
        written.append(zigzag & 0x7F | 0x80)
        zigzag >>= 7
    written.append(zigzag)
    return bytes(written)


def _text(text: bytes) -> bytes:
    return _varint(len(text)) + text


def _schema() -> bytes:
    framing = {"name": "framing", "type": {"type": "fixed", "name": "Framing", "size": 5}}
    fields = [{"name": name, "type": _KINDS[kind]} for name, kind in _LAYOUT]
    return json.dumps({"type": "record", "name": "Framed", "fields": [framing, *fields]}).encode()


_HEAD: Final = b"".join(
    (
        b"Obj\x01",
        _varint(2),
        _text(b"avro.schema") + _text(_schema()),
        _text(b"avro.codec") + _text(b"null"),
        _varint(0),
        _SYNC,
    )
)
EMPTY: Final = _measured(pl.read_avro(io.BytesIO(_HEAD)))
