"""What can become of a record, and why: the closed sets used in counts, headers and metrics."""

from __future__ import annotations

from enum import StrEnum


class Source(StrEnum):
    """Where a record was read."""

    EVENTS = "events"
    DEFERRED = "deferred"
    REPLAY = "replay"


class Outcome(StrEnum):
    """What became of a record; until then it is waiting."""

    DELIVERED = "delivered"
    SKIPPED = "skipped"
    DEAD_LETTERED = "dead_lettered"
    DEFERRED = "deferred"


class SkipReason(StrEnum):
    """Why the gate did not let an event through, in the order the gate asks."""

    NOT_CONNECTED = "not_connected"
    DISCONNECTED = "disconnected"
    SEND_OFF = "send_off"
    FILTERED = "filtered"
    NOT_SENT_BY_DEFAULT = "not_sent_by_default"
    PREVIEW = "preview"
    SIMULATED = "simulated"
    ADMIN = "admin"
    ANONYMOUS = "anonymous"
    ERASED = "erased"


class DeadLetterReason(StrEnum):
    """Why a record can never be delivered."""

    UNDECODABLE = "undecodable"
    UNKNOWN_SCHEMA = "unknown_schema"
    WORKSPACE_MISSING = "workspace_missing"
    WORKSPACE_MISMATCH = "workspace_mismatch"
    EVENT_ID_MISSING = "event_id_missing"
    NAME_MISSING = "name_missing"
    NAME_TOO_LONG = "name_too_long"
    IDENTITY_TOO_LONG = "identity_too_long"
    INVALID_PROPERTIES = "invalid_properties"
    INVALID_TIMESTAMP = "invalid_timestamp"
    REJECTED_BY_HEAP = "rejected_by_heap"
    TOO_LARGE = "too_large"
    EXPIRED = "expired"


class DeferReason(StrEnum):
    """Why a record was written to the deferred topic."""

    HOLD = "hold"
    PAUSED_UNAUTHORIZED = "paused_unauthorized"
    PAUSED_MISCONFIGURED = "paused_misconfigured"
    PAUSED_UNAVAILABLE = "paused_unavailable"
    PAUSED_DEAD_LETTERS = "paused_dead_letters"
    OVER_LIMIT = "over_limit"
    IDENTITY_OVER_LIMIT = "identity_over_limit"
    TOO_OLD = "too_old"
