"""The faults that can be ordered from the simulator, as data.

Every fault says whom it strikes (`app_id`, `probability`, `skip`, `times`, `for_seconds`) and, by
its `kind`, what it does. They are sent as a JSON list to `PUT /_sim/faults`.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

_KEY = "idempotency_key"


class FaultBase(BaseModel):
    """Whom a fault strikes; every condition must hold.

    Attributes:
        app_id: only requests for this app id; None means all, also those without one.
        probability: of striking a request that matches, drawn from the simulator's seeded random.
        skip: how many matching requests pass unharmed first.
        times: how often it strikes before it is spent; None means without end.
        for_seconds: how long it lives after it was ordered; None means without end.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    app_id: str | None = None
    probability: float = Field(default=1.0, ge=0.0, le=1.0)
    skip: int = Field(default=0, ge=0)
    times: int | None = Field(default=None, ge=1)
    for_seconds: float | None = Field(default=None, gt=0)


class Latency(FaultBase):
    """Takes longer: `ms` plus up to `jitter_ms`, before or after Heap applies the request."""

    kind: Literal["latency"] = "latency"
    ms: float = Field(ge=0)
    jitter_ms: float = Field(default=0, ge=0)
    when: Literal["before", "after"] = "before"


class Status(FaultBase):
    """Answers with a status of its own.

    Attributes:
        status: any HTTP status from 200 on.
        applied: whether Heap applies the request nevertheless (an ambiguous failure).
        retry_after_seconds: what `Retry-After` says; None sends no such header.
        retry_after_form: as seconds, as an HTTP date, or as a text that is neither.
    """

    kind: Literal["status"] = "status"
    status: int = Field(ge=200, le=599)
    applied: bool = False
    retry_after_seconds: float | None = Field(default=None, ge=0)
    retry_after_form: Literal["seconds", "date", "garbage"] = "seconds"


class TooLarge(FaultBase):
    """Answers 413 to bodies of more than `above_bytes`, and applies nothing."""

    kind: Literal["too_large"] = "too_large"
    above_bytes: int = Field(ge=0)


class Poison(FaultBase):
    """Answers 400 if any event of the request has all that is named here, and applies nothing.

    Attributes:
        event: its name.
        idempotency_key: its key.
        property_name: it has this property.
        property_value: and the property has this value; None means any.
        status: what is answered.
    """

    kind: Literal["poison"] = "poison"
    event: str | None = None
    idempotency_key: str | None = None
    property_name: str | None = None
    property_value: str | int | float | None = None
    status: int = Field(default=400, ge=400, le=599)

    @model_validator(mode="after")
    def _names_something(self) -> Self:
        if self.event is None and self.idempotency_key is None and self.property_name is None:
            raise ValueError("name an event, an idempotency_key or a property_name")
        return self

    def matches(self, event: object) -> bool:
        """Whether this event, valid or not, is the poison."""
        return isinstance(event, dict) and (
            (self.event is None or self.event == event.get("event"))
            and (self.idempotency_key is None or self.idempotency_key == event.get(_KEY))
            and (self.property_name is None or self._matches_property(event.get("properties")))
        )

    def _matches_property(self, properties: object) -> bool:
        if not isinstance(properties, dict) or self.property_name not in properties:
            return False
        wanted = self.property_value
        return wanted is None or bool(properties[self.property_name] == wanted)


class Reset(FaultBase):
    """Resets the connection (RST) instead of answering, before or after applying the request."""

    kind: Literal["reset"] = "reset"
    applied: bool = False


class Hang(FaultBase):
    """Never answers and keeps the connection open, before or after applying the request."""

    kind: Literal["hang"] = "hang"
    applied: bool = False


class Truncated(FaultBase):
    """Applies the request, sends the head and a part of the body, then closes the connection.

    Attributes:
        keep_body_bytes: how much of the body is sent; Heap's whole body is two bytes long.
    """

    kind: Literal["truncated"] = "truncated"
    keep_body_bytes: int = Field(default=1, ge=0)


class Trickle(FaultBase):
    """Applies the request and sends the answer, head and body, a few bytes at a time."""

    kind: Literal["trickle"] = "trickle"
    bytes_per_piece: int = Field(default=1, ge=1)
    pause_ms: float = Field(default=50, gt=0)


DecidingFault = Status | TooLarge | Poison | Reset | Hang
"""Faults that decide what becomes of a request; at most one of them strikes a request."""

SpoilingFault = Truncated | Trickle
"""Faults that spoil the sending of an answer; at most one of them strikes a request."""

Fault = Annotated[Latency | DecidingFault | SpoilingFault, Field(discriminator="kind")]
"""Any fault."""

FAULTS: TypeAdapter[list[Fault]] = TypeAdapter(list[Fault])
"""Reads and writes lists of faults."""
