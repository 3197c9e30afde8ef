"""Transactions in memory: a producer whose every call can be told to fail, and what it leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from threading import Event
from typing import TYPE_CHECKING, NamedTuple

from confluent_kafka import KafkaError, KafkaException

from consumers.forwarder.record import Partition

if TYPE_CHECKING:
    from collections import deque
    from collections.abc import Collection, Mapping

    from confluent_kafka import TopicPartition


class Failing(NamedTuple):
    """What one call does instead of succeeding.

    Attributes:
        error: what it raises.
        applied: whether the brokers did what was asked, and only the answer was lost.
        late: of offsets, whether they get to the brokers in this producer's next transaction.
        hangs: of offsets, whether the call never returns.
    """

    error: KafkaError
    applied: bool = False
    late: bool = False
    hangs: bool = False


class Written(NamedTuple):
    """A record as a producer was given it."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: tuple[tuple[str, bytes], ...]
    partition: int


def retriable(code: int = KafkaError._TIMED_OUT) -> KafkaError:
    """Make an error worth trying again."""
    return KafkaError(code, "try again", retriable=True)


def to_be_aborted(code: int = KafkaError.UNKNOWN_MEMBER_ID) -> KafkaError:
    """Make an error after which the transaction must be aborted."""
    return KafkaError(code, "abort", txn_requires_abort=True)


def fatal(code: int = KafkaError._FENCED) -> KafkaError:
    """Make an error after which the producer is of no use."""
    return KafkaError(code, "over", fatal=True)


@dataclass
class FakeBrokers:
    """What is committed, and how the next calls fail.

    Attributes:
        written, offsets: what committed transactions wrote.
        failures: by method, for its next calls; None lets a call pass.
        queue_full: how many calls of `produce` find no room.
        generation: of the consumer group; offsets of an older one are refused.
        calls: methods called, in order.
        returns: lets calls return that hang.
    """

    written: list[Written] = field(default_factory=list)
    offsets: dict[Partition, tuple[int, str]] = field(default_factory=dict)
    failures: dict[str, deque[Failing | None]] = field(default_factory=dict)
    queue_full: int = 0
    generation: int = 1
    calls: list[str] = field(default_factory=list)
    producers: int = 0
    owner: FakeProducer | None = None
    returns: Event = field(default_factory=Event)

    def producer(self) -> FakeProducer:
        """Make a producer under the one transactional id."""
        self.producers += 1
        return FakeProducer(self)

    # --- `consumers.forwarder.transaction.Group` ------------------------------------------------

    def group_metadata(self) -> object:
        """See `Group.group_metadata`."""
        return self.generation

    def committed(self, partitions: Collection[Partition]) -> Mapping[Partition, int]:
        """See `Group.committed`."""
        if failing := self.next_failure("committed"):
            raise KafkaException(failing.error)
        return {p: self.offsets[p][0] if p in self.offsets else -1 for p in partitions}

    def next_failure(self, method: str) -> Failing | None:
        """Give how this call fails, if it does."""
        self.calls.append(method)
        coming = self.failures.get(method)
        return coming.popleft() if coming else None


class FakeProducer:
    """The part of `confluent_kafka.Producer` that transactions need, as strict about its order."""

    def __init__(self, brokers: FakeBrokers) -> None:
        self._brokers = brokers
        self._is_ready = False
        self._open = False
        self._must_abort = False
        self._is_committed = False
        self._fatal: KafkaError | None = None
        self._pending: list[Written] = []
        self._offsets: dict[Partition, tuple[int, str]] = {}
        self._late: dict[Partition, tuple[int, str]] = {}

    def init_transactions(self, timeout: float) -> None:
        """Fence the predecessor; what it left open is aborted. Refused once it has succeeded."""
        del timeout
        if self._is_ready:
            raise KafkaException(KafkaError(KafkaError._STATE, "not valid in state Ready"))
        failing = self._brokers.next_failure("init_transactions")
        if failing is None or failing.applied:
            self._brokers.owner = self
        self._fail(failing)
        self._is_ready, self._must_abort = True, False

    def begin_transaction(self) -> None:
        """Open a transaction."""
        self._fail(self._brokers.next_failure("begin_transaction"))
        self._expect(is_open=False)
        self._open, self._is_committed = True, False
        self._offsets, self._late = self._late, {}

    def produce(
        self,
        topic: str,
        value: bytes | None = None,
        key: bytes | None = None,
        headers: list[tuple[str, bytes]] | None = None,
        partition: int = -1,
    ) -> None:
        """Queue a record."""
        if self._brokers.queue_full > 0:
            self._brokers.queue_full -= 1
            raise BufferError("the queue is full")
        try:
            self._fail(self._brokers.next_failure("produce"))
            self._expect(is_open=True)
        except KafkaException as error:
            if error.args[0].fatal():  # `produce` keeps the reason to itself
                raise KafkaException(KafkaError(KafkaError._FATAL)) from error
            raise
        self._pending.append(Written(topic, key, value, tuple(headers or ()), partition))

    def poll(self, timeout: float = 0.0) -> int:
        """Do nothing."""
        del timeout
        return 0

    def purge(self, *, blocking: bool = True) -> None:
        """Forget what is queued."""
        del blocking
        self._pending.clear()

    def send_offsets_to_transaction(
        self, offsets: list[TopicPartition], metadata: object, timeout: float
    ) -> None:
        """Put the group's offsets into the transaction."""
        del timeout
        if metadata != self._brokers.generation:
            self._fail(Failing(to_be_aborted(KafkaError.ILLEGAL_GENERATION)))
        failing = self._brokers.next_failure("send_offsets_to_transaction")
        self._expect(is_open=True)
        if failing is not None and failing.hangs:
            self._brokers.returns.wait()
        sent = {Partition(o.topic, o.partition): (o.offset, o.metadata or "") for o in offsets}
        if failing is None or failing.applied:
            self._offsets |= sent
        elif failing.late:
            self._late = sent
        self._fail(failing)

    def commit_transaction(self, timeout: float) -> None:
        """Make everything visible at once."""
        del timeout
        failing = self._brokers.next_failure("commit_transaction")
        if not self._is_committed:
            self._expect(is_open=True)
        elif failing is not None and failing.error.txn_requires_abort():
            failing = None  # brokers never ask to abort what they have committed
        if failing is None or failing.applied:
            self._commit()
        self._fail(failing)
        self._open = False

    def abort_transaction(self, timeout: float) -> None:
        """Make nothing of it visible."""
        del timeout
        failing = self._brokers.next_failure("abort_transaction")
        self._fail(failing)
        self._pending, self._offsets = [], {}
        self._open = self._must_abort = False

    def _commit(self) -> None:
        if self._is_committed:
            return
        assert self._brokers.owner is self, "a fenced producer committed"
        assert not self._must_abort, "what must be aborted was committed"
        self._brokers.written += self._pending
        self._brokers.offsets |= self._offsets
        self._pending, self._offsets, self._is_committed = [], {}, True

    def _fail(self, failing: Failing | None) -> None:
        if self._fatal is not None:
            raise KafkaException(self._fatal)
        if failing is None:
            return
        if failing.error.fatal():
            self._fatal = failing.error
        self._must_abort = self._must_abort or failing.error.txn_requires_abort()
        raise KafkaException(failing.error)

    def _expect(self, *, is_open: bool) -> None:
        if self._fatal is not None:
            raise KafkaException(self._fatal)
        if self._open != is_open:
            raise KafkaException(KafkaError(KafkaError._STATE, f"open={self._open}"))
