"""The signature of Heap's webhook calls: the `Heap-Hash` header.

`Heap-Hash: ts:<milliseconds>,hmac:<base64 of HMAC-SHA256(secret, ts + body)>` (Heap, Data-out API
reference). The MAC is over the raw bytes of the body: the same JSON written otherwise is another
body. A call is good for 60 s after its time and 1 s before it (Heap's reference receiver).
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from heapline.errors import CallerMistake

if TYPE_CHECKING:
    from collections.abc import Sequence

HEADER: Final = "Heap-Hash"
_SHAPE: Final = re.compile(r"\s*ts:([0-9]{1,18})\s*,\s*hmac:([A-Za-z0-9+/=_-]{1,200})\s*")


class SignatureProblem(StrEnum):
    """What is wrong with a signature."""

    MISSING = "signature_missing"
    MALFORMED = "signature_malformed"
    STALE = "signature_stale"
    WRONG = "signature_wrong"


class BadSignature(CallerMistake):
    """A call that Heap did not sign, or not now.

    Attributes:
        problem: which.
    """

    def __init__(self, problem: SignatureProblem, message: str) -> None:
        super().__init__(message)
        self.problem = problem


@dataclass(frozen=True, slots=True)
class Window:
    """How far a call's time may be from ours, in milliseconds."""

    max_age_ms: int = 60_000
    max_ahead_ms: int = 1_000


@dataclass(frozen=True, slots=True)
class Signature:
    """A header taken apart.

    Attributes:
        time_text: the time as it was written, which is what was signed.
        mac: in base64, as it was written.
    """

    time_text: str
    mac: str

    @property
    def signed_at_ms(self) -> int:
        """Milliseconds since 1970-01-01 UTC."""
        return int(self.time_text)


def read_signature(header: str | None, now_ms: int, window: Window) -> Signature:
    """Take a header apart and see that it is of now.

    This needs no body, so that a replayed call is turned away before its body is read.

    Raises:
        BadSignature: missing, malformed or stale.
    """
    if header is None:
        raise BadSignature(SignatureProblem.MISSING, f"the header {HEADER} is missing")
    found = _SHAPE.fullmatch(header)
    if found is None:
        raise BadSignature(
            SignatureProblem.MALFORMED, f"{HEADER} is not ts:<milliseconds>,hmac:<base64>"
        )
    signature = Signature(*found.groups())
    age_ms = now_ms - signature.signed_at_ms
    if not -window.max_ahead_ms <= age_ms <= window.max_age_ms:
        raise BadSignature(
            SignatureProblem.STALE,
            f"the time in {HEADER} is {_distance(age_ms)}; taken are {window.max_age_ms} ms old to "
            f"{window.max_ahead_ms} ms ahead: if this was not replayed, compare the clocks",
        )
    return signature


def _distance(age_ms: int) -> str:
    return f"{age_ms} ms old" if age_ms >= 0 else f"{-age_ms} ms ahead"


def check_signature(signature: Signature, body: bytes, secrets: Sequence[bytes]) -> None:
    """See that one of the secrets made the signature over these very bytes.

    Takes as long whichever secret it is, and wherever the first difference is.

    Raises:
        BadSignature: none did.
    """
    given = signature.mac.encode("ascii")
    fits = False
    for secret in secrets:
        fits |= hmac.compare_digest(signed(signature.time_text, body, secret), given)
    if not fits:
        raise BadSignature(
            SignatureProblem.WRONG,
            "the signature fits none of the webhook secrets: compare HEAPLINE_HEAP__WEBHOOK_SECRETS"
            " with Heap's Developers Hub",
        )


def signed(time_text: str, body: bytes, secret: bytes) -> bytes:
    """Give the MAC of a body in base64, as Heap makes it."""
    made = hmac.new(secret, time_text.encode("ascii"), "sha256")
    made.update(body)
    return base64.b64encode(made.digest())


def header_of(signed_at_ms: int, body: bytes, secret: bytes) -> str:
    """Give the header's value, as Heap would send it."""
    mac = signed(str(signed_at_ms), body, secret).decode("ascii")
    return f"ts:{signed_at_ms},hmac:{mac}"
