"""The console's addresses, put together from its pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

from fastapi import APIRouter

from web.console.audience_pages import add_audience
from web.console.delivery_pages import add_delivery
from web.console.entrance import add_entrance
from web.console.event_pages import add_events
from web.console.integration_pages import add_integration
from web.console.letter_pages import add_letters
from web.console.pages import Pages
from web.console.segment_pages import add_segments

if TYPE_CHECKING:
    from heapline.clock import Clock
    from web.console.data import ConsoleData
    from web.console.sessions import Sessions


def console_router(sessions: Sessions, data: ConsoleData, clock: Clock) -> APIRouter:
    """Make the console's routes."""
    pages = Pages(sessions, data, clock)
    router = APIRouter(include_in_schema=False)
    for add in (
        add_entrance,
        add_integration,
        add_events,
        add_segments,
        add_audience,
        add_delivery,
        add_letters,
    ):
        add(router, pages)
    return router
