"""Asking brokers again while all they say is "not now".

A broker that has just been told of a topic, a leader or a coordinator, and one that is being told
of another, answers with an error that is over in a moment. librdkafka hands most of them through.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from confluent_kafka import KafkaError, KafkaException

from heapline.clock import Clock, Deadline, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")
_AGAIN_SECONDS: Final = 0.05

_PASSING: Final = frozenset(
    {
        # Those the protocol calls retriable (Kafka protocol guide, error codes) and questions meet.
        # A topic is asked about once its name was seen; a broker that does not know it lags behind.
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.NOT_COORDINATOR,
        KafkaError.NOT_CONTROLLER,
        KafkaError.KAFKA_STORAGE_ERROR,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.UNSTABLE_OFFSET_COMMIT,
        # librdkafka's own: the connection was lost, or who is to be asked is still being found out.
        KafkaError._TRANSPORT,  # noqa: SLF001 -- librdkafka's local errors are named so
        KafkaError._WAIT_COORD,  # noqa: SLF001 -- as above
        KafkaError._WAIT_CACHE,  # noqa: SLF001 -- as above
    }
)


def is_passing(error: KafkaException) -> bool:
    """Tell whether the same question may be answered in a moment."""
    cause = error.args[0]
    return isinstance(cause, KafkaError) and (cause.retriable() or cause.code() in _PASSING)


def ask(question: Callable[[float], _T], timeout_seconds: float, clock: Clock | None = None) -> _T:
    """Ask until there is an answer, or an error that stays.

    Args:
        question: asks the brokers; is given the seconds left for that.
        timeout_seconds: how long all of it may take.
        clock: for that.

    Raises:
        KafkaException: what the brokers said last.
    """
    clock = clock or SystemClock()
    deadline = Deadline(clock, timeout_seconds)
    while True:
        try:
            return question(deadline.left())
        except KafkaException as error:
            if not is_passing(error) or deadline.left() <= _AGAIN_SECONDS:
                raise
        clock.sleep(_AGAIN_SECONDS)
