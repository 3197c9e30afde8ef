"""librdkafka configuration, the same for every role."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from confluent_kafka import Consumer, KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from heapline.errors import Fenced, KafkaUnavailable, MustStop
from heapline.kafka.topics import EVENT_BYTES, HEADROOM_BYTES

if TYPE_CHECKING:
    from heapline.settings import KafkaSettings

PARTITIONER: Final = "murmur2_random"
"""As Java clients partition by default. librdkafka's own default differs, and the same workspace
would sit in two partitions."""

_log = logging.getLogger("librdkafka")


def common(settings: KafkaSettings, role: str) -> dict[str, Any]:
    """Give what every client needs: brokers, sign-in, quick reconnects, librdkafka's log.

    Half of the first delay before a reconnect also passes before librdkafka opens a client's second
    connection, without which few questions are answered (`rd_kafka_connect_any`).
    """
    return {
        "bootstrap.servers": settings.bootstrap_servers,
        "client.id": f"heapline-{role}",
        "reconnect.backoff.ms": 20,
        "reconnect.backoff.max.ms": 2_000,
        "retry.backoff.ms": 5,
        "logger": _log,
        **settings.security(),
    }


def producer_config(settings: KafkaSettings, role: str) -> dict[str, Any]:
    """Give the configuration of an idempotent producer."""
    return {
        **common(settings, role),
        "enable.idempotence": True,
        "partitioner": PARTITIONER,
        "compression.type": "zstd",
        "linger.ms": 5,
        "message.max.bytes": EVENT_BYTES + HEADROOM_BYTES,
    }


def transactional_producer(
    settings: KafkaSettings, role: str, transactional_id: str, **more: str | float
) -> Producer:
    """Make a transactional producer; the caller initialises it.

    The transaction timeout is 10 s, so that a killed process stalls readers for seconds only.
    """
    config = producer_config(settings, role) | {
        "transactional.id": transactional_id,
        "transaction.timeout.ms": 10_000,
        "linger.ms": 0,
    }
    return Producer(config | more)


def consumer_config(settings: KafkaSettings, role: str, group_id: str) -> dict[str, Any]:
    """Give the configuration of a consumer that commits by itself and reads committed records."""
    return {
        **common(settings, role),
        "group.id": group_id,
        "enable.auto.commit": False,
        "enable.auto.offset.store": False,
        "auto.offset.reset": "error",
        "isolation.level": "read_committed",
        "enable.partition.eof": True,
    }


def admin(settings: KafkaSettings) -> AdminClient:
    """Make an admin client."""
    return AdminClient(common(settings, "admin"))


def lone_consumer(settings: KafkaSettings, role: str, **more: str | float) -> Consumer:
    """Make a consumer for assigned partitions that never joins a group nor commits."""
    config = consumer_config(settings, role, f"{settings.prefix}heapline.{role}")
    return Consumer(config | {"auto.offset.reset": "earliest"} | more)


def translated(error: KafkaError | KafkaException) -> Exception:
    """Map a librdkafka error to ours: fenced, fatal, or worth trying again."""
    cause = error.args[0] if isinstance(error, KafkaException) else error
    if not isinstance(cause, KafkaError):
        return MustStop(str(error))
    if cause.code() in _FENCED:
        return Fenced(
            f"{cause.str()}: another process runs under the same HEAPLINE_INSTANCE_ID; "
            "give each process its own"
        )
    if cause.fatal() or cause.code() == KafkaError._FATAL:  # noqa: SLF001 -- as below
        return MustStop(cause.str())
    if cause.code() in _NOBODY:
        return KafkaUnavailable(
            f"no Kafka answers ({cause.str()}). Is it up, and HEAPLINE_KAFKA__BOOTSTRAP_SERVERS "
            "right? `heapline dev up` starts one on this machine"
        )
    return KafkaUnavailable(cause.str())


def told_in_full(error: KafkaException, producer: Producer) -> KafkaException:
    """Give why a transactional producer can do no more, where the error only says that it is so.

    librdkafka's `produce` says no more than "fatal"; the next call about the transaction tells the
    reason (librdkafka 2, `rd_kafka_txn_require_states`).
    """
    if error.args[0].code() != KafkaError._FATAL:  # noqa: SLF001 -- so named by librdkafka
        return error
    try:
        producer.begin_transaction()
    except KafkaException as reason:
        return reason if reason.args[0].fatal() else error
    return error


_NOBODY: Final = (
    KafkaError._TRANSPORT,  # noqa: SLF001 -- librdkafka's local errors are named so
    KafkaError._ALL_BROKERS_DOWN,  # noqa: SLF001 -- as above
    KafkaError._RESOLVE,  # noqa: SLF001 -- as above
)
_FENCED: Final = (
    KafkaError._FENCED,  # noqa: SLF001 -- librdkafka's local errors are named so
    KafkaError.PRODUCER_FENCED,
    KafkaError.INVALID_PRODUCER_EPOCH,
)
