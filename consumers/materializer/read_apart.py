"""Reading in a process of its own, while what was read before is applied here.

Reading and decoding take as long as applying, and hold Python's lock for nearly all of it. In one
process the two go on by turns; in two, each has a core.
"""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

from consumers.materializer.frames import Came, FrameReader, FrameWriter, Order
from heapline.errors import MustStop
from heapline.telemetry import metrics

if TYPE_CHECKING:
    import io
    from collections.abc import Iterator, Mapping

    from consumers.materializer.parts import Part
    from consumers.materializer.starting import TopicPartition
    from heapline.erasures import Erasures
    from heapline.settings import Settings

_PROGRAM: Final = "consumers.materializer.reading_process"
_ROOT: Final = Path(__file__).resolve().parents[2]
_ENDING_SECONDS: Final = 10.0
_LEAVING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class ReaderEnded(MustStop):
    """The process that reads ended before it was told to."""


class ReadApart:
    """`Reading` of the real Kafka by a child process, from `open` until `close`.

    The child ends with this process, however that ends. Its log is this one's.

    Args:
        settings: how to reach Kafka and registry.
        erasures: whose data was erased, as it is known when reading begins.
    """

    def __init__(self, settings: Settings, erasures: Erasures | None = None) -> None:
        self._settings, self._erasures = settings, erasures
        self._child: subprocess.Popen[bytes] | None = None
        self._error: Exception | None = None

    @property
    def pid(self) -> int | None:
        """The child's, while there is one."""
        return None if self._child is None else self._child.pid

    def open(self, positions: Mapping[TopicPartition, int], *, whole_pages: bool = True) -> None:
        """See `Reading.open`; once.

        Raises:
            ReaderEnded: the child could not be started, or is gone already.
        """
        order = Order(
            kafka=self._settings.kafka,
            registry=self._settings.schema_registry,
            log=self._settings.log,
            levels={name: logging.getLogger(name or None).level for name in ("", "librdkafka")},
            erasures=self._erasures,
            positions=dict(positions),
            whole_pages=whole_pages,
        )
        self._child = _started()
        self._frames = FrameReader(cast("io.FileIO", self._child.stdout))
        try:
            FrameWriter(cast("io.FileIO", self._child.stdin)).write(order)
        except BrokenPipeError:
            raise self._ended() from None

    def read(self, timeout_seconds: float) -> list[Part]:
        """See `Reading.read`.

        Raises:
            ReaderEnded: the child is gone, and what it had not told yet with it.
        """
        if self._error is not None:
            error, self._error = self._error, None
            raise error
        try:
            came: Came | None = self._frames.read(timeout_seconds)
        except EOFError:
            raise self._ended() from None
        if came is None:
            return []
        for what, count in came.unreadable.items():
            metrics.MATERIALIZER_UNREADABLE.labels(what).inc(count)
        if came.error is not None and not came.parts:
            raise came.error
        self._error = came.error
        return came.parts

    def close(self) -> None:
        """End the child."""
        if self._child is None:
            return
        for pipe in (self._child.stdin, self._child.stdout):
            assert pipe is not None  # noqa: S101 -- both were asked for
            pipe.close()
        try:
            self._child.wait(_ENDING_SECONDS)
        except subprocess.TimeoutExpired:
            self._child.kill()
            self._child.wait()

    def _ended(self) -> ReaderEnded:
        assert self._child is not None  # noqa: S101 -- it was opened
        code = self._child.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with code {code}"
        why = "; is memory short?" if code == -signal.SIGKILL else ", see the log"
        return ReaderEnded(
            f"the process that reads from Kafka {how}{why} What was kept before is as it was: "
            "start again"
        )


def _started() -> subprocess.Popen[bytes]:
    try:
        with _signals_waiting():
            return subprocess.Popen(
                [sys.executable, "-P", "-m", _PROGRAM],
                env=os.environ | {"PYTHONPATH": os.pathsep.join(_import_path())},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                bufsize=0,
            )
    except OSError as error:
        raise ReaderEnded(
            f"the process that reads from Kafka could not be started ({error}). "
            "HEAPLINE_MATERIALIZER__READ_APART_RECORDS=1000000000000 does without it"
        ) from error


@contextmanager
def _signals_waiting() -> Iterator[None]:
    """Let a child be started that is asked to leave by its standard input alone.

    Ctrl-C and systemd ask all processes of a group; this one decides when it needs no child any
    more. A child keeps signals waiting for ever that were kept so where it was started.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _LEAVING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _import_path() -> list[str]:
    before = os.environ.get("PYTHONPATH")
    return [str(_ROOT), before] if before else [str(_ROOT)]
