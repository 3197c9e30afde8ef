"""One checkpoint through everything brokers can do to it: written exactly once, or not at all."""

from __future__ import annotations

from collections import Counter, deque
from typing import TYPE_CHECKING

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.forwarder.checkpoint import Checkpoint, Settled
from consumers.forwarder.deferral import deferred_again
from consumers.forwarder.record import Partition
from consumers.forwarder.transaction import CheckpointWriter
from heapline.errors import Fenced, MustStop
from heapline.kafka import topics
from heapline.kafka.codec import Encoder
from heapline.kafka.headers import DeadLetter, Origin
from heapline.outcomes import DeadLetterReason, DeferReason, Outcome
from tests.consumers.forwarder.samples import EVENTS_0, at, record
from tests.fakes.clock import FakeClock
from tests.fakes.transactions import (
    Failing,
    FakeBrokers,
    FakeProducer,
    fatal,
    retriable,
    to_be_aborted,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from consumers.forwarder.record import Record

EVENTS_1 = Partition("events", 1)
NAMES = topics.Names()
OFFSETS = {EVENTS_0: (3, "id"), EVENTS_1: (8, "id")}
STEPS = ("begin_transaction", "produce", "send_offsets_to_transaction", "commit_transaction")


def settled(offset: int, outcome: Outcome, partition: Partition = EVENTS_0) -> Record:
    """Make a record with an outcome, and with what that writes to other topics."""
    each = record(offset=offset)
    each.partition = partition
    origin = Origin(partition.topic, partition.number, offset)
    if outcome is Outcome.DEAD_LETTERED:
        each.letter = DeadLetter(origin, DeadLetterReason.UNDECODABLE, "acme")
        each.settle(outcome, at(0), DeadLetterReason.UNDECODABLE)
    elif outcome is Outcome.DEFERRED:
        each.next_deferral = deferred_again(each, DeferReason.HOLD, 0, 1)
        each.settle(outcome, at(0), DeferReason.HOLD)
    else:
        each.settle(outcome, at(0))
    return each


def checkpoint() -> Checkpoint:
    """Make one with every outcome, over two partitions."""
    first = [
        settled(0, Outcome.DELIVERED),
        settled(1, Outcome.DEAD_LETTERED),
        settled(2, Outcome.DEFERRED),
    ]
    second = [settled(7, Outcome.DEFERRED, EVENTS_1)]
    return Checkpoint({EVENTS_0: Settled(first, 3, "id"), EVENTS_1: Settled(second, 8, "id")})


class TriedWriter:
    """A writer, its clock and its brokers."""

    def __init__(self) -> None:
        self.brokers = FakeBrokers()
        self.clock = FakeClock()
        self.writer = CheckpointWriter(
            self._producer, NAMES, Encoder("OutcomeCounts", 1), self.brokers, self.clock
        )
        self.writer.start(1.0)

    def _producer(self) -> Producer:
        producer: FakeProducer = self.brokers.producer()
        return producer  # type: ignore[return-value]  # the part of it that is needed

    def fails(self, method: str, *failures: Failing | None) -> None:
        """Let the next calls of a method fail so."""
        self.brokers.failures[method] = deque(failures)

    def carry(self, seconds_each: float = 0.1, most: int = 60) -> int:
        """Step until the checkpoint is committed; give how many steps it took."""
        for steps in range(1, most + 1):
            if self.writer.step() is not None:
                return steps
            self.clock.seconds += seconds_each
        raise AssertionError(f"not committed after {most} steps: {self.brokers.calls[-9:]}")

    def topics_written(self) -> Counter[str]:
        """Count what is committed, by topic."""
        return Counter(each.topic for each in self.brokers.written)


EVERYTHING = {
    NAMES.topic(topics.DLQ): 1,
    NAMES.topic(topics.DEFERRED): 2,
    NAMES.topic(topics.OUTCOME_COUNTS): 1,
}


def _on_a_mock_cluster() -> Producer:
    """Make a producer of librdkafka's own, with its cluster of one broker in memory."""
    return Producer(
        {
            "bootstrap.servers": "none",
            "test.mock.num.brokers": 1,
            "transactional.id": "t",
            "log_level": 0,
        }
    )


@pytest.mark.parametrize("make", [_on_a_mock_cluster, FakeBrokers().producer])
def test_a_producer_is_initialised_once(make: Callable[[], Producer | FakeProducer]) -> None:
    """A second time is an error that no trying mends, in the fake as in librdkafka."""
    producer = make()
    producer.init_transactions(20.0)
    for _ in range(2):
        with pytest.raises(KafkaException, match="_STATE") as refused:
            producer.init_transactions(20.0)
        assert not refused.value.args[0].retriable()
        assert not refused.value.args[0].fatal()


def test_everything_is_written_in_one_transaction() -> None:
    """Dead letters, deferred records in their own partition, counts, offsets with topic ids."""
    tried = TriedWriter()
    tried.writer.begin(checkpoint())
    assert tried.carry() == 1
    assert tried.topics_written() == EVERYTHING
    assert tried.brokers.offsets == OFFSETS
    deferred = [w for w in tried.brokers.written if w.topic == NAMES.topic(topics.DEFERRED)]
    assert [each.partition for each in deferred] == [0, 1]
    assert {each.value for each in deferred} == {b"value"}
    assert tried.brokers.calls.count("commit_transaction") == 1
    assert not tried.writer.busy


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("kind", [retriable, to_be_aborted])
def test_an_error_that_passes_delays_and_doubles_nothing(step: str, kind: type) -> None:
    """Tried again or aborted and written anew: the brokers hold each record once."""
    tried = TriedWriter()
    tried.fails(step, Failing(kind()), Failing(kind()))
    tried.writer.begin(checkpoint())
    assert tried.carry() > 1
    assert tried.topics_written() == EVERYTHING
    assert tried.brokers.offsets == OFFSETS


@pytest.mark.parametrize("applied", [True, False])
def test_a_commit_whose_answer_is_lost_is_settled_by_the_groups_offsets(
    applied: bool,  # noqa: FBT001 -- the case
) -> None:
    """Past the transaction's timeout a new producer asks which way it went."""
    tried = TriedWriter()
    tried.fails("commit_transaction", *[Failing(retriable(), applied)] * 4)
    tried.writer.begin(checkpoint())
    tried.carry(seconds_each=3.0)
    assert tried.brokers.producers == 2
    assert tried.topics_written() == EVERYTHING
    assert tried.brokers.offsets == OFFSETS


@pytest.mark.parametrize("applied", [True, False])
def test_the_question_which_way_it_went_is_asked_until_it_is_answered(
    applied: bool,  # noqa: FBT001 -- the case
) -> None:
    """The group's offsets may be unstable for a while; the new producer is initialised once."""
    tried = TriedWriter()
    tried.fails("commit_transaction", *[Failing(retriable(), applied)] * 4)
    tried.fails("committed", *[Failing(retriable(KafkaError.UNSTABLE_OFFSET_COMMIT))] * 3)
    tried.writer.begin(checkpoint())
    tried.carry(seconds_each=3.0)
    assert tried.brokers.producers == 2
    assert tried.brokers.calls.count("committed") == 4
    assert tried.topics_written() == EVERYTHING
    assert tried.brokers.offsets == OFFSETS


def test_brokers_away_for_minutes() -> None:
    """Every question times out for a while, those of the rebuild too; then it is written once."""
    tried = TriedWriter()
    away = [Failing(retriable())] * 20
    for method in (*STEPS[2:], "init_transactions", "committed"):
        tried.fails(method, *away)
    tried.writer.begin(checkpoint())
    tried.carry(seconds_each=3.0, most=100)
    assert tried.topics_written() == EVERYTHING
    assert tried.brokers.offsets == OFFSETS


@pytest.mark.parametrize("step", STEPS)
def test_another_process_under_the_same_id_stops_this_one(step: str) -> None:
    """Nothing of the checkpoint is visible, and the error says what to do."""
    tried = TriedWriter()
    tried.fails(step, Failing(fatal()))
    tried.writer.begin(checkpoint())
    with pytest.raises(Fenced, match="HEAPLINE_INSTANCE_ID"):
        tried.carry()
    assert not tried.brokers.written
    assert not tried.brokers.offsets


def test_an_error_no_trying_mends_stops() -> None:
    """For example a topic nobody may write to; it must not be tried for ever."""
    tried = TriedWriter()
    refused = KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED, "not authorized")
    tried.fails("send_offsets_to_transaction", Failing(refused))
    tried.writer.begin(checkpoint())
    with pytest.raises(MustStop, match="not authorized"):
        tried.carry()
    assert not tried.brokers.written


