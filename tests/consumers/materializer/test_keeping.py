"""Low disk is said early, once each time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from consumers.materializer.keeping import FreeSpace
from heapline.telemetry.logs import facts_of

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

PLENTY, NONE_AT_ALL = 1 << 62, 0


def test_a_disk_that_is_nearly_full_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Looked at every ten seconds; the message says what to do."""
    space = FreeSpace(tmp_path, low_bytes=PLENTY)
    for now in (0.0, 5.0, 10.0, 20.0):
        space.look(now)
    (said,) = caplog.records
    assert said.levelname == "WARNING"
    assert "HEAPLINE_STATE__DIRECTORY" in said.getMessage()
    assert facts_of(said)["folder"] == str(tmp_path)


def test_a_disk_with_room_is_not_spoken_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is said where there is enough."""
    FreeSpace(tmp_path, low_bytes=NONE_AT_ALL).look(0.0)
    assert not caplog.records
