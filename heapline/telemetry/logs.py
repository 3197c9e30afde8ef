"""Structured logs to standard error: for people on a terminal, JSON elsewhere.

Log facts about records (workspace, topic, partition, offset, event id, reason), never their
content: no user ids, no properties, no bodies.

The standard library carries the lines, its own and other libraries' alike. structlog draws them on
a terminal, and is imported there only: with what it brings along it takes a tenth of a second.
"""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from heapline.telemetry.repeats import Repeats

if TYPE_CHECKING:
    from heapline.settings import LogSettings


class Logger:
    """Writes the lines of one module: what happened, and named facts on it.

    Args:
        name: of the module.
    """

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **facts: object) -> None:
        """Tell what only somebody who searches for an error wants to know."""
        self._write(logging.DEBUG, event, facts)

    def info(self, event: str, **facts: object) -> None:
        """Tell what is in order."""
        self._write(logging.INFO, event, facts)

    def warning(self, event: str, **facts: object) -> None:
        """Tell what is not as it should be, and may pass."""
        self._write(logging.WARNING, event, facts)

    def error(self, event: str, **facts: object) -> None:
        """Tell what somebody must look at."""
        self._write(logging.ERROR, event, facts)

    def _write(self, level: int, event: str, facts: dict[str, object]) -> None:
        self._logger.log(level, event, extra={"facts": facts})


def logger(name: str) -> Logger:
    """Give a logger for one module."""
    return Logger(name)


def facts_of(record: logging.LogRecord) -> dict[str, Any]:
    """Give the facts that were told with a line; other libraries' lines have none."""
    return dict(getattr(record, "facts", {}))


class JsonLines(logging.Formatter):
    """Makes each line a JSON object: facts, event, logger, level, timestamp."""

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        told = _told(record)
        if record.exc_info:
            told["exception"] = self.formatException(record.exc_info)
        return json.dumps(told, default=repr)


class ConsoleLines(logging.Formatter):
    """Draws lines for people.

    Args:
        colors: whether the terminal shows them.
    """

    def __init__(self, *, colors: bool) -> None:
        from structlog.dev import ConsoleRenderer  # noqa: PLC0415 -- imports rich, see above

        super().__init__()
        self._draw = ConsoleRenderer(colors=colors)

    def format(self, record: logging.LogRecord) -> str:
        """See `logging.Formatter`."""
        told = _told(record)
        if record.exc_info:
            told["exc_info"] = record.exc_info
        return self._draw(None, told["level"], told)


def _told(record: logging.LogRecord) -> dict[str, Any]:
    written_at = datetime.fromtimestamp(record.created, UTC).isoformat()
    return {
        **facts_of(record),
        "event": record.getMessage(),
        "logger": record.name,
        "level": record.levelname.lower(),
        "timestamp": written_at.replace("+00:00", "Z"),
    }


def configure_logs(settings: LogSettings) -> None:
    """Write all loggers' lines to standard error, other libraries' too."""
    on_terminal = sys.stderr.isatty()
    as_json = settings.format == "json" or (settings.format == "auto" and not on_terminal)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if as_json else ConsoleLines(colors=on_terminal))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(settings.level.upper())
    # One line for each HTTP request would be noise, and its address may name a customer.
    for noisy in ("httpx", "httpx2", "httpcore", "httpcore2", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("librdkafka").filters = [Repeats()]
