"""When dead letters become a flood."""

from __future__ import annotations

from consumers.forwarder.flood import FloodMeter


def test_more_than_so_many_in_a_minute_is_a_flood() -> None:
    """The minute slides, and what was refused does not count."""
    meter = FloodMeter(3)
    assert [meter.admits("a", s) for s in (0.0, 10.0, 20.0, 30.0)] == [True, True, True, False]
    assert not meter.admits("a", 59.9)
    assert meter.admits("a", 60.0)
    assert not meter.admits("a", 60.0)


def test_workspaces_are_counted_apart() -> None:
    """One customer's flood is not another's."""
    meter = FloodMeter(1)
    assert meter.admits("a", 0.0)
    assert not meter.admits("a", 0.0)
    assert meter.admits("b", 0.0)


def test_made_up_workspaces_do_not_fill_memory() -> None:
    """Keys are anybody's: those unheard of for a minute are forgotten, the others are not."""
    meter = FloodMeter(1)
    for number in range(5_000):
        meter.admits(f"w{number}", number * 0.1)
    assert len(meter._times) < 1_500
    assert not meter.admits("w4999", 500.0)
