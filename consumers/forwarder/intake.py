"""The fast way in: many records of the events topic decided on without an object each.

What it decides is what `Gate` and `Mapper` decide, and a property test holds it to that, byte for
byte. Here are only the cases that nearly all events are; whatever else there is in a batch - other
schemas, odd names and ids, headers, properties that are not plain, workspaces with a block list or
on hold - becomes a `Record` and takes the exact path, that record alone.
"""

from __future__ import annotations

from array import array
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Final, NamedTuple, cast

import numpy as np
import polars as pl

from consumers.forwarder import avro_block
from consumers.forwarder.iso_times import iso_8601
from consumers.forwarder.judging import UNDECIDED, Judge, kept
from consumers.forwarder.plain_properties import PlainProperties
from consumers.forwarder.record import Record, key_text
from consumers.forwarder.row_budget import hashes_of
from consumers.forwarder.slab import Mapped, Slab
from consumers.forwarder.stretch import IS_RECORD, SETTLED, WAITING, Stretch
from heapline.errors import MustStop
from heapline.kafka.codec import FRAMING_BYTES, schema_id_of
from heapline.outcomes import Source

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from consumers.forwarder.columns import Columns
    from consumers.forwarder.dispatcher import Dispatcher
    from consumers.forwarder.judging import Judged
    from consumers.forwarder.record import Now, Partition
    from consumers.forwarder.row_budget import Hashes
    from consumers.forwarder.slab import Slice
    from heapline.kafka.codec import Decoder
    from heapline.kafka.headers import Headers

    Integers = NDArray[np.int64]

_SMALL: Final = (1 << 16) - 1
_FRAMING: Final = itemgetter(slice(FRAMING_BYTES))


class _Common(NamedTuple):
    """What records made of rows share, so that thousands of them take less memory."""

    key: bytes
    headers: Headers


class Intake:
    """Takes columns for a dispatcher.

    Args:
        dispatcher: whose desks decide, and whose lanes the rows wait in.
        decoder: as the dispatcher's.
    """

    def __init__(self, dispatcher: Dispatcher, decoder: Decoder) -> None:
        self._dispatcher = dispatcher
        self._decoder = decoder
        self._judge = Judge(dispatcher.desk)
        self._properties = PlainProperties()

    def take(self, columns: Columns, now: Now, decide: Callable[[Record], None]) -> None:
        """Decide on what can be decided here; note is taken of all.

        Args:
            columns: what was read.
            now: the time.
            decide: accepts a record that needs the exact path, or holds it back; asked at the
                record's turn among the others of its workspace.
        """
        dispatcher = self._dispatcher
        joined, frame = self._decoded(columns)
        verdict = self._judge.judge(frame, len(columns))
        mapped = _mapped(verdict.eligible, joined, self._properties)
        waits = np.zeros(len(columns), np.bool_)
        waits[mapped.rows] = True
        if len(mapped.rows) < verdict.eligible.height:
            eligible = verdict.eligible["row"].to_numpy()
            verdict.codes[eligible[~waits[eligible]]] = UNDECIDED
        exact: dict[int, Record] = {}
        stretches: dict[int, Stretch] = {}
        inside = np.zeros(len(columns), np.int64)
        for place, partition in enumerate(columns.partitions):
            rows = np.flatnonzero(columns.places == place)
            if not len(rows):
                continue
            stretch = _stretch(columns, partition, rows, verdict, waits[rows], now)
            stretches[place] = stretch
            inside[rows] = np.arange(len(rows))
            self._count_places(verdict, rows[stretch.codes != UNDECIDED], partition)
            odd = rows[list(stretch.records)].tolist()
            exact.update(zip(odd, stretch.records.values(), strict=True))
            dispatcher.trackers[partition].add_stretch(stretch)
        make = self._records
        slabs = dict(_slabs(columns, verdict, stretches, inside, mapped, exact, make))
        for slab in slabs.values():
            slab.stretch.unsettled_bytes += slab.bytes_between(slab.first, slab.stop)
        for stretch in stretches.values():
            dispatcher.settling.took_stretch(stretch)
        for row in sorted([*slabs, *exact]):
            if row in slabs:
                self._send_off(slabs[row])
            else:
                decide(exact[row])

    def _send_off(self, slab: Slab) -> None:
        key = self._dispatcher.desk(slab.workspace).lane
        if key is None:
            raise MustStop(f"rows of {slab.workspace} were let through without a connection")
        lane = self._dispatcher.lane_for(key, slab.workspace, slab.stretch.partition)
        lane.waiting.add_slab(slab)

    def _count_places(self, verdict: Judged, rows: Integers, partition: Partition) -> None:
        homes, counts = np.unique(verdict.homes[rows], return_counts=True)
        for home, count in zip(homes.tolist(), counts.tolist(), strict=True):
            workspace = verdict.workspaces[home]
            self._dispatcher.placement.look_at_rows(workspace, partition, count)

    def _decoded(self, columns: Columns) -> tuple[bytes, pl.DataFrame]:
        """Decode the usual rows; columns `row` and `key` say which they are.

        In the bytes each row's value stands up to column `end`, as `avro_block.Decoded` tells.
        """
        values, keys = columns.values, columns.keys
        framings = dict.fromkeys(map(_FRAMING, filter(None, values)))
        framing = self._readable(framings)
        if (
            len(framings) == 1
            and framing
            and all(values)
            and all(keys)
            and not any(columns.headers)
        ):
            usual, kept = np.arange(len(values)), values
        else:
            usual = np.flatnonzero(_usual(columns, framing))
            kept = [values[row] for row in usual.tolist()]
        read = avro_block.read(cast("Sequence[bytes]", kept), framing or b"")
        if len(read.rows) < len(values):
            usual = usual[read.rows]
            keys = [keys[row] for row in usual.tolist()]
        return read.joined, read.frame.hstack(
            [pl.Series("row", usual, pl.Int64), pl.Series("key", keys, pl.Binary)]
        )

    def _readable(self, framings: Iterable[bytes]) -> bytes | None:
        """Give the first framing whose schema is known and can be read in blocks."""
        for framing in framings:
            if len(framing) == FRAMING_BYTES and not framing[0]:
                schema_id = schema_id_of(framing)
                known = self._decoder.knows(schema_id)
                if known and avro_block.readable(self._decoder.writer(schema_id)):
                    return framing
        return None

    def _records(self, rows: Slice) -> list[Record]:
        """Make records of rows that cannot stay rows."""
        common = _Common(rows.slab.workspace.encode(), [])
        records = [self._record(rows, place, common) for place in range(rows.start, rows.stop)]
        self._dispatcher.settling.became_records(rows, records)
        return records

    def _record(self, rows: Slice, place: int, common: _Common) -> Record:
        slab, stretch = rows.slab, rows.slab.stretch
        value = slab.value_of(place)
        event = self._decoder.decode(value)
        return Record(
            stretch.partition,
            int(stretch.offsets[slab.mapped.rows[place]]),
            common.key,
            value,
            common.headers,
            Source.EVENTS,
            stretch.read_at,
            workspace=slab.workspace,
            event_id=event["event_id"],
            name=event["name"],
            identity=event["user_id"],
            body=slab.body_of(place),
        )


