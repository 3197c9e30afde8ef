"""Low disk is said early, once each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from structlog.testing import capture_logs

from consumers.materializer.keeping import FreeSpace

if TYPE_CHECKING:
    from pathlib import Path

PLENTY, NONE_AT_ALL = 1 << 62, 0


def test_a_disk_that_is_nearly_full_is_told_once(tmp_path: Path) -> None:
    """Looked at every ten seconds; the message says what to do."""
    space = FreeSpace(tmp_path, low_bytes=PLENTY)
    with capture_logs() as said:
        for now in (0.0, 5.0, 10.0, 20.0):
            space.look(now)
    assert [each["log_level"] for each in said] == ["warning"]
    assert "HEAPLINE_STATE__DIRECTORY" in said[0]["event"]
    assert said[0]["folder"] == str(tmp_path)


def test_a_disk_with_room_is_not_spoken_of(tmp_path: Path) -> None:
    """Nothing is said where there is enough."""
    with capture_logs() as said:
        FreeSpace(tmp_path, low_bytes=NONE_AT_ALL).look(0.0)
    assert said == []
