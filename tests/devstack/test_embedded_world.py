"""The real Kafka and registry through every kind of death; one data folder for all tests here."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import psutil
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from confluent_kafka.schema_registry import Schema, SchemaRegistryClient

from devstack.stack import Stack
from tests.devstack.processes import processes_of, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.world import World

pytestmark = pytest.mark.kafka
_STANDS_STILL_SECONDS = 3.5
_UP = [sys.executable, "-c", "from cli.dev import app; app()", "up", "--data"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Give a folder with a blank and a letter beyond ASCII in it; end what runs there."""
    made = tmp_path_factory.mktemp("embedded") / "my wörld"
    yield made
    for server in Stack(made).world().servers:
        server.kill()
    assert processes_of(made) == []


def _start_in_background(folder: Path) -> subprocess.Popen[str]:
    """Run `heapline dev up` as a shell would, and wait until it is in the middle."""
    running = subprocess.Popen(
        [*_UP, str(folder)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    wait_until(Stack(folder).world().registry.is_running)
    return running


def _write(world: World, topic: str) -> None:
    admin = AdminClient({"bootstrap.servers": world.bootstrap_servers})
    admin.create_topics([NewTopic(topic, 1, 1)])[topic].result(10)
    producer = Producer({"bootstrap.servers": world.bootstrap_servers})
    producer.produce(topic, b"kept")
    assert producer.flush(10) == 0


def _read(world: World, topic: str) -> bytes | None:
    consumer = Consumer({"bootstrap.servers": world.bootstrap_servers, "group.id": topic})
    consumer.assign([TopicPartition(topic, 0, 0)])
    record = consumer.poll(10)
    consumer.close()
    return None if record is None else record.value()


def test_ctrl_c_in_mid_start_ends_everything(folder: Path) -> None:
    """Interrupted in the middle of the start, `dev up` ends what it started and says so."""
    with _start_in_background(folder) as running:
        os.killpg(running.pid, signal.SIGINT)
        _, told = running.communicate(timeout=120)
    assert running.returncode == 1
    assert "Interrupted" in told
    assert processes_of(folder) == []


def test_a_killed_start_is_completed(folder: Path) -> None:
    """After kill -9 of `dev up` in the middle, the next one takes over what already runs."""
    with _start_in_background(folder) as running:
        running.send_signal(signal.SIGKILL)
        running.communicate(timeout=120)
    stack = Stack(folder)
    early = stack.world().registry.pid()
    assert early is not None
    world = stack.up()
    assert world.registry.pid() == early
    assert [each.state for each in stack.status()] == ["answering"] * 3


def test_what_was_written_survives_kill_9(folder: Path, prefix: str) -> None:
    """After kill -9 of all servers, records and schemas are there again, under the same ids."""
    world = Stack(folder).up()
    topic = f"{prefix}kept"
    _write(world, topic)
    with SchemaRegistryClient({"url": world.registry_url}) as registry:
        schema_id = registry.register_schema(topic, Schema('"string"', "AVRO"))
    for server in world.servers:
        server.kill()
    assert processes_of(folder) == []
    again = Stack(folder).up()
    assert _read(again, topic) == b"kept"
    with SchemaRegistryClient({"url": again.registry_url}) as registry:
        assert registry.get_schema(schema_id).schema_str == '"string"'


def test_it_is_small_and_only_on_loopback(folder: Path) -> None:
    """All servers together take less than 1 GB, and listen on 127.0.0.1 only."""
    world = Stack(folder).up()
    assert sum(each.memory_bytes() for each in world.servers) < 1_000_000_000
    listening = {
        (each.laddr.ip, each.laddr.port)
        for server in world.servers
        for each in psutil.Process(server.pid()).net_connections("inet")
        if each.status == psutil.CONN_LISTEN
    }
    assert {ip for ip, _ in listening} <= {"127.0.0.1", "::ffff:127.0.0.1"}
    assert {each.port for each in world.servers} <= {port for _, port in listening}


def test_a_stopped_kafka_comes_back(folder: Path, prefix: str) -> None:
    """A broker stopped in good order comes back where it was, with what it had."""
    world = Stack(folder).up()
    topic = f"{prefix}stopped"
    _write(world, topic)
    world.kafka.stop()
    assert not world.kafka.is_running()
    assert Stack(folder).running_world() is None
    world.kafka.start()
    assert _read(world, topic) == b"kept"


def test_a_broker_that_stood_still_keeps_its_partitions(folder: Path, prefix: str) -> None:
    """Thought gone, it would lead none for a moment, and transactions would end half.

    Not even after it was killed, which shortens its session.
    """
    world = Stack(folder).up()
    world.kafka.kill()
    world.kafka.start()
    _write(world, f"{prefix}before")
    said_before = world.kafka.log.read_text("utf-8", "replace")
    world.kafka.pause()
    time.sleep(_STANDS_STILL_SECONDS)
    world.kafka.resume()
    _write(world, f"{prefix}after")
    said = world.kafka.log.read_text("utf-8", "replace").removeprefix(said_before)
    assert "Fencing broker" not in said
