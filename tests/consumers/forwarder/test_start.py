"""What a start imports, and when: importing is most of the time to the first delivery."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.command import clean_environment

if TYPE_CHECKING:
    from pathlib import Path

WHILE_BROKERS_ANSWER: Final = {
    "httpx",
    "consumers.forwarder.loop",
    "consumers.forwarder.dispatcher",
}
WHEN_NEEDED: Final = {
    "numpy",
    "polars",
    "structlog",
    "cryptography",
    "requests",
    "confluent_kafka.schema_registry",
    "duckdb",
    "fastapi",
}
ASK: Final = "import consumers.forwarder.run, heapline.settings, heapline.telemetry.logs as logs; "
CONFIGURE: Final = "logs.configure_logs(heapline.settings.load_settings().log); "


@pytest.mark.parametrize(
    ("code", "later"),
    [
        (ASK + CONFIGURE, WHILE_BROKERS_ANSWER | WHEN_NEEDED),
        (ASK + CONFIGURE + "import consumers.forwarder.assembly; ", WHEN_NEEDED),
    ],
    ids=["until brokers are asked", "until the first delivery"],
)
def test_nothing_is_imported_before_its_time(code: str, later: set[str], tmp_path: Path) -> None:
    """Brokers are asked before the rest is imported, and what few starts need is not imported."""
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code} print(*sys.modules)"],
        cwd=tmp_path,
        env=clean_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    assert "consumers.forwarder.kafka_source" in loaded
    assert later & loaded == set()
