"""Child processes: what is measured runs alone in one."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from compileall import compile_dir
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final
from urllib.request import Request, urlopen

import orjson

from bench.counting_server import LOOPBACK, Count
from bench.installation import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_ROOT: Final = Path(__file__).resolve().parent.parent
_START_SECONDS: Final = 20.0
_ENDING_SECONDS: Final = 60.0
_TAIL: Final = 2_000


class Child:
    """A module of the benchmark in a process of its own, in an empty folder.

    Attributes:
        started_at: monotonic seconds just before it was started.
    """

    def __init__(self, folder: Path, arguments: Sequence[str], env: Mapping[str, str]) -> None:
        self._errors: IO[bytes] = (folder / "stderr").open("w+b")
        self.started_at = time.monotonic()
        self.process = subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=folder,  # no .env of the user's is read there
            env={**env, "PYTHONPATH": str(_ROOT)},
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )

    def result(self, seconds: float) -> dict[str, Any]:
        """Wait for its end and read the JSON it printed.

        Raises:
            RuntimeError: it failed or did not end in time; the message shows its last lines.
        """
        try:
            output, _ = self.process.communicate(timeout=seconds)
        except subprocess.TimeoutExpired:
            raise RuntimeError(f"did not end within {seconds:.0f} s: {self.errors()}") from None
        if self.process.returncode:
            raise RuntimeError(f"ended with {self.process.returncode}: {self.errors()}")
        result: dict[str, Any] = orjson.loads(output)
        return result

    def port_in(self, port_file: Path, seconds: float) -> int:
        """Wait until it has written the port it listens on, and give that.

        Raises:
            RuntimeError: it ended instead.
            TimeoutError: it did not start in time.
        """
        patience = wait_until(seconds, "the server did not start")
        while not port_file.exists():
            if self.process.poll() is not None:
                raise RuntimeError(self.errors())
            patience.pause()
        return int(port_file.read_text(encoding="ascii"))

    def stop(self) -> dict[str, Any]:
        """Ask it to end, and read its result."""
        self.process.send_signal(signal.SIGTERM)
        return self.result(_ENDING_SECONDS)

    def errors(self) -> str:
        """Give the last of what it logged."""
        self._errors.seek(0)
        return self._errors.read()[-_TAIL:].decode("utf-8", "replace")

    def end(self) -> None:
        """Make sure that it is gone."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.communicate()
        self._errors.close()


@contextmanager
def child(module: str, *arguments: str, env: Mapping[str, str]) -> Iterator[Child]:
    """Run a module of the benchmark; it is gone at the end of the block."""
    with tempfile.TemporaryDirectory(prefix="heapline-bench-") as folder:
        running = Child(Path(folder), [module, *arguments], env)
        try:
            yield running
        finally:
            running.end()


def compile_modules() -> None:
    """Compile what children import, as installing a wheel does: else each start would, anew."""
    for package in ("bench", "consumers", "heapline"):
        compile_dir(_ROOT / package, quiet=1)


class CountingHeap:
    """A counting server in another process, as its clients see it."""

    def __init__(self, url: str) -> None:
        self.url = url

    def count(self) -> Count:
        """Tell what arrived."""
        return self._ask("GET")

    def start_anew(self) -> Count:
        """Tell what arrived, and forget it."""
        return self._ask("DELETE")

    def _ask(self, method: str) -> Count:
        with urlopen(Request(f"{self.url}/count", method=method)) as answer:  # noqa: S310 -- ours
            return Count(**orjson.loads(answer.read()))


@contextmanager
def counting_heap(latency_ms: float = 0.0) -> Iterator[CountingHeap]:
    """Run a counting server that answers so late."""
    with tempfile.TemporaryDirectory(prefix="heapline-bench-") as folder:
        port_file = Path(folder) / "port"
        arguments = ("--port-file", str(port_file), "--latency-ms", str(latency_ms))
        with child("bench.counting_server", *arguments, env={}) as server:
            port = server.port_in(port_file, _START_SECONDS)
            yield CountingHeap(f"http://{LOOPBACK}:{port}")
