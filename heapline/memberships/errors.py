"""What can go wrong when memberships are asked for, in the tree of `heapline.errors`.

::

    TryAgainLater
    └── IndexUnavailable       no whole generation can be read (yet)
    MustStop
    └── IndexDamaged           one file of the index is not what was written
    CallerMistake
    ├── UnknownWorkspace
    ├── UnknownSegment
    ├── InvalidAudience        `path` says where
    └── InvalidCursor          start the listing again
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heapline.errors import CallerMistake, MustStop, TryAgainLater

if TYPE_CHECKING:
    from pathlib import Path


class IndexUnavailable(TryAgainLater):
    """No whole generation of the index can be read."""


class IndexDamaged(MustStop):
    """One file of the index is not what was written; older generations may be whole.

    Attributes:
        path: which.
    """

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path.name}: {what}")
        self.path = path


class UnknownWorkspace(CallerMistake):
    """The index knows no such workspace.

    Attributes:
        workspace: the one asked for.
    """

    def __init__(self, workspace: str) -> None:
        super().__init__(f"no workspace {workspace!r} is connected to Heap")
        self.workspace = workspace


class UnknownSegment(CallerMistake):
    """The workspace has synced no such segment.

    Attributes:
        workspace: whose.
        segment: the id asked for.
    """

    def __init__(self, workspace: str, segment: str) -> None:
        super().__init__(
            f"workspace {workspace!r} has no segment {segment!r}: turn its sync on in Heap, "
            "Data, Segments"
        )
        self.workspace = workspace
        self.segment = segment


class InvalidAudience(CallerMistake):
    """An audience is not of Command AI's shape.

    Attributes:
        path: where in it, like `audience.expression.exprs[1].condition`.
    """

    def __init__(self, path: str, what: str) -> None:
        super().__init__(f"{path}: {what}")
        self.path = path


class InvalidCursor(CallerMistake):
    """A cursor is malformed or older than the last rebuild; start the listing again."""
