from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from cli.setting_catalogue import catalogue, example
from heapline.settings import ForwarderSettings, known_names
from tests.command import heapline

if TYPE_CHECKING:
    from pathlib import Path

SECRETS = {
    "HEAPLINE_SCHEMA_REGISTRY__PASSWORD": "hush-registry",
    "HEAPLINE_HEAP__CLIENT_SECRET": "hush-client",
    "HEAPLINE_HEAP__WEBHOOK_SECRETS": '["hush-webhook"]',
    "HEAPLINE_WEB__API_TOKENS": '[{"name":"ci","token":"hush-token-0123456","role":"read"}]',
    "HEAPLINE_KAFKA__SASL_PASSWORD": "hush-sasl",
    "HEAPLINE_KAFKA__SSL_KEY_PEM": "hush-pem",
    "HEAPLINE_KAFKA__SASL_OAUTHBEARER_CONFIG": "secret=hush-oauth",
    "HEAPLINE_SCHEMA_REGISTRY__URL": "http://me:hush-url@localhost:8081",
}


def shown(folder: Path, settings: dict[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """Give what `config show --json` shows, by name."""
    done = heapline("config", "show", "--json", folder=folder, settings=settings)
    assert (done.returncode, done.stderr) == (0, "")
    return {each["name"]: each for each in json.loads(done.stdout)["settings"]}


def test_show_tells_every_setting_and_where_it_comes_from(tmp_path: Path) -> None:
    """The environment wins over `.env`, and both over the default; names in any case."""
    (tmp_path / ".env").write_text(
        "HEAPLINE_WEB__PORT=1111\nheapline_kafka__prefix=file.\nHEAPLINE_WORKSPACE=\n"
    )
    found = shown(tmp_path, {"HEAPLINE_WEB__PORT": "2222", "HEAPLINE_LOG__FORMAT": ""})
    assert found.keys() == known_names().keys()
    assert found["HEAPLINE_WEB__PORT"]["value"] == 2222
    assert {
        name: found[name]["origin"]
        for name in (
            "HEAPLINE_WEB__PORT",
            "HEAPLINE_KAFKA__PREFIX",
            "HEAPLINE_WORKSPACE",
            "HEAPLINE_LOG__FORMAT",
        )
    } == {
        "HEAPLINE_WEB__PORT": "environment",
        "HEAPLINE_KAFKA__PREFIX": ".env",
        "HEAPLINE_WORKSPACE": "default",
        "HEAPLINE_LOG__FORMAT": "default",
    }


def test_show_masks_every_secret(tmp_path: Path) -> None:
    """In the table and in JSON; harmless sign-in settings stay readable."""
    settings = {**SECRETS, "HEAPLINE_KAFKA__SASL_USERNAME": "jane"}
    for arguments in (("config", "show"), ("config", "show", "--json")):
        done = heapline(*arguments, folder=tmp_path, settings=settings)
        assert done.returncode == 0
        assert "hush" not in done.stdout + done.stderr
        assert "jane" in done.stdout
        assert all(name in done.stdout for name in SECRETS)


def test_validate_tells_what_is_wrong(tmp_path: Path) -> None:
    """Exit code 2 with a line for each; 0 where nothing is."""
    assert heapline("config", "validate", folder=tmp_path).returncode == 0
    wrong = {"HEAPLINE_KAFKA__PREFX": "x", "HEAPLINE_WEB__PRT": "1"}
    done = heapline("config", "validate", folder=tmp_path, settings=wrong)
    assert done.returncode == 2
    assert "did you mean HEAPLINE_KAFKA__PREFIX?" in done.stderr
    assert "did you mean HEAPLINE_WEB__PORT?" in done.stderr


def test_the_example_describes_every_setting(tmp_path: Path) -> None:
    """Name, meaning and unit of each; and nothing of this machine."""
    text = heapline("config", "example", folder=tmp_path).stdout
    for setting in catalogue():
        assert f"# {setting.name}=" in text
        assert setting.field.description
    bound = ForwarderSettings().memory_bytes
    assert f"HEAPLINE_FORWARDER__MEMORY_BYTES={bound}" in text
    assert f"(bytes; default: {bound})" in text
    assert str(tmp_path.home()) not in text


def test_the_example_is_a_valid_file_that_changes_nothing(tmp_path: Path) -> None:
    """With every # taken away from its settings, all have their defaults."""
    before = shown(tmp_path)
    lines = [line.removeprefix("# ") for line in example() if line.startswith("# HEAPLINE_")]
    security = ("SASL", "SECURITY")
    settings = [
        line
        for line in lines
        if not line.startswith(tuple(f"HEAPLINE_KAFKA__{s}" for s in security))
    ]
    (tmp_path / ".env").write_text("\n".join(settings) + "\n")
    after = shown(tmp_path)
    assert {name: each["value"] for name, each in after.items()} == {
        name: each["value"] for name, each in before.items()
    }


def test_the_schema_is_json_schema(tmp_path: Path) -> None:
    """Every section is described, secrets as such."""
    schema = json.loads(heapline("config", "schema", folder=tmp_path).stdout)
    assert {"kafka", "schema_registry", "heap", "web", "forwarder"} <= schema["properties"].keys()
    heap = schema["$defs"]["HeapSettings"]["properties"]
    assert "password" in json.dumps(heap["client_secret"])
