"""Heap's signature: what it covers, how old it may be, which secrets make it."""

from __future__ import annotations

import hashlib
import hmac
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.heap.signature import (
    BadSignature,
    SignatureProblem,
    Window,
    check_signature,
    header_of,
    read_signature,
)

NOW_MS = 1_669_216_353_123
SECRETS = (b"first-secret", b"second-secret")
BODY = b'{"action_type":"segment.users.sync"}'


def problem(header: str | None, body: bytes = BODY, now_ms: int = NOW_MS) -> str | None:
    """What is wrong with a call, or None."""
    try:
        signature = read_signature(header, now_ms, Window())
        check_signature(signature, body, SECRETS)
    except BadSignature as error:
        return error.problem
    return None


def test_the_mac_is_over_the_time_and_the_raw_bytes() -> None:
    """As Heap's reference says: HMAC-SHA256 over `${ts}${body}`, in base64."""
    made = hmac.new(SECRETS[0], f"{NOW_MS}".encode() + BODY, hashlib.sha256).digest()
    assert header_of(NOW_MS, BODY, SECRETS[0]) == f"ts:{NOW_MS},hmac:{b64encode(made).decode()}"
    assert problem(header_of(NOW_MS, BODY, SECRETS[0])) is None


@pytest.mark.parametrize("secret", SECRETS)
def test_any_of_several_secrets_will_do(secret: bytes) -> None:
    """While a secret is being rotated, both are good."""
    assert problem(header_of(NOW_MS, BODY, secret)) is None


@pytest.mark.parametrize(
    ("age_ms", "expected"),
    [
        (0, None),
        (60_000, None),
        (60_001, SignatureProblem.STALE),
        (61_000, SignatureProblem.STALE),
        (-1_000, None),
        (-1_001, SignatureProblem.STALE),
        (-2_500, SignatureProblem.STALE),
        (NOW_MS - NOW_MS // 1000, SignatureProblem.STALE),
    ],
)
def test_a_call_is_good_for_a_minute(age_ms: int, expected: str | None) -> None:
    """At most 60 s old and 1 s ahead; seconds instead of milliseconds are half a century old."""
    assert problem(header_of(NOW_MS - age_ms, BODY, SECRETS[0])) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "hmac:abc",
        "ts:1669216353123",
        f"hmac:abc,ts:{NOW_MS}",
        f"ts:{NOW_MS},hmac:",
        f"ts:{NOW_MS};hmac:abc",
        "ts:,hmac:abc",
        "ts:-1,hmac:abc",
        "ts:1e12,hmac:abc",
        "ts:१२३,hmac:abc",
        f"ts:{NOW_MS},hmac:abc,hmac:def",
        f"ts:{'9' * 400},hmac:abc",
        f"ts:{NOW_MS},hmac:a\x00c",
        f"ts:{NOW_MS},hmac:✓",
    ],
)
def test_a_malformed_header_is_told_from_a_wrong_one(header: str) -> None:
    """Heap's reference receiver answers 400 to these, 403 to a wrong MAC."""
    assert problem(header) == SignatureProblem.MALFORMED


def test_a_missing_header_is_its_own_problem() -> None:
    """None is no header."""
    assert problem(None) == SignatureProblem.MISSING


def test_a_stale_header_is_stale_whatever_its_mac() -> None:
    """It is turned away before the body is read."""
    assert problem(f"ts:{NOW_MS - 70_000},hmac:abc") == SignatureProblem.STALE


@given(body=st.binary(max_size=50), flip=st.integers(min_value=0), bit=st.integers(0, 7))
def test_one_changed_bit_spoils_the_signature(body: bytes, flip: int, bit: int) -> None:
    """Nothing of the body is left out of it."""
    header = header_of(NOW_MS, body + b"x", SECRETS[1])
    changed = bytearray(body + b"x")
    changed[flip % len(changed)] ^= 1 << bit
    assert problem(header, bytes(changed)) == SignatureProblem.WRONG
    assert problem(header, body + b"x") is None


def test_a_signature_of_another_time_is_wrong() -> None:
    """The time is signed, too, digit by digit."""
    mac = header_of(NOW_MS, BODY, SECRETS[0]).partition("hmac:")[2]
    assert problem(f"ts:{NOW_MS + 1},hmac:{mac}") == SignatureProblem.WRONG
    assert problem(f"ts:0{NOW_MS},hmac:{mac}") == SignatureProblem.WRONG


def test_without_secrets_nothing_is_right() -> None:
    """No secret is not an empty secret."""
    signature = read_signature(header_of(NOW_MS, BODY, b""), NOW_MS, Window())
    with pytest.raises(BadSignature):
        check_signature(signature, BODY, ())
