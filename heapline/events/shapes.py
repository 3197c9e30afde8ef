"""The three shapes Command AI events come in, made into one `Event`.

- `v2`: the `cb:*` envelope (npm `commandbar` 1.12.0, v2 schema);
- `v1`: the v1 SDK's wire payload (npm `commandbar` 1.14.0);
- `callback`: `{"name", "data", "user_id", "timestamp"}`, as an `addEventSubscriber` callback would
  hand on; `workspace`, `session_id`, `anonymous_id` and `event_id` are optional.

What is merely odd is repaired; refused is only what has no name, no workspace, no sense of time, or
no end. Personal data that Heap has no use for never gets into an event: `end_user_properties`,
`decide`, `launch_code`, `user_agent`, `context.meta`, and the traits of a v1 identify call.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from heapline.events.identity import derived_id, fresh_id, own_id
from heapline.events.model import Event
from heapline.events.properties import canonical_json, flatten, text_of
from heapline.events.refusals import Refusal, refuse
from heapline.events.timestamps import moment
from heapline.words import UserId, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable

    from heapline.words import EventId


class Shape(StrEnum):
    """A source shape; `Event.shape`."""

    V1 = "v1"
    V2 = "v2"
    CALLBACK = "callback"


V2_GROUPS: Final = (
    "page",
    "nudge",
    "source",
    "copilot",
    "helphub",
    "spotlight",
    "action",
    "content",
)
"""Groups of a v2 envelope that become properties under their own name. A new one is left out until
somebody has looked at what it carries."""
NO_ID: Final = frozenset({"", "null", "undefined"})
"""What sources write where they have no id."""
OWN_ID_FIELDS: Final = ("event_id", "message_id", "messageId")
"""Where a source puts an id of its own for the event, in any shape."""

_V1_FIELDS: Final = frozenset({"attrs", "userType", "clientEventTimestamp"})
_V2_FIELDS: Final = frozenset({"distinct_id", "anon_distinct_id", "end_user_properties"})
_V1_IDENTIFY: Final = "i"
_PERSONAL: Final = "end_user_properties"
_LARGEST_NUMBER_AS_ID: Final = 10**100


@dataclass(slots=True)
class _Parts:
    """A payload taken apart, its values still as the source wrote them."""

    name: object
    user_id: object
    anonymous_id: object
    session_id: object
    timestamp: object
    properties: Mapping[Any, Any]
    groups: dict[str, Any] = field(default_factory=dict)


def to_event(
    payload: object,
    *,
    now_ms: int,
    workspace: Workspace | None = None,
    randomness: Callable[[int], bytes] = os.urandom,
) -> Event:
    """Make an event of a payload in any of the three shapes.

    Args:
        payload: a mapping; it is not changed.
        now_ms: the time of publishing, milliseconds since 1970-01-01 UTC; also when the event
            happened, where the payload does not say.
        workspace: used where the payload names none (`organization_key`, else `workspace`).
        randomness: gives so many random bytes, for ids that cannot be derived.

    Raises:
        InvalidEvent: `reason` is one of `Refusal`.
    """
    if not isinstance(payload, Mapping):
        raise refuse(Refusal.NOT_AN_OBJECT, "an event is a JSON object")
    shape = shape_of(payload)
    parts = _TAKE_APART[shape](payload)
    when = moment(parts.timestamp)
    flat = _flat_properties(parts)
    event = Event(
        event_id=_NO_EVENT_ID,
        workspace=_workspace(payload, workspace),
        name=_name(parts.name),
        user_id=_user_id(parts.user_id),
        timestamp_ms=now_ms if when is None else when.ms,
        received_at_ms=now_ms,
        anonymous_id=id_text(parts.anonymous_id),
        session_id=id_text(parts.session_id),
        shape=shape.value,
        is_admin=_is_set(payload.get("is_admin")) or _is_staff(payload.get("userType")),
        is_simulated=_is_set(payload.get("is_simulated")),
        is_preview=_is_set(flat.get("status.is_preview")) or _is_set(payload.get("is_preview")),
        scrubbers=_scrubbers(payload.get("scrubbers")),
        properties=canonical_json(flat),
    )
    derivable = when is not None and when.has_milliseconds
    event.event_id = _event_id(payload, event, randomness, derivable=derivable)
    return event


def shape_of(payload: Mapping[Any, Any]) -> Shape:
    """Tell which shape a payload has, by the fields only one shape has."""
    if not _V1_FIELDS.isdisjoint(payload):
        return Shape.V1
    if not _V2_FIELDS.isdisjoint(payload):
        return Shape.V2
    name = payload.get("name")
    is_enveloped = isinstance(name, str) and name.startswith("cb:") and "data" not in payload
    return Shape.V2 if is_enveloped else Shape.CALLBACK


def id_text(value: object) -> str | None:
    """Give an id as text: 7, 7.0 and `"7"` are one; None for what stands for no id."""
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str):
        text = text_of(value)
        return None if text in NO_ID else text
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not -_LARGEST_NUMBER_AS_ID < value < _LARGEST_NUMBER_AS_ID:  # so NaN is none either
        return None
    return str(int(value)) if value == int(value) else text_of(value)


def _v1_parts(payload: Mapping[Any, Any]) -> _Parts:
    attrs = _own_properties(payload, "attrs")
    is_identify = payload.get("type") == _V1_IDENTIFY
    name = payload.get("name") or attrs.get("type")
    return _Parts(
        name=name or ("Identify" if is_identify else None),
        user_id=payload.get("id"),
        anonymous_id=payload.get("fingerprint"),
        session_id=payload.get("session"),
        timestamp=payload.get("clientEventTimestamp", payload.get("timestamp")),
        properties={} if is_identify else attrs,
        groups=_v1_groups(payload),
    )


def _v1_groups(payload: Mapping[Any, Any]) -> dict[str, Any]:
    groups = {key: payload[key] for key in ("search", "userType") if payload.get(key) is not None}
    context = payload.get("context")
    if isinstance(context, Mapping):
        page, source = context.get("page"), context.get("cbSource")
        if isinstance(page, Mapping):
            groups["page"] = page
        if source is not None:
            groups["source"] = source if isinstance(source, Mapping) else {"type": source}
    return groups


def _v2_parts(payload: Mapping[Any, Any]) -> _Parts:
    return _Parts(
        name=payload.get("name"),
        user_id=payload.get("distinct_id", payload.get("user_id")),
        anonymous_id=payload.get("anon_distinct_id", payload.get("anonymous_id")),
        session_id=payload.get("session_id", payload.get("session")),
        timestamp=payload.get("timestamp"),
        properties=_own_properties(payload, "properties"),
        groups={
            name: group
            for name in V2_GROUPS
            if (group := payload.get(name)) is not None and isinstance(group, Mapping)
        },
    )


def _callback_parts(payload: Mapping[Any, Any]) -> _Parts:
    data = _own_properties(payload, "data" if "data" in payload else "properties")
    return _Parts(
        name=payload.get("name") or data.get("type"),
        user_id=payload.get("user_id"),
        anonymous_id=payload.get("anonymous_id"),
        session_id=payload.get("session_id"),
        timestamp=payload.get("timestamp"),
        properties=data,
    )


_TAKE_APART: Final = {
    Shape.V1: _v1_parts,
    Shape.V2: _v2_parts,
    Shape.CALLBACK: _callback_parts,
}


def _own_properties(payload: Mapping[Any, Any], name: str) -> Mapping[Any, Any]:
    """Give the event's own properties; what is no object becomes the one property of its name."""
    value = payload.get(name)
    if isinstance(value, Mapping):
        return value
    return {} if value is None else {name: value}


