"""Telling a person what the demo does now."""

from __future__ import annotations

from typing import Protocol


class Steps(Protocol):
    """Hears what is going on."""

    def begin(self, what: str) -> None:
        """Hear that the step before is done and what comes now."""
        ...

    def at(self, how_far: str) -> None:
        """Hear how far the step is, in a few words; many times a second at most."""
        ...
