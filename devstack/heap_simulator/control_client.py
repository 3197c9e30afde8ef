"""How clients of `/_sim/…` ask."""

from __future__ import annotations

from http.client import HTTPConnection
from urllib.parse import urlsplit

from heapline.errors import CallerMistake

TIMEOUT_SECONDS = 30.0


class ControlClient:
    """Asks a running simulator; every call uses a connection of its own.

    Args:
        url: of the simulator, for example `http://127.0.0.1:8800`.
    """

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> bytes:
        status, answer = self._exchange(method, path, body, timeout_seconds)
        self._check(method, path, status, answer)
        return answer

    @staticmethod
    def _check(method: str, path: str, status: int, answer: bytes) -> None:
        if status >= 400:  # noqa: PLR2004 - HTTP's own boundary of refusals
            raise CallerMistake(f"the simulator refused {method} {path}: {answer.decode()}")

    def _exchange(
        self,
        method: str,
        path: str,
        body: bytes | None,
        timeout_seconds: float = TIMEOUT_SECONDS,
    ) -> tuple[int, bytes]:
        address = urlsplit(self.url)
        connection = HTTPConnection(address.netloc, timeout=timeout_seconds)
        try:
            connection.request(method, path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()
