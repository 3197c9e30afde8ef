"""Asking again while brokers only say "not now"."""

from __future__ import annotations

import pytest
from confluent_kafka import KafkaError, KafkaException
from hypothesis import given
from hypothesis import strategies as st

from heapline.kafka.asking import ask, is_passing
from tests.fakes.clock import FakeClock

PASSING = [
    KafkaError(KafkaError.NOT_LEADER_FOR_PARTITION),
    KafkaError(KafkaError.LEADER_NOT_AVAILABLE),
    KafkaError(KafkaError.UNKNOWN_TOPIC_OR_PART),
    KafkaError(KafkaError.COORDINATOR_LOAD_IN_PROGRESS),
    KafkaError(KafkaError.UNSTABLE_OFFSET_COMMIT),
    KafkaError(KafkaError._TRANSPORT),
    KafkaError(KafkaError._STATE, "try again", retriable=True),
]
STAYING = [
    KafkaError(KafkaError.TOPIC_AUTHORIZATION_FAILED),
    KafkaError(KafkaError.GROUP_ID_NOT_FOUND),
    KafkaError(KafkaError.OFFSET_OUT_OF_RANGE),
    KafkaError(KafkaError._AUTHENTICATION),
    KafkaError(KafkaError._FATAL, "over", fatal=True),
]


class Brokers:
    """Answer after some errors; each question takes a while."""

    def __init__(self, clock: FakeClock, errors: list[KafkaError], seconds: float = 0.0) -> None:
        self._clock = clock
        self._errors = errors
        self._seconds = seconds
        self.given: list[float] = []

    def __call__(self, seconds: float) -> str:
        """Answer, or not."""
        self.given.append(seconds)
        self._clock.sleep(min(self._seconds, seconds))
        if self._errors:
            raise KafkaException(self._errors.pop(0))
        return "answer"


@pytest.mark.parametrize("error", PASSING, ids=KafkaError.name)
def test_what_passes_is_waited_out(error: KafkaError) -> None:
    """The question is put again, with what is left of the time."""
    clock = FakeClock()
    brokers = Brokers(clock, [error] * 3, 0.5)
    assert ask(brokers, 10, clock) == "answer"
    assert brokers.given[0] == 10
    assert brokers.given == sorted(brokers.given, reverse=True)
    assert len(brokers.given) == 4
    assert clock.seconds < 3


@pytest.mark.parametrize("error", STAYING, ids=KafkaError.name)
def test_what_stays_is_told_at_once(error: KafkaError) -> None:
    """Nothing is won by asking again."""
    clock = FakeClock()
    assert not is_passing(KafkaException(error))
    with pytest.raises(KafkaException) as raised:
        ask(Brokers(clock, [error]), 10, clock)
    assert raised.value.args[0] is error
    assert clock.seconds == 0


def test_an_error_that_is_none_of_librdkafkas_is_not_ours_to_judge() -> None:
    """Some of its exceptions carry text alone."""
    assert not is_passing(KafkaException("text"))


@given(st.floats(0, 20), st.floats(0, 3), st.integers(0, 200))
def test_the_time_is_kept(timeout: float, seconds: float, errors: int) -> None:
    """Either there is an answer, or the last error once the time is over; never later than that."""
    clock = FakeClock()
    brokers = Brokers(clock, [PASSING[0]] * errors, seconds)
    try:
        assert ask(brokers, timeout, clock) == "answer"
    except KafkaException:
        assert len(brokers.given) <= errors
    else:
        assert len(brokers.given) == errors + 1
    assert clock.seconds <= timeout + 1e-6
