"""What analysts read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from state.database import Database


def make_views(database: Database) -> None:
    """Make the views."""
