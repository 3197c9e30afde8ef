"""Asking a server over HTTP whether it answers."""

from __future__ import annotations

from typing import Final

from heapline.http import HttpxClient

_OK: Final = 200
_SECONDS: Final = 5.0


def is_ok(url: str) -> bool:
    """Tell whether GET is answered with 200 within seconds."""
    client = HttpxClient(connections=1, answer_seconds=_SECONDS)
    try:
        return client.request("GET", url).status == _OK
    finally:
        client.close()
