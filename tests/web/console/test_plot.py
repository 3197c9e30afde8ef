"""The small drawing of a segment's members over time."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from web.console.data import Change
from web.console.plot import HEIGHT, WIDTH, plot

_NETS = st.lists(st.integers(-1_000, 1_000), min_size=1, max_size=500)


def test_nothing_changed() -> None:
    """There is nothing to draw."""
    assert plot([], 7, 1) is None


def test_it_is_counted_back_from_now() -> None:
    """So a history that begins late does not matter."""
    drawn = plot([Change(1_000, 40), Change(2_000, -15)], 125, 3_000)
    assert drawn is not None
    assert (drawn.first, drawn.last, drawn.lowest, drawn.highest) == (100, 125, 100, 140)
    assert (drawn.from_ms, drawn.to_ms) == (1_000, 3_000)
    assert drawn.line == f"M4 116H4V4H320V46H{WIDTH - 4}"


@given(_NETS, st.integers(0, 10**7))
def test_any_history_fits(nets: list[int], members: int) -> None:
    """It stays inside the drawing, and does not grow without end."""
    changes = [Change(at, net) for at, net in enumerate(nets)]
    drawn = plot(changes, members, len(nets))
    assert drawn is not None
    across = [int(each) for each in re.findall(r"[MH](\d+)", drawn.line)]
    down = [int(each) for each in re.findall(r"V(\d+)", drawn.line)]
    assert across == sorted(across)
    assert all(0 <= each <= WIDTH for each in across)
    assert all(0 <= each <= HEIGHT for each in down)
    assert len(down) <= 201
    assert drawn.last == members