def test_a_full_queue_is_waited_out() -> None:
    """The queue takes no more while brokers are away; the records follow in their order."""
    tried = TriedWriter()
    tried.brokers.queue_full = 3
    tried.writer.begin(checkpoint())
    tried.carry()
    assert tried.topics_written() == EVERYTHING


def test_partitions_handed_over_leave_with_all_they_wrote() -> None:
    """Neither their offsets nor their records are committed by us, whoever has them now."""
    tried = TriedWriter()
    tried.fails("send_offsets_to_transaction", Failing(retriable()))
    tried.writer.begin(checkpoint())
    assert tried.writer.step() is None
    gone = tried.writer.forget([EVENTS_0])
    assert [each.offset for each in gone.records()] == [0, 1, 2]
    tried.carry()
    assert tried.brokers.offsets == {EVENTS_1: OFFSETS[EVENTS_1]}
    assert tried.topics_written() == {
        NAMES.topic(topics.DEFERRED): 1,
        NAMES.topic(topics.OUTCOME_COUNTS): 1,
    }


@pytest.mark.parametrize("kind", [retriable, to_be_aborted])
def test_offsets_that_come_late_get_into_no_other_transaction(
    kind: Callable[[int], KafkaError],
) -> None:
    """Their partition is another's by then, and nothing of what they stand for is written."""
    tried = TriedWriter()
    late = Failing(kind(KafkaError._TIMED_OUT), late=True)
    tried.fails("send_offsets_to_transaction", late)
    tried.writer.begin(checkpoint())
    assert tried.writer.step() is None
    tried.writer.forget([EVENTS_0])
    tried.carry()
    assert tried.brokers.offsets == {EVENTS_1: OFFSETS[EVENTS_1]}
    assert tried.topics_written() == {
        NAMES.topic(topics.DEFERRED): 1,
        NAMES.topic(topics.OUTCOME_COUNTS): 1,
    }


