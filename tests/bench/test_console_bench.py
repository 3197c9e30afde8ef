"""The benchmark of the console's pages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bench import console_cost
from bench.child import counting_heap
from bench.console_pages import QUICK, measure

if TYPE_CHECKING:
    from devstack.world import World


@pytest.mark.slow
def test_a_tiny_round(world: World) -> None:
    """Every page is loaded from a real server, and the report judges each."""
    tiny = replace(QUICK, users=200, segments=4, share=0.5, events=20, requests=2)
    section = measure(world, tiny)
    assert len(section.figures["pages"]) == 10
    assert all(line.endswith(("PASS", "MISSED")) for line in section.lines[2:])


@pytest.mark.slow
def test_the_console_is_looked_at_while_events_are_forwarded(world: World) -> None:
    """Both ways are measured, and in one of them pages were shown."""
    with counting_heap() as heap:
        section = console_cost.measure(world, heap, 2_000, 1)
    assert section.figures["pages_shown"] > 0
    assert all(f"{figure:.1f}" in section.text() for figure in _medians(section.figures))


def _medians(figures: dict[str, Any]) -> list[float]:
    return [each["median"] for each in figures.values() if isinstance(each, dict)]
