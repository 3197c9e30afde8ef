"""Short texts that travel through somebody's browser and come back unchanged, or are refused.

A text is `base64url(JSON).base64url(HMAC-SHA256)`. It can be read by whoever holds it, so nothing
secret goes in; it cannot be changed, and it is good for one purpose and until its time only.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final

import orjson

from heapline.errors import CallerMistake

if TYPE_CHECKING:
    from collections.abc import Mapping

_EXPIRES: Final = "exp_ms"
_LONGEST: Final = 4_096


class NotSigned(CallerMistake):
    """A text that this installation did not sign for this purpose, or that was changed."""


class Expired(CallerMistake):
    """A text that was good, and is not any more."""


class Signer:
    """Signs and reads texts for one purpose.

    Args:
        secret: the installation's; the key is derived from it, so that no purpose can use another's
            texts, and a key says nothing about the secret.
        purpose: a short stable name.
    """

    def __init__(self, secret: bytes, purpose: str) -> None:
        self._key = hmac.digest(secret, b"heapline." + purpose.encode(), hashlib.sha256)

    def sign(self, content: Mapping[str, str], expires_at_ms: int) -> str:
        """Give the text that says this until then."""
        body = _text(orjson.dumps({**content, _EXPIRES: expires_at_ms}))
        return f"{body}.{self._mac(body)}"

    def read(self, text: str, now_ms: int) -> dict[str, str]:
        """Give what a text says.

        Raises:
            NotSigned: it was not signed here, for this.
            Expired: its time is over.
        """
        body, _, mac = text[:_LONGEST].partition(".")
        if not hmac.compare_digest(mac.encode("utf-8", "replace"), self._mac(body).encode()):
            raise NotSigned("this was not signed here, or was changed on its way")
        content: dict[str, Any] = orjson.loads(_bytes(body))
        if content.pop(_EXPIRES) <= now_ms:
            raise Expired("this is not good any more")
        return content

    def _mac(self, body: str) -> str:
        return _text(hmac.digest(self._key, body.encode("utf-8", "replace"), hashlib.sha256))


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _bytes(text: str) -> bytes:
    try:
        return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error) as error:
        raise NotSigned("this was not signed here, or was changed on its way") from error