def test_a_call_that_never_returns_is_left_behind() -> None:
    """The producer it hangs in is replaced, and the checkpoint written by the next."""
    tried = TriedWriter()
    tried.fails("send_offsets_to_transaction", Failing(retriable(), hangs=True))
    tried.writer.begin(checkpoint())
    try:
        assert tried.writer.step(0.05) is None
        tried.carry()
    finally:
        tried.brokers.returns.set()
    assert tried.brokers.producers == 2
    assert tried.topics_written() == EVERYTHING
    assert tried.brokers.offsets == OFFSETS


def test_a_refusal_needs_no_new_producer() -> None:
    """What was refused cannot come late: the transaction is aborted, which is quicker."""
    tried = TriedWriter()
    tried.fails("send_offsets_to_transaction", Failing(to_be_aborted()))
    tried.writer.begin(checkpoint())
    tried.carry()
    assert tried.brokers.producers == 1
    assert tried.topics_written() == EVERYTHING


def test_a_stale_membership_is_refused_by_the_brokers() -> None:
    """The offsets of an older generation are never committed; the new one's are."""
    tried = TriedWriter()
    metadata = iter([1, 2])
    tried.brokers.generation = 2
    tried.brokers.group_metadata = lambda: next(metadata)  # type: ignore[method-assign]
    tried.writer.begin(checkpoint())
    tried.carry()
    assert "abort_transaction" in tried.brokers.calls
    assert tried.topics_written() == EVERYTHING


def test_only_one_checkpoint_at_a_time() -> None:
    """The second is refused, the first goes on."""
    tried = TriedWriter()
    tried.writer.begin(checkpoint())
    with pytest.raises(ValueError, match="under way"):
        tried.writer.begin(checkpoint())
    tried.carry()


@example(
    [("send_offsets_to_transaction", Failing(retriable()))] * 4
    + [("init_transactions", Failing(to_be_aborted()))],
    5.0,
)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([*STEPS, "abort_transaction", "init_transactions", "committed"]),
            st.one_of(
                st.none(),
                st.builds(lambda applied: Failing(retriable(), applied), st.booleans()),
                st.builds(lambda: Failing(to_be_aborted())),
            ),
        ),
        max_size=25,
    ),
    st.floats(0.05, 5.0),
)
def test_any_sequence_of_errors_ends_with_each_record_once(
    errors: list[tuple[str, Failing | None]], seconds_each: float
) -> None:
    """Whatever fails, in whatever order, applied or not: exactly once, with exactly its offsets."""
    tried = TriedWriter()
    for method, failing in errors:
        tried.brokers.failures.setdefault(method, deque()).append(failing)
    tried.writer.begin(checkpoint())
    tried.carry(seconds_each, most=200)
    assert tried.topics_written() == EVERYTHING
    assert tried.brokers.offsets == OFFSETS
