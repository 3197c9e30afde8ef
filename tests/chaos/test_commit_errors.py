"""Answers to commits are changed where their errors stand, and nowhere else."""

from __future__ import annotations

import random
import struct

import pytest

from tests.chaos.commit_errors import (
    ENDING_ERRORS,
    OFFSET_ERRORS,
    CommitErrors,
    Conversation,
    Frames,
)


def framed(body: bytes) -> bytes:
    """Put a frame's length before it."""
    return struct.pack(">i", len(body)) + body


def request(key: int, version: int, number: int) -> bytes:
    """Make the beginning of a request."""
    return framed(struct.pack(">hhi", key, version, number) + b"rest")


FLEXIBLE = (
    struct.pack(">i", 5) + b"\0" + bytes(4) + b"\x02" + b"\x03ev" + b"\x03"
    + struct.pack(">ih", 0, 0) + b"\0" + struct.pack(">ih", 1, 0) + b"\0" + b"\0\0"
)  # fmt: skip
PLAIN = (
    struct.pack(">i", 5) + bytes(4) + struct.pack(">i", 1) + b"\x00\x02ev" + struct.pack(">i", 2)
    + struct.pack(">ih", 0, 0) + struct.pack(">ih", 1, 0)
)  # fmt: skip


def conversation(share: float, seed: int = 0) -> Conversation:
    """Make one."""
    return Conversation(CommitErrors(random.Random(seed), share))


@pytest.mark.parametrize(("version", "body"), [(3, FLEXIBLE), (2, PLAIN)])
def test_one_partition_or_all_of_a_commit_get_an_error(version: int, body: bytes) -> None:
    """Nothing else of the answer changes."""
    counts = set()
    for seed in range(20):
        talk = conversation(1.0, seed)
        talk.asks(request(28, version, 5))
        answer = talk.answer(framed(body))
        changed = [n for n, (a, b) in enumerate(zip(framed(body), answer, strict=True)) if a != b]
        assert {answer[n] for n in changed} <= set(OFFSET_ERRORS)
        counts.add(len(changed))
    assert counts == {1, 2}


def test_the_end_of_a_transaction_gets_an_error_that_may_pass() -> None:
    """Whoever hears it must ask again."""
    talk = conversation(1.0)
    talk.asks(request(26, 3, 9))
    answer = talk.answer(framed(struct.pack(">ixih", 9, 0, 0) + b"\0"))
    assert struct.unpack_from(">h", answer, 13)[0] in ENDING_ERRORS


def test_other_answers_pass_as_they_are() -> None:
    """Also those to commits while nothing is to fail."""
    talk = conversation(1.0)
    talk.asks(request(1, 3, 5))
    assert talk.answer(framed(FLEXIBLE)) == framed(FLEXIBLE)
    quiet = conversation(0.0)
    quiet.asks(request(28, 3, 5))
    assert quiet.answer(framed(FLEXIBLE)) == framed(FLEXIBLE)


def test_frames_are_whole_however_tcp_cuts_them() -> None:
    """Byte by byte, or several at once."""
    stream = framed(b"one") + framed(b"") + framed(b"three")
    frames = Frames()
    assert [f for at in range(len(stream)) for f in frames.feed(stream[at : at + 1])] == [
        framed(b"one"),
        framed(b""),
        framed(b"three"),
    ]
    assert list(Frames().feed(stream)) == [framed(b"one"), framed(b""), framed(b"three")]