def _usual(columns: Columns, framing: bytes | None) -> list[bool]:
    """Tell which records have that framing, a key, and no headers of their own."""
    return [
        framing is not None
        and value is not None
        and value.startswith(framing)
        and key is not None
        and not headers
        for value, key, headers in zip(columns.values, columns.keys, columns.headers, strict=True)
    ]


class _Bodies(NamedTuple):
    """What Heap gets.

    Attributes:
        rows: of these rows of the batch.
        heads: how many bytes of a value are not in its body.
        tails: how many bytes of its end are.
        identities: their hashes.
        texts: each body.
    """

    rows: Integers
    heads: Integers
    tails: Integers
    identities: Hashes
    texts: pl.Series


def _mapped(eligible: pl.DataFrame, joined: bytes, properties: PlainProperties) -> _Bodies:
    """Map eligible rows; those are left out that only the exact mapping can map."""
    texts, tails = eligible["properties"], eligible["properties_bytes"]
    ends = eligible["end"].to_numpy()
    plain = properties.plain(texts, joined, ends - tails.to_numpy(), ends)
    frame = eligible.hstack([iso_8601(eligible["timestamp"]).alias("time")])
    if plain is not texts:
        tails *= (plain == texts).fill_null(value=False)
        frame = frame.with_columns(properties=plain, properties_bytes=tails)
        frame = kept(frame, plain.is_not_null())
    tails = frame["properties_bytes"]
    return _Bodies(
        frame["row"].to_numpy(),
        (frame["value_bytes"] - tails).to_numpy(),
        tails.to_numpy(),
        hashes_of(frame["user_id"]),
        frame.select(_BODY)["body"],
    )


_BODY: Final = pl.concat_str(
    pl.lit('{"identity":"'),
    "user_id",
    pl.lit('","event":"'),
    "name",
    pl.lit('","timestamp":"'),
    "time",
    pl.lit('","idempotency_key":"'),
    "event_id",
    pl.lit('","properties":'),
    "properties",
    pl.lit("}"),
).alias("body")


