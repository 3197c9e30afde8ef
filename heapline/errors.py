"""Every error heapline raises on purpose, grouped by what can be done about it.

::

    HeaplineError
    ├── TryAgainLater          the same call may succeed later; `retry_after_seconds` says when
    │   ├── KafkaUnavailable
    │   ├── RegistryUnavailable
    │   └── HeapUnavailable
    ├── Undeliverable          this record can never be delivered; `reason` names why (→ DLQ)
    │   └── UnknownSchema      its schema id is not in the registry
    ├── WorkspaceNeedsAttention a person must change something for one workspace
    ├── MustStop               this process must not go on
    │   ├── Fenced             another process runs under the same instance id
    │   └── RecordsLost        the log no longer holds what the group has not read
    └── CallerMistake          the caller can mend it
        ├── InvalidSetting
        ├── InvalidEvent       `reason` names why
        └── NotReady           topics or schemas are missing

Foreign errors (librdkafka, httpx, pydantic) are mapped to these where they enter, with the original
as `__cause__`. Facts are attributes; the message says what to do.
"""

from __future__ import annotations


class HeaplineError(Exception):
    """The base of every error raised on purpose."""


class TryAgainLater(HeaplineError):
    """The same call may succeed later.

    Attributes:
        retry_after_seconds: how long to wait first, or None where nobody said.
    """

    def __init__(self, message: str, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class KafkaUnavailable(TryAgainLater):
    """The brokers did not answer in time."""


class RegistryUnavailable(TryAgainLater):
    """The schema registry did not answer, or not with sense."""


class HeapUnavailable(TryAgainLater):
    """Heap did not answer."""


class Undeliverable(HeaplineError):
    """A record that can never be delivered and belongs in the DLQ.

    Attributes:
        reason: a name from the closed set in `heapline.outcomes`, for counts and headers.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class UnknownSchema(Undeliverable):
    """A record names a schema id the registry does not know.

    Attributes:
        schema_id: the id in the record's framing.
    """

    def __init__(self, schema_id: int) -> None:
        super().__init__("unknown_schema", f"the registry knows no schema with id {schema_id}")
        self.schema_id = schema_id


class WorkspaceNeedsAttention(HeaplineError):
    """Something about one workspace must be changed by a person.

    Attributes:
        workspace: whose.
        reason: a short name, for counts.
    """

    def __init__(self, workspace: str, reason: str, message: str) -> None:
        super().__init__(message)
        self.workspace = workspace
        self.reason = reason


class MustStop(HeaplineError):
    """Going on would lose or double something; the process must end."""


class Fenced(MustStop):
    """Another process took over this process's transactional id."""


class RecordsLost(MustStop):
    """The log no longer holds records this group has not read.

    Attributes:
        lost: how many offsets were skipped over, by `topic[partition]`.
    """

    def __init__(self, message: str, *, lost: dict[str, int]) -> None:
        super().__init__(message)
        self.lost = lost


class CallerMistake(HeaplineError):
    """The caller can mend it; the message says how."""


class InvalidSetting(CallerMistake):
    """A setting is missing, unknown or out of range."""


class InvalidEvent(CallerMistake):
    """What was to be published is not an event.

    Attributes:
        reason: a short name, for counts and for the answer to the publisher.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


class NotReady(CallerMistake):
    """Topics or schemas are missing; the message names the command that makes them."""
