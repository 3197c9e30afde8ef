"""What desks said of event names, by number: asked once, and looked up for every row."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING, Final

import numpy as np

from consumers.forwarder.mapping import MAX_NAME_CHARACTERS
from consumers.forwarder.stretch import Fate
from heapline.outcomes import SkipReason

if TYPE_CHECKING:
    from consumers.forwarder.desk import Desk

REASONS: Final = (
    None,
    SkipReason.PREVIEW,
    SkipReason.SIMULATED,
    SkipReason.ADMIN,
    SkipReason.ANONYMOUS,
)
"""What depends on the single event, in the gate's order."""
ELIGIBLE: Final = 0
ANONYMOUS: Final = 4
BY_NAME: Final = len(REASONS)
UNSURE: Final = BY_NAME + 1
ANSWERS: Final = UNSURE + 1
_NAME: Final = re.compile(r"[!#-\[\]-~](?:[ !#-\[\]-~]*[!#-\[\]-~])?")
"""Visible ASCII which JSON writes as it is, with nothing to strip."""


class KnownNames:
    """Names of workspaces, each with a number.

    Args:
        most: how many there may be.

    Attributes:
        answers: by number: what is answered to all events of this name, or `ELIGIBLE`.
        anonymous: by number: whether events without a user id may be sent.
        homes: by number: the place of its workspace in `workspaces`.
        workspaces: each once.
        fates: what becomes of events, by number and answer.
    """

    def __init__(self, most: int) -> None:
        self.answers = np.zeros(most, np.int64)
        self.anonymous = np.zeros(most, np.bool_)
        self.homes = np.zeros(most, np.int64)
        self.workspaces: list[str] = []
        self.fates = Fates()
        self._most = most
        self._by_workspace: dict[str, NamesOfDesk] = {}

    def has_room(self, names: int) -> bool:
        """Whether so many more can be numbered."""
        return len(self.fates) // ANSWERS + names <= self._most

    def of(self, workspace: str, desk: Desk) -> NamesOfDesk:
        """Give the numbers of a workspace's names; anew if it has another desk than before."""
        names = self._by_workspace.get(workspace)
        if names is None or names.desk is not desk:
            names = NamesOfDesk(self, workspace, desk)
            self._by_workspace[workspace] = names
            self.workspaces.append(workspace)
        return names

    def add(self, workspace: str, name: str, desk: Desk, home: int) -> int:
        """Ask a desk about a name, and give its number."""
        refused = desk.gate.refusal(name)
        number = self.fates.add(workspace, name, refused)
        self.answers[number] = _answer(desk, name, refused)
        self.anonymous[number] = desk.gate.sends_anonymous
        self.homes[number] = home
        return number


class NamesOfDesk(dict[str, int]):
    """The numbers of one workspace's event names; who is not there yet gets one."""

    def __init__(self, known: KnownNames, workspace: str, desk: Desk) -> None:
        super().__init__()
        self.desk = desk
        self._known = known
        self._workspace = workspace
        self._home = len(known.workspaces)

    def __missing__(self, name: str) -> int:
        name = sys.intern(name)
        number = self[name] = self._known.add(self._workspace, name, self.desk, self._home)
        return number


class Fates:
    """What becomes of rows: a code is a name's number times `ANSWERS`, plus the answer."""

    def __init__(self) -> None:
        self._names: list[Fate] = []

    def __len__(self) -> int:
        return len(self._names) * ANSWERS

    def __getitem__(self, code: int) -> Fate:
        number, answer = divmod(code, ANSWERS)
        fate = self._names[number]
        return fate if answer == BY_NAME else fate._replace(reason=REASONS[answer])

    def add(self, workspace: str, name: str, refused: SkipReason | None) -> int:
        """Give a name its number."""
        self._names.append(Fate(workspace, name, refused))
        return len(self._names) - 1


def _answer(desk: Desk, name: str, refused: SkipReason | None) -> int:
    if refused is not None:
        return BY_NAME
    plain = len(name) <= MAX_NAME_CHARACTERS and _NAME.fullmatch(name)
    return ELIGIBLE if plain and desk.takes_rows else UNSURE
