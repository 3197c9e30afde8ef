"""Records whose schema id is not known yet: they wait while the registry is asked.

A registry that is down means wait. One that knows the id of no record any more is broken, and the
process stops. Only an id that stays unknown while others are known makes its records dead letters.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum, auto
from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Final

from heapline.errors import MustStop, RegistryUnavailable, Undeliverable, UnknownSchema
from heapline.kafka.codec import schema_id_of
from heapline.telemetry.logs import logger

if TYPE_CHECKING:
    from collections.abc import Iterator

    from consumers.forwarder.record import Record
    from heapline.kafka.codec import Decoder, SchemaSource

_ASK_EVERY_SECONDS: Final = 2.0
_log = logger(__name__)


class _Answer(Enum):
    KNOWN = auto()
    UNKNOWN = auto()
    UNREADABLE = auto()
    NONE = auto()
    BROKEN = auto()


@dataclass(slots=True)
class _Question:
    since: float
    ask_at: float
    records: list[Record] = field(default_factory=list)
    asking: bool = False


class UnknownSchemas:
    """Holds records back until their schema is known or given up.

    Args:
        decoder: learns the schemas.
        schemas: the registry.
        wait_seconds: how long an unknown id is asked for again.
    """

    def __init__(self, decoder: Decoder, schemas: SchemaSource, wait_seconds: float) -> None:
        self._decoder = decoder
        self._schemas = schemas
        self._wait_seconds = wait_seconds
        self._questions: dict[int, _Question] = {}
        self._answers: SimpleQueue[tuple[int, _Answer]] = SimpleQueue()

    def __len__(self) -> int:
        return sum(len(question.records) for question in self._questions.values())

    def hold_back(self, record: Record, now: float) -> bool:
        """Keep the record if its schema is not known; False when it can be decided at once.

        Once the schema is known, records are kept on until `resolved` has given those before them:
        they must not overtake, or the first records of a backlog would be settled last.
        """
        try:
            schema_id = schema_id_of(record.value)
        except Undeliverable:
            return False
        if schema_id not in self._questions and self._decoder.knows(schema_id):
            return False
        question = self._questions.setdefault(schema_id, _Question(now, now))
        question.records.append(record)
        return True

    def resolved(self, now: float) -> Iterator[tuple[Record, bool]]:
        """Ask what is to be asked; give records that can be decided now.

        Yields:
            A record, and whether its schema is known; if not, it belongs in the DLQ.

        Raises:
            MustStop: the registry has lost schemas it had before.
        """
        if not self._questions:
            return
        for schema_id, question in self._questions.items():
            if not question.asking and now >= question.ask_at:
                question.asking = True
                Thread(target=self._ask, args=(schema_id,), daemon=True).start()
        yield from self._take_answers(now)

    def _take_answers(self, now: float) -> Iterator[tuple[Record, bool]]:
        while True:
            try:
                schema_id, answer = self._answers.get(block=False)
            except Empty:
                return
            question = self._questions[schema_id]
            question.asking = False
            question.ask_at = now + _ASK_EVERY_SECONDS
            if answer is _Answer.BROKEN:
                raise MustStop(
                    "the schema registry has lost schemas it had before: it looks empty or is "
                    "another one. Check HEAPLINE_SCHEMA_REGISTRY__URL, then start again"
                )
            waited_enough = now - question.since >= self._wait_seconds
            known = answer is _Answer.KNOWN
            given_up = answer is _Answer.UNREADABLE or (answer is _Answer.UNKNOWN and waited_enough)
            if answer is _Answer.NONE:
                question.since = now  # only the time the registry says "unknown" counts
            if known or given_up:
                del self._questions[schema_id]
                for record in question.records:
                    if not record.dropped:
                        yield record, known

    def _ask(self, schema_id: int) -> None:
        try:
            answer = self._answer(schema_id)
        except Exception as error:  # noqa: BLE001 -- without an answer its records wait for ever
            _log.warning("asking the schema registry failed", error=repr(error)[:200])
            answer = _Answer.NONE
        self._answers.put((schema_id, answer))

    def _answer(self, schema_id: int) -> _Answer:
        try:
            self._decoder.learn(schema_id)
        except UnknownSchema:
            return self._see_whether_broken()
        except RegistryUnavailable as error:
            _log.warning("waiting for the schema registry", error=str(error))
            return _Answer.NONE
        except Undeliverable:
            return _Answer.UNREADABLE
        return _Answer.KNOWN

    def _see_whether_broken(self) -> _Answer:
        known = self._decoder.known_ids()
        if not known:
            return _Answer.UNKNOWN
        try:
            self._schemas.schema_by_id(known[-1])
        except UnknownSchema:
            return _Answer.BROKEN
        except RegistryUnavailable:
            return _Answer.NONE
        return _Answer.UNKNOWN