def _stretch(
    columns: Columns,
    partition: Partition,
    rows: Integers,
    verdict: Judged,
    waits: NDArray[np.bool_],
    now: Now,
) -> Stretch:
    """Make the stretch of one partition; rows without a fate are records, skipped ones settled."""
    codes = verdict.codes[rows]
    exact = codes == UNDECIDED
    states = np.where(exact, IS_RECORD, np.where(waits, WAITING, SETTLED))
    records = {place: columns.record(rows[place]) for place in np.flatnonzero(exact).tolist()}
    return Stretch(
        partition,
        columns.offsets[rows],
        columns.read_at,
        verdict.fates,
        codes,
        states.astype(np.uint8),
        np.full(len(rows), now.epoch_ms // 60_000),
        records,
    )


def _slabs(
    columns: Columns,
    verdict: Judged,
    stretches: dict[int, Stretch],
    inside: Integers,
    mapped: _Bodies,
    exact: Collection[int],
    make_records: Callable[[Slice], list[Record]],
) -> Iterator[tuple[int, Slab]]:
    """Give the mapped rows by partition and workspace, each slab with the first row in it.

    No slab reaches beyond a row of its workspace that goes the exact way. `inside` says where in
    their stretch rows are.
    """
    if not len(mapped.rows):
        return
    order, first_of_each = _grouped(columns.places, verdict.homes, mapped.rows)
    taken, head_bytes, texts = mapped.rows[order], mapped.heads[order], mapped.texts.gather(order)
    first_of_each = _cut(columns, taken, first_of_each, exact)
    heads = _heads(columns, taken, head_bytes)
    ends = texts.str.len_bytes().cast(pl.Int64).to_numpy()
    ends = np.cumsum(ends + 1) - 1
    shared = Mapped(
        inside[taken],
        _plain(np.cumsum(head_bytes)),
        _plain(mapped.tails[order]),
        _plain(ends),
        mapped.identities[order],
        make_records,
    )
    bodies: bytes = texts.str.join(",").cast(pl.Binary).item()
    firsts = taken[first_of_each]
    homes, places = verdict.homes[firsts].tolist(), columns.places[firsts].tolist()
    starts = first_of_each.tolist()
    for row, start, stop, place, home in zip(
        firsts.tolist(), starts, [*starts[1:], len(heads)], places, homes, strict=True
    ):
        own, parts = bodies[shared.begin(start) : shared.ends[stop - 1]], heads[start:stop]
        workspace = verdict.workspaces[home]
        yield row, Slab(shared, stretches[place], workspace, start, stop, parts, own, start)


def _cut(
    columns: Columns, taken: Integers, first_of_each: Integers, exact: Collection[int]
) -> Integers:
    """Let a group begin anew behind each record of its workspace that goes the exact way.

    A record without a usable key may be of any workspace.
    """
    if not exact:
        return first_of_each
    between: dict[tuple[int, str], list[int]] = {}
    for row in sorted(exact):
        kind = int(columns.places[row]), key_text(columns.keys[row])
        between.setdefault(kind, []).append(row)
    begins = [first_of_each]
    for start, stop in pairwise([*first_of_each.tolist(), len(taken)]):
        row = taken[start]
        place, workspace = int(columns.places[row]), key_text(columns.keys[row])
        rows = between.get((place, workspace), []) + between.get((place, ""), [])
        begins.append(start + np.searchsorted(taken[start:stop], rows))
    every = np.unique(np.concatenate(begins))
    return every[every < len(taken)]


def _heads(columns: Columns, taken: Integers, sizes: Integers) -> list[bytes]:
    """Give what bodies lack of the values of rows."""
    values = cast("list[bytes]", columns.values)
    pairs = zip(taken.tolist(), sizes.tolist(), strict=True)
    return [values[row][:size] for row, size in pairs]


def _plain(numbers: Integers) -> array[int]:
    """Give numbers in the array that is quickest at giving a single one."""
    return array("q", numbers.tobytes())


def _grouped(places: Integers, homes: Integers, taken: Integers) -> tuple[Integers, Integers]:
    """Order rows by partition and workspace.

    Returns:
        The order, and where in it each group begins.
    """
    groups = homes[taken] * (int(places.max()) + 1) + places[taken]
    if groups.max() <= _SMALL:
        groups = groups.astype(np.uint16)  # which numpy orders by radix sort
    order = np.argsort(groups, kind="stable")
    ordered = groups[order]
    return order, np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
