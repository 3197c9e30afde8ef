"""What a service that embeds the publisher has to have installed."""

from __future__ import annotations

import subprocess
import sys

import pytest

BLOCKED = ("pydantic", "pydantic_settings", "structlog", "typer", "rich", "fastapi", "duckdb")
SCRIPT = """
import sys
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
{code}
"""


def run_without(blocked: tuple[str, ...], code: str) -> subprocess.CompletedProcess[str]:
    """Run some code in an interpreter that lacks some packages."""
    script = SCRIPT.format(blocked=blocked, code=code)
    return subprocess.run(  # noqa: PLW1510 -- the caller looks at the exit code
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60
    )


def test_the_publisher_needs_no_more_than_the_client_wheel_has() -> None:
    """Both publishers work up to the first question to the network."""
    code = (
        "import heapline.events as e\n"
        "p = e.EventPublisher('127.0.0.1:1', 'http://127.0.0.1:1')\n"
        "e.AsyncEventPublisher('127.0.0.1:1', 'http://127.0.0.1:1')\n"
        "p.close()"
    )
    done = run_without(BLOCKED, code)
    assert done.returncode == 0, done.stderr


def test_reading_events_needs_no_kafka_client() -> None:
    """The model and the shapes come without the extra `publisher`."""
    code = (
        "from heapline.events import Event, to_event\n"
        "assert isinstance(to_event({'name': 'x'}, now_ms=1, workspace='w'), Event)"
    )
    done = run_without((*BLOCKED, "confluent_kafka"), code)
    assert done.returncode == 0, done.stderr


def test_unknown_names_are_attribute_errors() -> None:
    """As in any module."""
    import heapline.events  # noqa: PLC0415 -- the import is the test

    assert all(hasattr(heapline.events, name) for name in heapline.events.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = heapline.events.nothing
