"""A TCP proxy in front of the embedded broker that takes its time.

It listens on 127.0.0.2 at the broker's own port and writes that address into what the broker says
of itself: both addresses have as many characters, so nothing else of an answer changes, and clients
stay behind the proxy whatever they are told. It can also let commits fail, see `commit_errors`.
"""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING, Final, Self

from tests.chaos.commit_errors import CommitErrors, Conversation, Frames

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

_REAL: Final = b"127.0.0.1"
_PROXY: Final = b"127.0.0.2"
_PIECE_BYTES: Final = 65_536
_ENDING_SECONDS: Final = 0.1


class SlowNetwork:
    """The way to a broker on 127.0.0.1, each direction slower by so many seconds.

    Args:
        port: the broker's, and the proxy's.
        speaks_kafka: another server's bytes are carried as they come.

    Attributes:
        delay_seconds: may be changed at any time.
        commit_errors: likewise.
    """

    def __init__(self, port: int, *, speaks_kafka: bool = True) -> None:
        self.delay_seconds = 0.0
        self._speaks_kafka = speaks_kafka
        self.commit_errors = CommitErrors(random.Random(port))
        self._port = port
        self._listens = Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._thread = Thread(target=lambda: asyncio.run(self._serve()), daemon=True)

    @property
    def address(self) -> str:
        """For Kafka clients: `host:port`."""
        return f"{_PROXY.decode()}:{self._port}"

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listens.wait(10), "the proxy does not listen"
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._ended.set)
        self._thread.join(10)

    async def _serve(self) -> None:
        self._loop, self._ended = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self._connected, _PROXY.decode(), self._port)
        self._listens.set()
        await self._ended.wait()
        server.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.sleep(_ENDING_SECONDS)  # those who carry see it, and end before the loop does

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there = await asyncio.open_connection(_REAL.decode(), self._port)
        except OSError:
            writer.transport.abort()
            return
        writers = {writer, there[1]}
        self._writers |= writers
        talk = Conversation(self.commit_errors)

        def asks(frame: bytes) -> bytes:
            talk.asks(frame)
            return frame

        def answers(frame: bytes) -> bytes:
            return talk.answer(frame).replace(_REAL, _PROXY)

        await asyncio.gather(
            self._carry(reader, there[1], asks),
            self._carry(there[0], writer, answers),
            return_exceptions=True,
        )
        self._writers -= writers

    async def _carry(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        as_carried: Callable[[bytes], bytes],
    ) -> None:
        """Carry frames one way, each after the delay; the order stays."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        sending = asyncio.create_task(self._send(pieces, writer))
        frames = Frames()
        with suppress(OSError):
            while piece := await reader.read(_PIECE_BYTES):
                when = self._loop.time() + self.delay_seconds
                if not self._speaks_kafka:
                    pieces.put_nowait((when, piece))
                    continue
                for frame in frames.feed(piece):
                    pieces.put_nowait((when, as_carried(frame)))
        pieces.put_nowait((self._loop.time() + self.delay_seconds, b""))
        await sending

    async def _send(
        self, pieces: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while True:
                when, piece = await pieces.get()
                await asyncio.sleep(max(0.0, when - self._loop.time()))
                if not piece:
                    break
                writer.write(piece)
                await writer.drain()
        writer.close()
