"""Command AI events: the model, the shapes they come in, and the publisher services embed."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from heapline.events.async_publisher import AsyncEventPublisher
    from heapline.events.delivery import DeliveryReport, NotAcknowledged, Published
    from heapline.events.model import Event
    from heapline.events.outbox import Patience
    from heapline.events.publisher import EventPublisher
    from heapline.events.refusals import Refusal
    from heapline.events.shapes import Shape, to_event

__all__ = [
    "AsyncEventPublisher",
    "DeliveryReport",
    "Event",
    "EventPublisher",
    "NotAcknowledged",
    "Patience",
    "Published",
    "Refusal",
    "Shape",
    "to_event",
]

_HOMES: Final = {
    "AsyncEventPublisher": "async_publisher",
    "DeliveryReport": "delivery",
    "Event": "model",
    "EventPublisher": "publisher",
    "NotAcknowledged": "delivery",
    "Patience": "outbox",
    "Published": "delivery",
    "Refusal": "refusals",
    "Shape": "shapes",
    "to_event": "shapes",
}


def __getattr__(name: str) -> Any:  # noqa: ANN401 -- whatever the name stands for
    """Import on first use: reading events needs no Kafka client, and so no `publisher` extra."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
