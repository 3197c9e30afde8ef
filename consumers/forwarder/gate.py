"""The gate: which events a workspace sends to Heap, and under which identity.

The questions are asked in this order, and the first refusal is the reason that is counted:

1. Is the workspace connected (an app id and a region)? - `not_connected`,
   or `disconnected` where it was and its connection was removed
2. Is Send on? - `send_off`. `hold` is no refusal: that the event waits is the lane's business.
3. Does the event's name pass the filters? - `filtered`, `not_sent_by_default`
4. Is it a preview, simulated, or an administrator's? - `preview`, `simulated`, `admin`
5. Has it a user id, or may it go under its anonymous id? - `anonymous`

Filters are shell globs over event names, case-sensitive. An exclude that matches wins; an empty
include means all. Names that are off by default (`heapline.events.catalogue.DEFAULT_OFF`) carry raw
browsing and typing: only an include which spells the name out switches one on, no glob does.
Command AI calls one event both `nudge_seen` and `nudge_shown`: a filter that names one means both.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from heapline.events.catalogue import DEFAULT_OFF, V1_ALIASES
from heapline.heap.connection import Send
from heapline.outcomes import SkipReason

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heapline.events.model import Event
    from heapline.heap.connection import Connection

NOT_AN_ID: Final = frozenset({"", "null", "undefined"})
"""What JavaScript writes where it has no id; spaces around it are ignored."""

_SAME_EVENT: Final = V1_ALIASES | {name: alias for alias, name in V1_ALIASES.items()}
_NAMES_REMEMBERED: Final = 10_000
"""Event names are an open set: a producer that makes one up for each event must not fill memory."""


class Gate:
    """The gate of one version of a workspace's connection; None where it has none.

    Args:
        connection: that version.
        was_connected: it had a connection, which was removed.

    Judging is pure. Answers about names are remembered, so a version is compiled once and used for
    all of its events.
    """

    def __init__(self, connection: Connection | None, *, was_connected: bool = False) -> None:
        self._shut = _shut(connection, was_connected=was_connected)
        self._include = connection.include if connection else ()
        self._exclude = connection.exclude if connection else ()
        self._send_anonymous = bool(connection and connection.send_anonymous)
        self._names: dict[str, SkipReason | None] = {}

    @property
    def sends_anonymous(self) -> bool:
        """Whether events without a user id may go under their anonymous id."""
        return self._send_anonymous

    def refusal(self, name: str) -> SkipReason | None:
        """Give why no event of this name is sent; None where it depends on the event."""
        return self._shut if self._shut is not None else self._name_refusal(name)

    def judge(self, event: Event) -> SkipReason | None:
        """Give why this event is not sent, or None when it is eligible."""
        if self._shut is not None:
            return self._shut
        refused = self._name_refusal(event.name)
        if refused is not None:
            return refused
        if event.is_preview or event.is_simulated or event.is_admin:
            return _test_traffic(event)
        return None if self.identity(event) is not None else SkipReason.ANONYMOUS

    def identity(self, event: Event) -> str | None:
        """Give whom Heap should hear of: the user id, or the anonymous id where that is allowed.

        An id is passed on exactly as it came, spaces included: it must equal the site's own.
        """
        if _is_id(event.user_id):
            return event.user_id
        if self._send_anonymous and _is_id(event.anonymous_id):
            return event.anonymous_id
        return None

    def _name_refusal(self, name: str) -> SkipReason | None:
        try:
            return self._names[name]
        except KeyError:
            return self._remember(name)

    def _remember(self, name: str) -> SkipReason | None:
        if len(self._names) >= _NAMES_REMEMBERED:
            self._names.clear()
        refused = self._names[name] = self._refused(name)
        return refused

    def _refused(self, name: str) -> SkipReason | None:
        names = [name, _SAME_EVENT[name]] if name in _SAME_EVENT else [name]
        if _any_match(names, self._exclude):
            return SkipReason.FILTERED
        if self._include and not _any_match(names, self._include):
            return SkipReason.FILTERED
        if name in DEFAULT_OFF and name not in self._include:
            return SkipReason.NOT_SENT_BY_DEFAULT
        return None


def _shut(connection: Connection | None, *, was_connected: bool) -> SkipReason | None:
    if connection is None and was_connected:
        return SkipReason.DISCONNECTED
    if connection is None or not connection.connected:
        return SkipReason.NOT_CONNECTED
    return SkipReason.SEND_OFF if connection.send is Send.OFF else None


def _any_match(names: Iterable[str], globs: Iterable[str]) -> bool:
    return any(name == glob or fnmatchcase(name, glob) for name in names for glob in globs)


def _test_traffic(event: Event) -> SkipReason:
    if event.is_preview:
        return SkipReason.PREVIEW
    return SkipReason.SIMULATED if event.is_simulated else SkipReason.ADMIN


def _is_id(text: str | None) -> bool:
    return text is not None and text.strip() not in NOT_AN_ID