def _flat_properties(parts: _Parts) -> dict[str, Any]:
    """Give all properties flat; what the envelope says of the page or nudge wins over the rest."""
    flat = flatten(parts.properties, parts.groups)
    if _PERSONAL in "\n".join(flat):
        return {key: value for key, value in flat.items() if _PERSONAL not in key.split(".")}
    return flat


def _workspace(payload: Mapping[Any, Any], default: Workspace | None) -> Workspace:
    for value in (payload.get("organization_key"), payload.get("workspace"), default):
        text = id_text(value)
        if text is not None:
            return Workspace(text)
    raise refuse(
        Refusal.WORKSPACE_MISSING,
        "no workspace: put organization_key (or workspace) into the event, or name one for all",
    )


def _name(value: object) -> str:
    name = text_of(value) if isinstance(value, str) else id_text(value)
    if name is None or not name.strip():
        raise refuse(Refusal.NAME_MISSING, "no name: put the event's name into the field name")
    return name


def _user_id(value: object) -> UserId | None:
    text = id_text(value)
    return None if text is None else UserId(text)


def _is_set(flag: object) -> bool:
    return flag is True or flag == 1 or (isinstance(flag, str) and flag.lower() == "true")


def _is_staff(user_type: object) -> bool:
    """Tell the workspace's own people (`admin`, `likely-admin`) from its end users."""
    return isinstance(user_type, str) and user_type not in {"", "end_user"}


def _scrubbers(value: object) -> tuple[str, ...]:
    if isinstance(value, str):
        return (text_of(value),)
    if isinstance(value, list | tuple):
        return tuple(text_of(item) for item in value if isinstance(item, str))
    return ()


_NO_EVENT_ID: Final[EventId] = own_id(Workspace(""), "")


def _event_id(
    payload: Mapping[Any, Any],
    event: Event,
    randomness: Callable[[int], bytes],
    *,
    derivable: bool,
) -> EventId:
    """Take the source's own id, else derive one, else, where two events might be alike, a new."""
    for name in OWN_ID_FIELDS:
        text = id_text(payload.get(name))
        if text is not None:
            return own_id(event.workspace, text)
    if not derivable:
        return fresh_id(event.received_at_ms, randomness)
    return derived_id(
        workspace=event.workspace,
        name=event.name,
        user_id=event.user_id,
        anonymous_id=event.anonymous_id,
        session_id=event.session_id,
        timestamp_ms=event.timestamp_ms,
        properties=event.properties,
    )
