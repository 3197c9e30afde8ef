"""The process that reads, on a real Kafka: it tells the same, and it never outlives who asked."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from consumers.materializer.parts import ChangesRead, EndRead, RowRead
from consumers.materializer.read_apart import ReadApart, ReaderEnded
from consumers.materializer.source import Displaced, KafkaSource
from heapline.kafka import topics
from heapline.kafka.clients import transactional_producer
from heapline.kafka.registry import Registry
from heapline.telemetry import metrics
from tests.command import COMMAND, clean_environment
from tests.consumers.materializer.looking import by_index, by_store
from tests.consumers.materializer.writing import Page, PageWriter
from tests.on_kafka import environment_for, make_topics, settings_for, write

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from consumers.materializer.parts import Part
    from consumers.materializer.source import Reading
    from consumers.materializer.starting import TopicPartition
    from devstack.world import World
    from heapline.settings import Settings

PARTITIONS = 2
LONG_SECONDS = 120.0


@pytest.fixture
def settings(world: World, prefix: str) -> Settings:
    """Give settings of topics that hold some pages, of two workspaces."""
    settings = settings_for(world, prefix)
    pages = PageWriter(settings, make_topics(settings, PARTITIONS), PARTITIONS)
    pages.write(Page(add=["ada", "bob"], name="Trial users"))
    pages.write(Page(workspace="other", add=[f"user-{n}" for n in range(3_000)]))
    pages.write(Page(add=["mallory"]), commit=False)
    pages.write(Page(remove=["bob"], sync="sync-2"))
    return settings


def positions(settings: Settings) -> dict[TopicPartition, int]:
    """Give the beginning of both topics."""
    names = topics.Names(settings.kafka.prefix)
    both = (topics.MEMBERSHIPS, topics.SEGMENTS)
    return {(names.topic(each), n): 0 for each in both for n in range(PARTITIONS)}


def read_all(reading: Reading, settings: Settings, *, whole_pages: bool) -> list[Part]:
    """Read to the end of each partition."""
    reading.open(positions(settings), whole_pages=whole_pages)
    parts: list[Part] = []
    deadline = time.monotonic() + LONG_SECONDS
    while len({each for each in parts if isinstance(each, EndRead)}) < 2 * PARTITIONS:
        assert time.monotonic() < deadline, "the ends did not come"
        parts += reading.read(0.1)
    return parts


def said(parts: list[Part]) -> tuple[Sequence[object], ...]:
    """Give what was read, whatever batches it came in."""
    changes = [each for each in parts if isinstance(each, ChangesRead)]
    return (
        sorted(fact for each in changes for fact in each.run.columns.facts()),
        sorted(
            (each.partition, after)
            for each in changes
            for _, after in each.run.ends
            if each.run.ends != [(len(each.run.columns), each.run.next_offset)]
        ),
        sorted(
            (each.partition, each.offset, str(each.row))
            for each in parts
            if isinstance(each, RowRead)
        ),
        sorted({each for each in parts if isinstance(each, EndRead)}),
    )


@pytest.mark.parametrize("whole_pages", [True, False])
def test_another_process_reads_the_same(settings: Settings, *, whole_pages: bool) -> None:
    """Every record, row and end; and no process is left."""
    with (
        Registry(settings.schema_registry) as registry,
        closing(KafkaSource(settings.kafka, topics.Names(settings.kafka.prefix), registry)) as own,
    ):
        here = read_all(own, settings, whole_pages=whole_pages)
    with closing(ReadApart(settings)) as apart:
        there = read_all(apart, settings, whole_pages=whole_pages)
        pid = apart.pid
    assert said(there) == said(here)
    assert len(said(there)[0]) == 3_003
    assert pid is not None
    assert not Path(f"/proc/{pid}").exists()


def test_records_passed_over_are_counted_here(settings: Settings) -> None:
    """Metrics are served by the process that has asked."""
    names = topics.Names(settings.kafka.prefix)
    write(settings, names.topic(topics.MEMBERSHIPS), [{"key": b"none", "value": b"garbage"}])
    counter = metrics.MATERIALIZER_UNREADABLE.labels("membership")
    before = counter._value.get()
    with closing(ReadApart(settings)) as apart:
        read_all(apart, settings, whole_pages=False)
    assert counter._value.get() == before + 1


def test_errors_are_those_of_reading_here(settings: Settings) -> None:
    """A place that the log does not have is told as ever."""
    with closing(ReadApart(settings)) as apart:
        apart.open({(topics.Names(settings.kafka.prefix).topic(topics.MEMBERSHIPS), 0): 10**6})
        with pytest.raises(Displaced, match="no longer holds"):
            until_raised(apart)


def test_a_reader_that_is_killed_is_told(settings: Settings) -> None:
    """As when memory is short; signals of a group of processes do not end it."""
    with closing(ReadApart(settings)) as apart:
        read_all(apart, settings, whole_pages=False)
        assert apart.pid is not None
        os.kill(apart.pid, signal.SIGTERM)
        os.kill(apart.pid, signal.SIGINT)
        apart.read(0.5)
        os.kill(apart.pid, signal.SIGKILL)
        with pytest.raises(ReaderEnded, match="killed by signal 9"):
            until_raised(apart)


def until_raised(reading: Reading) -> None:
    """Read until it raises."""
    deadline = time.monotonic() + LONG_SECONDS
    while time.monotonic() < deadline:
        reading.read(0.1)


def test_one_that_was_never_opened_is_closed(settings: Settings) -> None:
    """Nothing was begun that had to end."""
    ReadApart(settings).close()


# --- beside the command --------------------------------------------------------------------------


@contextmanager
def building(
    world: World, settings: Settings, state: Path
) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run `heapline materialize` where a store is to be built; give it and the reader's number.

    An open transaction keeps it reading: it can neither come to the end nor go on.
    """
    environment = environment_for(world, settings.kafka.prefix) | {
        "HEAPLINE_STATE__DIRECTORY": str(state),
        "HEAPLINE_MATERIALIZER__READ_APART_RECORDS": "0",
    }
    process = subprocess.Popen(
        [*COMMAND, "materialize", "--until-caught-up"],
        env=clean_environment(environment),
        cwd=state.parent,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process, reader_of(process)
    finally:
        process.kill()
        process.communicate()


def reader_of(process: subprocess.Popen[str]) -> int:
    """Wait for the child that reads."""
    deadline = time.monotonic() + LONG_SECONDS
    while time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        for each in children(process.pid):
            if b"reading_process" in Path(f"/proc/{each}/cmdline").read_bytes():
                return each
        time.sleep(0.02)
    raise TimeoutError("no reader was started")


def children(pid: int) -> list[int]:
    """Ask Linux who was started by any thread of a process."""
    found = Path(f"/proc/{pid}/task").glob("*/children")
    told: list[int] = []
    for path in found:
        with suppress(FileNotFoundError):  # a thread that ended meanwhile
            told += map(int, path.read_text().split())
    return told


def wait_until_gone(pid: int) -> None:
    """Wait for a process's end; a zombie has ended."""
    deadline = time.monotonic() + LONG_SECONDS
    while True:
        try:
            status = Path(f"/proc/{pid}/status").read_text(encoding="ascii", errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return
        if "\nState:\tZ" in status:
            return
        assert time.monotonic() < deadline, status
        time.sleep(0.02)


@pytest.fixture
def held_open(settings: Settings) -> Iterator[None]:
    """Keep a transaction open, so that nobody can come to the end of what is there."""
    more = {"transaction.timeout.ms": 600_000}
    producer = transactional_producer(
        settings.kafka, "test", f"{settings.instance_id}-open", **more
    )
    producer.init_transactions(20)
    producer.begin_transaction()
    topic = topics.Names(settings.kafka.prefix).topic(topics.MEMBERSHIPS)
    for partition in range(PARTITIONS):
        producer.produce(topic, key=b"none", partition=partition)
    assert producer.flush(20) == 0
    yield
    producer.abort_transaction(20)


@pytest.mark.usefixtures("held_open")
def test_a_killed_reader_ends_the_command_in_words(
    world: World, settings: Settings, tmp_path: Path
) -> None:
    """No half store stands there, and the next start builds it."""
    state = tmp_path / "state"
    with building(world, settings, state) as (process, reader):
        os.kill(reader, signal.SIGKILL)
        _, errors = process.communicate(timeout=LONG_SECONDS)
    assert process.returncode == 1
    assert "the process that reads from Kafka was killed by signal 9" in errors
    assert "Traceback" not in errors
    assert not (state / "heapline.duckdb").exists()


@pytest.mark.usefixtures("held_open")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_the_reader_ends_with_the_command(
    world: World, settings: Settings, tmp_path: Path, how: signal.Signals
) -> None:
    """Asked to end or killed, the command leaves no process behind and no half store."""
    state = tmp_path / "state"
    with building(world, settings, state) as (process, reader):
        if how is not signal.SIGKILL:
            os.kill(reader, how)  # as a terminal and systemd do: all of a group
        process.send_signal(how)
        _, errors = process.communicate(timeout=LONG_SECONDS)
        wait_until_gone(reader)
    assert process.returncode == (0 if how is not signal.SIGKILL else -signal.SIGKILL), errors
    assert not (state / "heapline.duckdb").exists()


def test_the_command_builds_a_store_by_another_process(
    world: World, settings: Settings, tmp_path: Path
) -> None:
    """From start to end, with what the topics hold."""
    with building(world, settings, tmp_path / "state") as (process, reader):
        _, errors = process.communicate(timeout=LONG_SECONDS)
        wait_until_gone(reader)
    assert process.returncode == 0, errors
    truth = {("acme", "s1"): {"ada"}, ("other", "s1"): {f"user-{n}" for n in range(3_000)}}
    assert by_index(tmp_path / "state") == by_store(tmp_path / "state") == truth
