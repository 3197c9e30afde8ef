"""The benchmark of the console's pages."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

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
