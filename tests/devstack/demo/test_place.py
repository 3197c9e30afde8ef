"""Tests of where the demo runs: nowhere but in what it started itself."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from devstack.demo.place import RAISED, Place, heap_limits, kept_folder

if TYPE_CHECKING:
    import pytest

PLACE = Place("127.0.0.1:1111", "http://127.0.0.1:2222", "http://127.0.0.1:3333", "demo-")


def test_settings_come_from_the_place_alone(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Neither the shell's variables nor a `.env` file lead the demo to another Kafka."""
    plain = PLACE.settings().model_dump()
    monkeypatch.setenv("HEAPLINE_KAFKA__BOOTSTRAP_SERVERS", "production:9092")
    monkeypatch.setenv("HEAPLINE_KAFKA__SASL_USERNAME", "somebody")
    monkeypatch.setenv("HEAPLINE_KAFKA__PREFIX", "theirs-")
    monkeypatch.setenv("HEAPLINE_FORWARDER__MEMORY_BYTES", "9000000")
    monkeypatch.setenv("HEAPLINE_INSTANCE_ID", "forwarder-7")
    (tmp_path / ".env").write_text("HEAPLINE_SCHEMA_REGISTRY__USERNAME=somebody\n")
    monkeypatch.chdir(tmp_path)
    settings = PLACE.settings()
    assert settings.model_dump() == plain
    assert settings.kafka.bootstrap_servers == "127.0.0.1:1111"
    assert settings.kafka.prefix == "demo-"
    assert settings.kafka.security() == {}
    assert settings.schema_registry.url == "http://127.0.0.1:2222"
    assert settings.heap.api_url == "http://127.0.0.1:3333"


def test_forwarder_and_simulator_agree_on_the_raised_limits() -> None:
    """Both sides are told the same, or the demo would show 429s or needless waiting."""
    limits = PLACE.settings().limits
    assert heap_limits() == {
        "events_per_minute_per_app": limits.events_per_minute_per_app,
        "events_per_minute_per_identity": limits.events_per_minute_per_identity,
    }
    assert limits.events_per_minute_per_app == 15_000 * RAISED
    assert limits.events_per_request == 1_000


def test_a_kept_demo_has_a_folder_of_its_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """It replaces earlier demos only, never the world of `heapline dev`."""
    monkeypatch.delenv("HEAPLINE_DEV__DATA", raising=False)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert kept_folder(None) == tmp_path / "heapline" / "demo"
    assert kept_folder(Path("/somewhere")) == Path("/somewhere/demo")
