"""What a check found to be wrong, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is not as it should be.

    Attributes:
        about: the topic, subject or part of the world concerned.
        problem: what is wrong, one line.
        fix: what to do, one line; a command wherever there is one.
    """

    about: str
    problem: str
    fix: str
