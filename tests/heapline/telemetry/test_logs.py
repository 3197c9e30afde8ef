"""Lines of logs: their facts, for machines and for people."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from heapline.settings import LogSettings
from heapline.telemetry.logs import configure_logs, facts_of, logger

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def _logging_as_before() -> Iterator[None]:
    """What is configured here is undone."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level


def only_line(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """Read the one line that was written."""
    (line,) = capsys.readouterr().err.splitlines()
    told: dict[str, Any] = json.loads(line)
    return told


def test_a_line_is_json_where_nobody_looks(capsys: pytest.CaptureFixture[str]) -> None:
    """Facts as members of their own types, with who wrote it when; percent signs mean nothing."""
    configure_logs(LogSettings())
    before = datetime.now(UTC)
    logger("heapline.test").warning("100 % done", offset=7, names=["a"], reason=None)
    told = only_line(capsys)
    assert before <= datetime.fromisoformat(told.pop("timestamp")) <= datetime.now(UTC)
    assert told == {
        "offset": 7,
        "names": ["a"],
        "reason": None,
        "event": "100 % done",
        "logger": "heapline.test",
        "level": "warning",
    }


def test_a_fact_of_any_type_can_be_written(capsys: pytest.CaptureFixture[str]) -> None:
    """What JSON does not know is shown as Python does."""
    configure_logs(LogSettings())
    logger("heapline.test").error("failed", numbers=frozenset({1}), data=b"x")
    told = only_line(capsys)
    assert (told["numbers"], told["data"]) == ("frozenset({1})", "b'x'")


def test_other_libraries_lines_look_alike(capsys: pytest.CaptureFixture[str]) -> None:
    """With arguments filled in, and where something was raised, with that."""
    configure_logs(LogSettings(format="json"))
    try:
        int("gone")
    except ValueError:
        logging.getLogger("other").exception("no %s", "luck")
    told = only_line(capsys)
    assert (told["event"], told["logger"], told["level"]) == ("no luck", "other", "error")
    assert told["exception"].endswith("with base 10: 'gone'")


@pytest.mark.parametrize(
    ("level", "written"),
    [("debug", ["d", "i", "w", "e"]), ("info", ["i", "w", "e"]), ("error", ["e"])],
)
def test_only_the_level_asked_for_is_written(
    level: Any,  # noqa: ANN401 -- one of the setting's literals
    written: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And what is above it."""
    configure_logs(LogSettings(level=level))
    log = logger("heapline.test")
    for write, event in ((log.debug, "d"), (log.info, "i"), (log.warning, "w"), (log.error, "e")):
        write(event)
    lines = capsys.readouterr().err.splitlines()
    assert [json.loads(line)["event"] for line in lines] == written


def test_people_see_a_line_of_text(capsys: pytest.CaptureFixture[str]) -> None:
    """Without colours where there is no terminal."""
    configure_logs(LogSettings(format="console"))
    logger("heapline.test").info("partitions assigned", partitions=[1, 2])
    line = capsys.readouterr().err
    assert "\x1b" not in line
    assert "partitions assigned" in line
    assert "partitions=[1, 2]" in line
    assert "heapline.test" in line


def test_what_was_raised_is_drawn_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    """With its place."""
    configure_logs(LogSettings(format="console"))
    try:
        int("gone")
    except ValueError:
        logging.getLogger("other").exception("no luck")
    drawn = capsys.readouterr().err
    assert "no luck" in drawn
    assert "with base 10: 'gone'" in drawn


def test_facts_can_be_read_back(caplog: pytest.LogCaptureFixture) -> None:
    """From lines with and without."""
    with caplog.at_level(logging.INFO):
        logger("heapline.test").info("here", workspace="acme")
        logging.getLogger("other").info("there")
    assert [facts_of(record) for record in caplog.records] == [{"workspace": "acme"}, {}]
