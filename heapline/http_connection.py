"""One HTTP/1.1 connection: a whole request out, a whole answer back, and no copy of the body."""

from __future__ import annotations

import select
import socket
import ssl
from typing import Final, NamedTuple

from heapline.http_answer import RawAnswer, read_answer

_READ_BYTES: Final = 64 * 1024
_TLS_RECORD_BYTES: Final = 16 * 1024


class Origin(NamedTuple):
    """Where a connection leads."""

    secure: bool
    host: str
    port: int


class Connection:
    """An open connection, used by one thread at a time.

    Attributes:
        idle_since: monotonic seconds when it was last put aside; kept by the owner.
        reusable: whether another request may follow; False from the first byte of a request to the
            last of its answer.
    """

    def __init__(self, opened: socket.socket) -> None:
        self.idle_since = 0.0
        self.reusable = True
        self._socket = opened
        self._sent_whole = False
        self._timeout = opened.gettimeout()
        self._readable = select.poll()
        self._readable.register(opened, select.POLLIN)

    @classmethod
    def open(cls, origin: Origin, tls: ssl.SSLContext | None, seconds: float | None) -> Connection:
        """Connect, and with a context shake hands.

        Raises:
            OSError, ValueError: it cannot be reached, or is not who it should be.
        """
        opened = socket.create_connection((origin.host, origin.port), seconds)
        try:
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if tls is not None:
                opened = tls.wrap_socket(opened, server_hostname=origin.host)
            return cls(opened)
        except BaseException:
            opened.close()
            raise

    def is_stale(self) -> bool:
        """Tell whether an idle connection is of no use: all that can have come is its end."""
        return bool(self._readable.poll(0))

    def send(self, head: bytes, body: bytes, seconds: float | None) -> None:
        """Send a request.

        Args:
            head: to the empty line; tells the body's length.
            body: all of it.
            seconds: from one write to the next.

        Raises:
            OSError: it broke off; some of it may have arrived, and an answer may be there.
        """
        self.reusable = self._sent_whole = False
        self._wait_at_most(seconds)
        sent = self._send_first(head, body)
        rest = memoryview(body)
        while sent < len(body):
            sent += self._socket.send(rest[sent:])
        self._sent_whole = True

    def _send_first(self, head: bytes, body: bytes) -> int:
        """Send the head with as much of the body as goes along; give how much that is."""
        if isinstance(self._socket, ssl.SSLSocket):
            along = max(0, _TLS_RECORD_BYTES - len(head))
            self._socket.sendall(head + body[:along])
            return along
        sent = self._socket.sendmsg((head, body))
        if sent < len(head):
            self._socket.sendall(head[sent:])
        return max(0, sent - len(head))

    def receive(self, method: bytes, seconds: float | None, body_bytes: int) -> RawAnswer:
        """Wait for the answer and read it to its end.

        Args:
            method: of the request; decides whether a body follows.
            seconds: from one read to the next.
            body_bytes: the longest body that is taken.

        Raises:
            OSError: it broke off.
            h11.RemoteProtocolError: it is no answer, is cut off, or is too long.
        """
        self._wait_at_most(seconds)
        answer = read_answer(method, lambda: self._socket.recv(_READ_BYTES), body_bytes)
        self.reusable = self._sent_whole and answer.ended_well
        return answer

    def _wait_at_most(self, seconds: float | None) -> None:
        if seconds != self._timeout:
            self._socket.settimeout(seconds)
            self._timeout = seconds

    def close(self) -> None:
        """Close it; may be called twice."""
        self._socket.close()
