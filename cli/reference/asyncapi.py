"""The AsyncAPI 3.0 description of the topics: what stands in them, and which role reads and writes.

Channels are the catalogue of `heapline.kafka.topics`. Addresses begin with the installation's
prefix, which is empty unless somebody chose one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from cli.reference.asyncapi_messages import (
    KAFKA_BINDING,
    MESSAGES,
    described_message,
    messages_of,
)
from cli.reference.asyncapi_roles import ROLES
from heapline import __version__
from heapline.kafka import topics
from heapline.settings import KafkaSettings, SchemaRegistrySettings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from cli.reference.asyncapi_roles import Role
    from heapline.kafka.topics import Topic

_ABOUT: Final = (
    "The Kafka side of heapline. Keys are plain UTF-8, values Avro with Confluent's framing, "
    "partitions murmur2 of the key as Java clients do by default (of the workspace alone for "
    "heap.segment-memberships). Read topics that are written in transactions with "
    "isolation.level=read_committed. Schemas are registered by `heapline schemas register`, never "
    "by a producer, and stay FULL_TRANSITIVE compatible."
)


def asyncapi() -> dict[str, Any]:
    """Give the description."""
    registry = SchemaRegistrySettings()
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "heapline",
            "version": __version__,
            "description": _ABOUT,
            "license": {"name": "Apache-2.0"},
        },
        "servers": {
            "kafka": {
                "host": "{bootstrapServers}",
                "protocol": "kafka",
                "variables": {
                    "bootstrapServers": {
                        "default": KafkaSettings().bootstrap_servers,
                        "description": "HEAPLINE_KAFKA__BOOTSTRAP_SERVERS.",
                    }
                },
                "bindings": {
                    "kafka": {
                        "schemaRegistryUrl": registry.url,
                        "schemaRegistryVendor": "confluent",
                        "bindingVersion": KAFKA_BINDING,
                    }
                },
            }
        },
        "channels": {channel_id(each): _channel(each) for each in topics.TOPICS},
        "operations": dict(_operations()),
        "components": {"messages": {each.name: described_message(each) for each in MESSAGES}},
    }


def asyncapi_reference() -> str:
    """Give the description as JSON."""
    return orjson.dumps(asyncapi(), option=orjson.OPT_INDENT_2).decode() + "\n"


def channel_id(topic: Topic) -> str:
    """Name a topic's channel: `heap.segment-sync-pages` is `heapSegmentSyncPages`."""
    first, *rest = topic.name.replace(".", "-").split("-")
    return first + "".join(each.capitalize() for each in rest)


def _channel(topic: Topic) -> dict[str, Any]:
    config: dict[str, Any] = {
        name: int(value) if value.isdigit() else value for name, value in topic.config.items()
    }
    config["cleanup.policy"] = config["cleanup.policy"].split(",")
    binding: dict[str, Any] = {"topicConfiguration": config, "bindingVersion": KAFKA_BINDING}
    if topic.partitions is not None:
        binding["partitions"] = topic.partitions
    return {
        "address": "{prefix}" + topic.name,
        "summary": topic.purpose[0].upper() + topic.purpose[1:] + ".",
        "parameters": {"prefix": {"description": "HEAPLINE_KAFKA__PREFIX.", "default": ""}},
        "messages": {
            each.name: {"$ref": f"#/components/messages/{each.name}"} for each in messages_of(topic)
        },
        "bindings": {"kafka": binding},
    }


def _operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for role in ROLES:
        for action, chosen in (("receive", role.reads), ("send", role.writes)):
            for topic in chosen:
                yield _operation_id(role, action, topic), _operation(role, action, topic)


def _operation_id(role: Role, action: str, topic: Topic) -> str:
    words = role.name.replace("(", "").replace(")", "").replace("-", " ").split()
    who = "".join(word[0].upper() + word[1:] for word in words)
    channel = channel_id(topic)
    return f"{action}{channel[0].upper()}{channel[1:]}By{who}"


def _operation(role: Role, action: str, topic: Topic) -> dict[str, Any]:
    described: dict[str, Any] = {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel_id(topic)}"},
        "title": role.name,
        "summary": role.summary,
    }
    if action == "receive" and role.group is not None and topic in _SHARED:
        group = {"type": "string", "description": "After the prefix.", "examples": [role.group]}
        described["bindings"] = {"kafka": {"groupId": group, "bindingVersion": KAFKA_BINDING}}
    if action == "send":
        described["x-transactional"] = role.transactional and topic not in _PLAIN
    return described


_SHARED: Final = (topics.EVENTS, topics.DEFERRED, topics.SEGMENT_PAGES)
"""Read by the members of a group together; others are read whole by everybody."""
_PLAIN: Final = (topics.FORWARDER_STATUS,)
"""Written outside of transactions by a role that has some."""
