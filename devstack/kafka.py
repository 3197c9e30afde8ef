"""The embedded Kafka: one broker that is its own controller (KRaft)."""

from __future__ import annotations

import base64
import logging
import os
import shutil
import subprocess
import uuid
from typing import TYPE_CHECKING, ClassVar, Final

from confluent_kafka import KafkaException
from confluent_kafka.admin import AdminClient

from devstack.ports import LOOPBACK, is_listening
from devstack.server import JAVA_OPTIONS, Server, server_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from devstack.programs import Programs
    from heapline.clock import Clock

_MESSAGE_BYTES: Final = 25 * 1024 * 1024
_CONTROLLER: Final = "kafka-controller"
_ASCII_END: Final = 0x7F
_ASK_SECONDS: Final = 5.0
_LOG4J: Final = "log4j2.properties"
"""Relative to the working folder: Log4j reads an absolute path as a URL, blanks and all."""
_HEAP: Final = ("-Xms64m", "-Xmx320m")
_PROPERTIES: Final[Mapping[str, str]] = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    # One broker: nothing to replicate to.
    "default.replication.factor": "1",
    "min.insync.replicas": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "share.coordinator.state.topic.replication.factor": "1",
    "share.coordinator.state.topic.min.isr": "1",
    # Few partitions, small buffers and few threads: it starts faster and stays small.
    "offsets.topic.num.partitions": "4",
    "transaction.state.log.num.partitions": "4",
    "share.coordinator.state.topic.num.partitions": "1",
    "offsets.topic.segment.bytes": "8388608",
    "transaction.state.log.segment.bytes": "8388608",
    "log.segment.bytes": "134217728",
    "log.index.size.max.bytes": "1048576",
    "log.cleaner.dedupe.buffer.size": "8388608",
    "log.cleaner.io.buffer.size": "131072",
    "num.network.threads": "2",
    "num.io.threads": "4",
    "num.replica.fetchers": "1",
    "background.threads": "2",
    "num.recovery.threads.per.data.dir": "2",
    # Nothing appears by accident, and nobody waits for members that never come.
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "1000",
    "broker.heartbeat.interval.ms": "500",
    # A segment-sync page may have 20 MiB; topics set their own, lower bounds.
    "message.max.bytes": str(_MESSAGE_BYTES),
    "replica.fetch.max.bytes": str(_MESSAGE_BYTES),
    "socket.request.max.bytes": "104857600",
    # Transactions whose owner was killed end soon.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
}
_FIRST_SESSION_MS: Final = 60_000
_LATER_SESSION_MS: Final = 6_000
"""How long the broker may stand still before its controller thinks it gone. A killed one comes back
only after that; at the first start there is none to wait for.

It should not be thought gone while it only stands still: it has no other to lead its partitions,
and a partition without a leader gets no marker when a transaction ends (Kafka 4.3.1, KAFKA-20734).
Readers then see neither its end nor anything behind it, until the same producer ends another
transaction there: if that is a commit, what was aborted is committed with it.
"""
_LOGGING: Final = """\
status = warn
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d{yyyy-MM-dd HH:mm:ss.SSS} %-5p %c{1}: %m%n
rootLogger.level = info
rootLogger.appenderRef.out.ref = out
logger.config.name = org.apache.kafka.common.config
logger.config.level = warn
logger.kafkaconfig.name = kafka.server.KafkaConfig
logger.kafkaconfig.level = warn
"""

_quiet = logging.getLogger("devstack.kafka")
_quiet.addHandler(logging.NullHandler())
_quiet.propagate = False


class KafkaServer(Server):
    """Apache Kafka as one process; its log directory is formatted at the first start."""

    name: ClassVar[str] = "kafka"
    title: ClassVar[str] = "Kafka"
    port_names: ClassVar[tuple[str, ...]] = ("kafka", _CONTROLLER)

    def __init__(
        self,
        folder: Path,
        ports: Mapping[str, int],
        clock: Clock,
        programs: Callable[[], Programs],
    ) -> None:
        super().__init__(folder, ports, clock)
        self._programs = programs
        self._data = self.folder / "data"
        self._properties = self.folder / "server.properties"

    @property
    def address(self) -> str:
        """See `Server.address`."""
        return f"{LOOPBACK}:{self.port}"

    def prepare(self) -> None:
        """Write the configuration, and format the log directory unless that was done."""
        (self.folder / _LOG4J).write_text(_LOGGING, "utf-8")
        is_first = not (self._data / "meta.properties").exists()
        if is_first:
            self._format()
        self._write_properties(self._data, _FIRST_SESSION_MS if is_first else _LATER_SESSION_MS)

    def arguments(self) -> Sequence[str]:
        """See `Server.arguments`."""
        return self._java("kafka.Kafka", str(self._properties))

    def answers(self) -> bool:
        """Ask for the cluster's brokers as a client does."""
        if not is_listening(self.port):
            return False
        client = AdminClient({"bootstrap.servers": self.address}, logger=_quiet)
        try:
            return bool(client.list_topics(timeout=_ASK_SECONDS).brokers)
        except KafkaException:
            return False

    def _format(self) -> None:
        """Format into a folder beside, so that a half-formatted one is never taken for whole."""
        for left_over in self.folder.glob("data.*.new"):
            shutil.rmtree(left_over)
        fresh = self.folder / f"data.{uuid.uuid4().hex}.new"
        self._write_properties(fresh, _FIRST_SESSION_MS)
        command = self._java(
            "kafka.tools.StorageTool",
            *("format", "--cluster-id", _cluster_id(), "--config", str(self._properties)),
        )
        with self.log.open("ab") as log:
            done = subprocess.run(
                command,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                env=server_environment(os.environ),
                check=False,
            )
        if done.returncode:
            raise self.failed("could not format its folder")
        fresh.rename(self._data)

    def _write_properties(self, data: Path, session_ms: int) -> None:
        controller = f"{LOOPBACK}:{self._ports[_CONTROLLER]}"
        properties = {
            **_PROPERTIES,
            "broker.session.timeout.ms": str(session_ms),
            "controller.quorum.voters": f"1@{controller}",
            "listeners": f"PLAINTEXT://{self.address},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{self.address}",
            "log.dirs": str(data),
        }
        lines = [f"{name}={_escaped(value)}\n" for name, value in properties.items()]
        self._properties.write_text("".join(lines), "utf-8")

    def _java(self, main: str, *arguments: str) -> list[str]:
        programs = self._programs()
        return [
            str(programs.java),
            *JAVA_OPTIONS,
            *_HEAP,
            "-XX:MaxDirectMemorySize=128m",
            "--enable-native-access=ALL-UNNAMED",
            "--sun-misc-unsafe-memory-access=allow",
            f"-Dlog4j2.configurationFile={_LOG4J}",
            *("-cp", programs.kafka_class_path),
            main,
            *arguments,
        ]


def _cluster_id() -> str:
    """Make a cluster id: 22 characters that do not begin like an option."""
    while True:
        made = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode("ascii").rstrip("=")
        if not made.startswith("-"):
            return made


def _escaped(value: str) -> str:
    r"""Write a value so that Java reads it back: \uXXXX beyond ASCII (java.util.Properties)."""
    units = value.replace("\\", "\\\\").encode("utf-16-be")
    codes = (int.from_bytes(units[at : at + 2]) for at in range(0, len(units), 2))
    return "".join(chr(code) if code < _ASCII_END else f"\\u{code:04x}" for code in codes)
