"""Pages of segment syncs: what Heap's webhook sends, read leniently and kept exactly.

Syncs are deltas, so a page refused for good leaves the segment wrong for good: refused is only what
cannot mean anything. Ids come as numbers or texts and are texts from here on: 7 and "7" are one.
(Heap, Data-out API reference; LaunchDarkly's and Heap's samples show both kinds of ids, and calls
without `sync_info`.)
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

import orjson

from heapline.errors import CallerMistake
from heapline.words import SegmentId, UserId, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

LONGEST_ID: Final = 1_024
"""Characters. Heap's property values are shorter (Heap, Track reference); an id without bound could
make a record no topic takes."""
LONGEST_NAME: Final = 1_024
_NO_SEGMENT: Final = SegmentId("")
_LARGEST_NUMBER: Final = 2**63 - 1


class Action(StrEnum):
    """What a page asks for."""

    SYNC = "sync"
    DRAIN = "drain"
    REFUSED = "refused"
    """Nothing: the call was answered with an error for good, and is kept to be shown."""


class Refusal(StrEnum):
    """Why a signed call means nothing."""

    NOT_JSON = "not_json"
    NOT_AN_OBJECT = "not_an_object"
    UNKNOWN_ACTION = "unknown_action"
    DATA_MISSING = "data_missing"
    SEGMENT_MISSING = "segment_missing"
    NEITHER_ADD_NOR_REMOVE = "neither_add_nor_remove"
    USERS_MALFORMED = "users_malformed"


class RefusedCall(CallerMistake):
    """A signed call that means nothing.

    Attributes:
        refusal: why.
        call: what could be read of it, so that it can be shown; None where nothing could.
    """

    def __init__(self, refusal: Refusal, message: str, call: Call | None = None) -> None:
        super().__init__(message)
        self.refusal = refusal
        self.call = call


@dataclass(frozen=True, slots=True)
class Call:
    """One webhook call, before its workspace is known.

    Attributes:
        id_token: names the customer; None where the call carries none.
        segment_id, segment_name: empty where there is none.
        skipped: users without a usable id.
    """

    action: Action
    id_token: str | None = None
    segment_id: SegmentId = _NO_SEGMENT
    segment_name: str = ""
    sync_task_id: str | None = None
    page_number: int | None = None
    total_pages: int | None = None
    add: tuple[UserId, ...] = ()
    remove: tuple[UserId, ...] = ()
    skipped: int = 0

    def digest(self) -> int:
        """Give 64 bits that tell whether two calls say the same, however they are written."""
        said = (
            self.action.value,
            self.segment_id,
            self.sync_task_id,
            self.page_number,
            self.total_pages,
            sorted(self.add),
            sorted(self.remove),
        )
        return digest_of(orjson.dumps(said))


@dataclass(frozen=True, slots=True)
class SegmentPage:
    """A call as it is kept; field by field `avro/SegmentSyncPage.avsc`."""

    workspace: Workspace
    segment_id: SegmentId
    action: Action
    digest: int
    received_at_ms: int
    signed_at_ms: int = 0
    segment_name: str = ""
    sync_task_id: str | None = None
    page_number: int | None = None
    total_pages: int | None = None
    add: tuple[UserId, ...] = ()
    remove: tuple[UserId, ...] = ()
    skipped: int = 0
    refusal: str | None = None

    @classmethod
    def of(
        cls,
        call: Call,
        workspace: Workspace,
        *,
        signed_at_ms: int,
        received_at_ms: int,
        refusal: Refusal | None = None,
    ) -> SegmentPage:
        """Make the page of a call; one that is refused names nobody."""
        users = refusal is None
        return cls(
            workspace=workspace,
            segment_id=call.segment_id,
            action=call.action if users else Action.REFUSED,
            digest=call.digest(),
            received_at_ms=received_at_ms,
            signed_at_ms=signed_at_ms,
            segment_name=call.segment_name,
            sync_task_id=call.sync_task_id,
            page_number=call.page_number,
            total_pages=call.total_pages,
            add=call.add if users else (),
            remove=call.remove if users else (),
            skipped=call.skipped,
            refusal=refusal.value if refusal else None,
        )

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> SegmentPage:
        """Make a page from a decoded Avro record.

        Raises:
            ValueError: an action this version does not know.
        """
        return cls(
            workspace=record["workspace"],
            segment_id=record["segment_id"],
            action=Action(record["action"]),
            digest=record["digest"],
            received_at_ms=record["received_at"],
            signed_at_ms=record["signed_at"],
            segment_name=record["segment_name"],
            sync_task_id=record["sync_task_id"],
            page_number=record["page_number"],
            total_pages=record["total_pages"],
            add=tuple(record["add"]),
            remove=tuple(record["remove"]),
            skipped=record["skipped"],
            refusal=record["refusal"],
        )

    def to_record(self) -> dict[str, Any]:
        """Give the Avro record."""
        return {
            "workspace": self.workspace,
            "segment_id": self.segment_id,
            "segment_name": self.segment_name,
            "action": self.action.value,
            "sync_task_id": self.sync_task_id,
            "page_number": self.page_number,
            "total_pages": self.total_pages,
            "add": self.add,
            "remove": self.remove,
            "skipped": self.skipped,
            "digest": self.digest,
            "signed_at": self.signed_at_ms,
            "received_at": self.received_at_ms,
            "refusal": self.refusal,
        }


def digest_of(text: bytes) -> int:
    """Give 64 bits of a hash, as a signed number: what Avro calls a long."""
    found = hashlib.blake2b(text, digest_size=8).digest()
    return int.from_bytes(found, "big", signed=True)


def read_call(body: bytes) -> Call:
    """Read the body of a webhook call.

    Raises:
        RefusedCall: it means nothing.
    """
    content = _parsed(body)
    try:
        return _call(content)
    except _Imprecise:
        # orjson turns whole numbers beyond 64 bits into floats: two users would become one.
        return _call(_leniently(body))


class _Imprecise(Exception):
    """An id was read as a float."""


def _parsed(body: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return _leniently(body)
    return _object(content)


def _leniently(body: bytes) -> dict[str, Any]:
    """Read what is no JSON by the book, yet is written: a lone surrogate in a name, NaN."""
    try:
        text = body.decode("utf-8-sig")
        return _object(json.loads(text, parse_float=_Decimal, parse_constant=lambda _: None))
    except (ValueError, RecursionError) as error:
        raise RefusedCall(Refusal.NOT_JSON, "the body is no JSON in UTF-8") from error


class _Decimal(str):
    """A number with a fraction or exponent, as it was written."""

    __slots__ = ()


def _object(content: object) -> dict[str, Any]:
    if not isinstance(content, dict):
        raise RefusedCall(Refusal.NOT_AN_OBJECT, "the body is not a JSON object")
    return content


_ACTIONS: Final = {"segment.users.sync": Action.SYNC, "segment.users.drain": Action.DRAIN}


def _call(content: dict[str, Any]) -> Call:
    data = content.get("data")
    fields = data if isinstance(data, dict) else {}
    segment = fields.get("segment")
    named = segment if isinstance(segment, dict) else {}
    token = content.get("id_token")
    action = _ACTIONS.get(str(content.get("action_type")), Action.REFUSED)
    add, remove = fields.get("add"), fields.get("remove")
    syncs = action is Action.SYNC
    users_in = list(_users(add)) if syncs else []
    users_out = list(_users(remove)) if syncs else []
    call = Call(
        action=action,
        id_token=token if isinstance(token, str) and token else None,
        segment_id=SegmentId(id_text(named.get("id")) or ""),
        segment_name=_name(named.get("name")),
        **_sync_info(fields.get("sync_info")),
        add=tuple(dict.fromkeys(each for each in users_in if each is not None)),
        remove=tuple(dict.fromkeys(each for each in users_out if each is not None)),
        skipped=users_in.count(None) + users_out.count(None),
    )
    problem = _problem(call, data, add, remove)
    if problem is not None:
        raise RefusedCall(*problem, call)
    return call


def _problem(call: Call, data: object, add: object, remove: object) -> tuple[Refusal, str] | None:
    if call.action is Action.REFUSED:
        return Refusal.UNKNOWN_ACTION, f"action_type is none of {', '.join(_ACTIONS)}"
    if not isinstance(data, dict):
        return Refusal.DATA_MISSING, "`data` is missing or no object"
    if not call.segment_id:
        return Refusal.SEGMENT_MISSING, "`data.segment.id` is missing or no id"
    return _users_problem(add, remove) if call.action is Action.SYNC else None


def _users_problem(add: object, remove: object) -> tuple[Refusal, str] | None:
    if add is None and remove is None:
        return Refusal.NEITHER_ADD_NOR_REMOVE, "there is neither `data.add` nor `data.remove`"
    if not all(each is None or isinstance(each, list) for each in (add, remove)):
        return Refusal.USERS_MALFORMED, "`data.add` and `data.remove` are lists of {id}"
    return None


def _users(listed: object) -> Iterator[UserId | None]:
    """Give the ids of a list of users, None for each that has none."""
    for each in listed if isinstance(listed, list) else ():
        text = id_text(each.get("id")) if isinstance(each, dict) else None
        yield None if text is None else UserId(text)


def id_text(value: object) -> str | None:
    """Give an id as text, or None where this is no id.

    Whole numbers are written without a fraction: JavaScript knows no other kind.
    """
    if isinstance(value, float):
        raise _Imprecise
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    text = _whole(value) if isinstance(value, _Decimal) else str(value)
    return text if 0 < len(text) <= LONGEST_ID and _is_unicode(text) else None


def _whole(written: str) -> str:
    number, dot, fraction = written.partition(".")
    return number if dot and fraction.strip("0") == "" else str(written)


def _is_unicode(text: str) -> bool:
    """Tell whether a text can be written as UTF-8; a lone surrogate cannot."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _name(value: object) -> str:
    text = str(value) if isinstance(value, (str, int)) else ""
    return text[:LONGEST_NAME].encode("utf-8", "replace").decode("utf-8")


def _sync_info(value: object) -> dict[str, Any]:
    """Read where in a sync the page stands; whatever cannot be read is as if it were not there."""
    info = value if isinstance(value, dict) else {}
    task = info.get("sync_task_id")
    named = None if isinstance(task, float) else id_text(task)
    if named is None:
        return {}
    number, total = (_count(info.get(each)) for each in ("page_number", "total_pages"))
    return {"sync_task_id": named, "page_number": number, "total_pages": total}


def _count(value: object) -> int | None:
    text = str(value)
    is_number = isinstance(value, (int, str)) and not isinstance(value, bool)
    if not is_number or not text.isascii() or not text.isdecimal():
        return None
    number = int(text[:20])
    return number if 0 < number <= _LARGEST_NUMBER else None
