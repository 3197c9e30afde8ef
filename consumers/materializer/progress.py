"""What is told about catching up: how far, how fast, how long still."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Final

from heapline.telemetry.logs import logger

_EVERY_SECONDS: Final = 2.0
_log = logger(__name__)


@dataclass(frozen=True, slots=True)
class Report:
    """How far catching up has come.

    Attributes:
        percent: of the offsets seen at the start.
        records_per_second: since the start.
        seconds_left: at that speed; None where nothing was read yet.
    """

    percent: float
    records_per_second: float
    seconds_left: float | None


class Progress:
    """Pure: tells every two seconds, and once at the end.

    Args:
        now: monotonic seconds at the start.
        whole: offsets to read.
    """

    def __init__(self, now: float, whole: int) -> None:
        self._started = now
        self._whole = max(1, whole)
        self._told = now

    def report(self, now: float, left: int, records: int) -> Report | None:
        """Give what is to be told now, if it is time.

        Args:
            now: monotonic seconds.
            left: offsets not visible yet.
            records: applied since the start.
        """
        if now - self._told < _EVERY_SECONDS:
            return None
        self._told = now
        seconds = now - self._started
        done = self._whole - left
        return Report(
            percent=round(100 * done / self._whole, 1),
            records_per_second=round(records / seconds),
            seconds_left=round(left * seconds / done, 1) if done > 0 else None,
        )


def log_progress(report: Report) -> None:
    """Log a report."""
    _log.info("catching up", **asdict(report))
