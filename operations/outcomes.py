"""What became of records: reading and adding up `commandai.outcome-counts`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, get_args

from heapline.errors import MustStop, Undeliverable
from heapline.kafka.clients import lone_consumer
from heapline.kafka.codec import Decoder
from heapline.kafka.read_to_end import read_to_end
from heapline.kafka.registry import Registry
from heapline.kafka.topics import OUTCOME_COUNTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from confluent_kafka import Message

    from heapline.kafka.topics import Names
    from heapline.settings import Settings

MINUTE_MS: Final = 60_000
Dimension = Literal["workspace", "source", "event", "outcome", "reason"]
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)


@dataclass(frozen=True, slots=True)
class OutcomeCount:
    """How many records of one kind had one outcome in one minute.

    Attributes:
        source, outcome, reason: text of the closed sets in `heapline.outcomes`, or of a newer
            version's; the reason is empty for `delivered`.
        minute_ms: the minute's beginning, milliseconds since 1970-01-01 UTC.
    """

    workspace: str
    source: str
    event: str
    outcome: str
    reason: str
    minute_ms: int
    count: int


class Totals:
    """Counts added up over minutes, to be summed by any of `DIMENSIONS`.

    Adding is commutative: checkpoints of several forwarders may come in any order.
    """

    def __init__(self, counts: Iterable[OutcomeCount] = ()) -> None:
        self._sums: Counter[tuple[str, ...]] = Counter()
        for each in counts:
            self.add(each)

    def add(self, count: OutcomeCount) -> None:
        """Add one count."""
        self._sums[tuple(getattr(count, name) for name in DIMENSIONS)] += count.count

    def by(self, *dimensions: Dimension, **only: str) -> dict[tuple[str, ...], int]:
        """Sum by some dimensions, over records for which the others have the given values.

        For example `by("reason", workspace="acme", outcome="skipped")`. Keys are sorted.
        """
        places = [DIMENSIONS.index(name) for name in dimensions]
        sums: Counter[tuple[str, ...]] = Counter()
        for key, count in self._sums.items():
            if _matches(key, only):
                sums[tuple(key[place] for place in places)] += count
        return dict(sorted(sums.items()))

    def sum(self, **only: str) -> int:
        """Sum over records with the given values, for example `sum(outcome="delivered")`."""
        return sum(count for key, count in self._sums.items() if _matches(key, only))


def _matches(key: tuple[str, ...], only: Mapping[str, str]) -> bool:
    given: dict[str, str] = dict(zip(DIMENSIONS, key, strict=True))
    return all(given[name] == value for name, value in only.items())


def counts_in(record: Mapping[str, Any], since_ms: int | None = None) -> Iterator[OutcomeCount]:
    """Give the counts in one decoded record, from the minute that holds `since_ms` on."""
    for each in record["counts"]:
        if since_ms is None or each["minute"] + MINUTE_MS > since_ms:
            yield OutcomeCount(
                workspace=record["workspace"],
                source=each["source"],
                event=each["event"],
                outcome=each["outcome"],
                reason=each["reason"] or "",
                minute_ms=each["minute"],
                count=each["count"],
            )


def read_outcomes(
    settings: Settings, names: Names, since_ms: int | None = None
) -> Iterator[OutcomeCount]:
    """Read the counts that are committed now.

    Args:
        settings: where Kafka and the registry are.
        names: of this installation.
        since_ms: leave out minutes that ended before, milliseconds since 1970-01-01 UTC.

    Raises:
        NotReady: there is no such topic.
        KafkaUnavailable, RegistryUnavailable: as they say.
        MustStop: a record in the topic is not a count.
    """
    # A count is written after the minute it tells of has begun, so no earlier record matters.
    start = None if since_ms is None else since_ms - since_ms % MINUTE_MS
    with Registry(settings.schema_registry) as schemas:
        decoder = Decoder("OutcomeCounts", schemas)
        for message in _messages(settings, names.topic(OUTCOME_COUNTS), start):
            yield from counts_in(_decoded(decoder, message), since_ms)


def _messages(settings: Settings, topic: str, from_ms: int | None) -> Iterator[Message]:
    consumer = lone_consumer(settings.kafka, "outcomes")
    try:
        yield from read_to_end(
            consumer, topic, from_ms=from_ms, timeout_seconds=settings.kafka.timeout_seconds
        )
    finally:
        consumer.close()


def _decoded(decoder: Decoder, message: Message) -> dict[str, Any]:
    try:
        return decoder.decode(message.value())
    except Undeliverable as error:
        place = f"{message.topic()}/{message.partition()}/{message.offset()}"
        raise MustStop(f"{place} is not a record of counts: {error}") from error


def read_totals(settings: Settings, names: Names, since_ms: int | None = None) -> Totals:
    """Read and add up the counts; raises as `read_outcomes` does."""
    return Totals(read_outcomes(settings, names, since_ms))
