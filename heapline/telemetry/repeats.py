"""Log lines that say the same again and again are written once in a while."""

from __future__ import annotations

import logging
import re
from typing import Final

SILENT_SECONDS: Final = 30.0
_REMEMBERED: Final = 200
_VARYING: Final = re.compile(
    r"\d+(\.\d+)?\s?(ms|s)\b|, \d+ identical error\(s\) suppressed|#(producer|consumer)-\d+"
)


class Repeats(logging.Filter):
    """Lets a line pass if nothing like it was written in the last half minute.

    librdkafka tells of every attempt to reach a broker that is away, many times a second. Two lines
    are alike if they differ in durations and numbers of clients only. The time is the record's own.
    """

    def __init__(self, seconds: float = SILENT_SECONDS) -> None:
        super().__init__()
        self._seconds = seconds
        self._written: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """See `logging.Filter`."""
        line = _VARYING.sub("", record.getMessage())
        last = self._written.get(line)
        if last is not None and record.created - last < self._seconds:
            return False
        if len(self._written) >= _REMEMBERED:
            self._written.clear()
        self._written[line] = record.created
        return True
