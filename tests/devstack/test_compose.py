"""`compose.yaml` gives the same world in containers: pinned, healthy, on loopback, rightly set."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from devstack import kafka
from devstack.artifacts import pinned
from heapline.settings import PREFIX, Settings, known_names

_FILE = Path(__file__).parents[2] / "compose.yaml"
_ONE_SHOT = {"topics"}


@pytest.fixture(scope="module")
def services() -> dict[str, dict[str, Any]]:
    """Read the services."""
    found: dict[str, dict[str, Any]] = yaml.safe_load(_FILE.read_text("utf-8"))["services"]
    return found


def _compose() -> list[str]:
    """Find a Compose command, or skip the test."""
    for command in (["docker-compose"], ["docker", "compose"]):
        if shutil.which(command[0]) is None:
            continue
        if subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("neither `docker-compose` nor `docker compose` is installed")


def test_images_are_pinned(services: dict[str, dict[str, Any]]) -> None:
    """Every image has a version; Kafka's and the registry's are those of the embedded world."""
    tags = dict(each["image"].rsplit(":", 1) for each in services.values())
    assert "latest" not in tags.values()
    versions = {
        each.coordinates.split(":")[1]: each.coordinates.split(":")[2] for each in _shipped()
    }
    assert tags["apache/kafka"] == versions["kafka_2.13"]
    assert tags["apicurio/apicurio-registry"] == versions["apicurio-registry-app"]


def test_every_server_has_a_health_check(services: dict[str, dict[str, Any]]) -> None:
    """All but the one that ends by itself say how to ask whether they work."""
    checked = {name for name, each in services.items() if each["healthcheck"].get("test")}
    assert checked == set(services) - _ONE_SHOT


def test_starts_wait_for_what_they_need(services: dict[str, dict[str, Any]]) -> None:
    """Nothing starts before what it needs works, and that is in all of its profiles."""
    for name, each in services.items():
        for needed, how in each.get("depends_on", {}).items():
            ends = needed in _ONE_SHOT
            wanted = "service_completed_successfully" if ends else "service_healthy"
            assert how["condition"] == wanted, (name, needed)
            profiles = services[needed].get("profiles")
            assert profiles is None or set(each["profiles"]) <= set(profiles), (name, needed)


def test_nothing_is_published_beyond_loopback(services: dict[str, dict[str, Any]]) -> None:
    """Every published port names the loopback address, and no two are the same."""
    published = [port for each in services.values() for port in each.get("ports", [])]
    assert len(published) == 7
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert len({port.split(":-")[1].split("}")[0] for port in published}) == len(published)


def test_settings_are_settings(
    services: dict[str, dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every HEAPLINE_ variable is a setting, and heapline accepts all values."""
    environment = services["heapline"]["environment"]
    for each in services.values():
        names = {name for name in each.get("environment", {}) if name.startswith(PREFIX)}
        assert names <= known_names().keys()
    for name, value in environment.items():
        monkeypatch.setenv(name, value.replace("${WEB_PORT:-8080}", "8080"))
    settings = Settings(_env_file=None)
    assert settings.kafka.bootstrap_servers == "kafka:19092"
    assert settings.web.api_tokens[0].role == "operate"


def test_kafka_is_set_as_the_embedded_one(services: dict[str, dict[str, Any]]) -> None:
    """Whatever both name for the broker has the same value."""
    embedded = {
        f"KAFKA_{name.upper().replace('.', '_')}": value
        for name, value in kafka._PROPERTIES.items()
    }
    environment = services["kafka"]["environment"]
    both = embedded.keys() & environment.keys() - {
        "KAFKA_PROCESS_ROLES",
        "KAFKA_INTER_BROKER_LISTENER_NAME",
    }
    assert {name: environment[name] for name in both} == {name: embedded[name] for name in both}
    assert {"KAFKA_MESSAGE_MAX_BYTES", "KAFKA_AUTO_CREATE_TOPICS_ENABLE"} <= both


@pytest.mark.parametrize("profiles", [[], ["heap"], ["app", "ui"], ["observability"]])
def test_compose_accepts_it(services: dict[str, dict[str, Any]], profiles: list[str]) -> None:
    """Compose itself finds no fault, with any of the profiles."""
    command = [*_compose(), "-f", str(_FILE)]
    for profile in profiles:
        command += ["--profile", profile]
    done = subprocess.run([*command, "config", "--services"], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    on = {
        name
        for name, each in services.items()
        if "profiles" not in each or set(each["profiles"]) & set(profiles)
    }
    assert on <= set(done.stdout.decode().split())


def _shipped() -> list[Any]:
    return [*pinned().kafka, pinned().registry]
