"""What the switches of the page *Events sent to Heap* write into a connection's filters; pure.

Off is an exact exclude. New events are on where everything is included: an empty include, or one
with `*`. Off, the include names what is known, and a name nobody has seen yet is left out. A name
that is off by default is switched on by an include that spells it out, beside `*`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from consumers.forwarder.gate import Gate
from heapline.events.catalogue import DEFAULT_OFF, V1_ALIASES
from heapline.heap.connection import Region, Send
from heapline.words import AppId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from heapline.heap.connection import Connection

_ALL: Final = "*"
_TWINS: Final = V1_ALIASES | {name: alias for alias, name in V1_ALIASES.items()}


@dataclass(frozen=True, slots=True)
class Lists:
    """A connection's two lists of globs."""

    include: tuple[str, ...]
    exclude: tuple[str, ...]


def is_on(connection: Connection, name: str) -> bool:
    """Tell whether the filters let an event name through, connected or not."""
    open_to_all = replace(connection, app_id=AppId("any"), region=Region.US, send=Send.ON)
    return Gate(open_to_all).refusal(name) is None


def new_events(connection: Connection) -> bool:
    """Tell whether a name nobody has seen yet is sent."""
    return not connection.include or _ALL in connection.include


def switched(connection: Connection, name: str, *, on: bool) -> Lists:
    """Give the lists that switch one name.

    Raises:
        ValueError: it has no name, or a glob a person wrote decides about it; only the command
            line changes those.
    """
    if not name:
        raise ValueError("which event?")
    named = {_exact(each) for each in (name, _TWINS.get(name, name))}
    without = tuple(glob for glob in connection.exclude if glob not in named)
    if not on:
        return Lists(connection.include, (*without, _exact(name)))
    include = connection.include
    if name in DEFAULT_OFF and name not in include:
        include = (*(include or (_ALL,)), name)
    elif not is_on(replace(connection, exclude=without), name):
        include = (*include, _exact(name)) if include else include
    lists = Lists(include, without)
    if not is_on(replace(connection, include=lists.include, exclude=lists.exclude), name):
        raise ValueError("a filter with a pattern decides about this event")
    return lists


def new_switched(connection: Connection, known: Iterable[str], *, on: bool) -> Lists:
    """Give the lists that let new names through, or only those that are known and on."""
    kept = tuple(glob for glob in connection.include if glob != _ALL)
    if on:
        spelled = tuple(glob for glob in kept if glob in DEFAULT_OFF)
        return Lists((_ALL, *spelled) if spelled else (), connection.exclude)
    named = sorted(name for name in known if name and is_on(connection, name))
    return Lists(tuple(dict.fromkeys([*kept, *map(_exact, named)])) or ("-",), connection.exclude)


def _exact(name: str) -> str:
    """Write a name as a glob that matches it alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
