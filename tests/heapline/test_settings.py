"""Settings from the environment and `.env`."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from pydantic import BaseModel

from heapline.errors import InvalidSetting
from heapline.settings import PREFIX, Settings, known_names, load_settings

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No settings of whoever runs the tests, and an empty working folder."""
    for name in list(os.environ):
        if name.upper().startswith(PREFIX):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def loaded(monkeypatch: pytest.MonkeyPatch, **variables: str) -> Settings:
    """Load with these variables set, written without the common prefix."""
    for name, value in variables.items():
        monkeypatch.setenv(PREFIX + name, value)
    return load_settings()


def complaint(monkeypatch: pytest.MonkeyPatch, **variables: str) -> str:
    """Load what cannot be loaded and give the message."""
    with pytest.raises(InvalidSetting) as caught:
        loaded(monkeypatch, **variables)
    return str(caught.value)


def test_everything_has_a_default() -> None:
    """A first run needs no configuration, and listens nowhere but on loopback."""
    settings = load_settings()
    assert settings.web.host == "127.0.0.1"
    assert settings.limits.events_per_minute_per_app == 15_000
    assert settings.limits.events_per_minute_per_identity == 1_000
    assert settings.limits.events_per_request == 1_000


def test_every_setting_says_what_it_is() -> None:
    """The reference, `config example` and `config schema` derive from the descriptions."""
    for section in {*known_names().values()}:
        for name, field in section.model_fields.items():
            annotation = field.annotation
            nested = isinstance(annotation, type) and issubclass(annotation, BaseModel)
            assert nested or field.description, f"{section.__name__}.{name}"


def test_variables_reach_their_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nested by two underscores, in any case."""
    monkeypatch.setenv("heapline_log__level", "debug")
    settings = loaded(
        monkeypatch,
        KAFKA__BOOTSTRAP_SERVERS="a:1,b:2",
        LIMITS__EVENTS_PER_MINUTE_PER_APP="100",
        HEAP__WEBHOOK_SECRETS='["one", "two"]',
        HEAP__API_URL="http://127.0.0.1:9",
        WORKSPACE="acme",
    )
    assert settings.kafka.bootstrap_servers == "a:1,b:2"
    assert settings.limits.events_per_minute_per_app == 100
    assert [secret.get_secret_value() for secret in settings.heap.webhook_secrets] == ["one", "two"]
    assert (settings.heap.api_url, settings.workspace) == ("http://127.0.0.1:9", "acme")
    assert settings.log.level == "debug"


def test_empty_variables_count_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    """As compose files and shells leave them."""
    settings = loaded(
        monkeypatch, HEAP__API_URL="", WEB__PORT="", HEAP__WEBHOOK_SECRETS="", INSTANCE_ID=""
    )
    assert settings == load_settings()
    assert (settings.heap.api_url, settings.web.port, settings.heap.webhook_secrets) == (
        None,
        8080,
        [],
    )
    assert settings.instance_id


def test_a_whole_section_may_be_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """And a single variable still overrides a part of it."""
    settings = loaded(
        monkeypatch, HEAP='{"gzip": true, "timeout_seconds": 5}', HEAP__TIMEOUT_SECONDS="7"
    )
    assert (settings.heap.gzip, settings.heap.timeout_seconds) == (True, 7)


def test_dotenv_is_read_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Other programs' variables in the file do not matter."""
    (tmp_path / ".env").write_text("HEAPLINE_WEB__PORT=1\nHEAPLINE_WORKSPACE=filed\nOTHER=x\n")
    settings = loaded(monkeypatch, WEB__PORT="2")
    assert (settings.web.port, settings.workspace) == (2, "filed")


def test_unknown_names_in_dotenv_are_an_error_too(tmp_path: Path) -> None:
    """A misspelt line in a file is no less misspelt."""
    (tmp_path / ".env").write_text("HEAPLINE_WEB__PRT=1\n")
    with pytest.raises(InvalidSetting, match="HEAPLINE_WEB__PORT"):
        load_settings()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("KAFKA__BOOTSTRAP_SERVER", "HEAPLINE_KAFKA__BOOTSTRAP_SERVERS"),
        ("HEAP_API_URL", "HEAPLINE_HEAP__API_URL"),
        ("HEAP__API_URI", "HEAPLINE_HEAP__API_URL"),
        ("LIMIT__EVENTS_PER_REQUEST", "HEAPLINE_LIMITS__EVENTS_PER_REQUEST"),
        ("INSTANCEID", "HEAPLINE_INSTANCE_ID"),
        ("FOO", "heapline config example"),
        ("HEAP__WEBHOOK_SECRETS__0", "HEAPLINE_HEAP__WEBHOOK_SECRETS"),
    ],
)
def test_an_unknown_name_names_the_nearest_right_one(
    monkeypatch: pytest.MonkeyPatch, name: str, nearest: str
) -> None:
    """Or says where all of them are listed, when none is near."""
    message = complaint(monkeypatch, **{name: "1"})
    assert message.startswith(f"HEAPLINE_{name}: there is no such setting")
    assert nearest in message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("WEB__PORT", "99999"),
        ("WEB__PORT", "http"),
        ("HEAP__GZIP", "maybe"),
        ("HEAP__TIMEOUT_SECONDS", "0"),
        ("FORWARDER__LINGER_SECONDS", "nan"),
        ("FORWARDER__LINGER_SECONDS", "inf"),
        ("KAFKA__TIMEOUT_SECONDS", "inf"),
        ("FORWARDER__POISON_SHARE", "1.5"),
        ("LIMITS__EVENTS_PER_REQUEST", "1001"),
        ("LOG__LEVEL", "loud"),
        ("INSTANCE_ID", "a b"),
        ("KAFKA__PREFIX", "a/b"),
        ("HEAP__WEBHOOK_SECRETS", "hunter2"),
        ("WEB__API_TOKENS", '[{"name": "hunter2'),
        ("WEB__API_TOKENS", "{}"),
    ],
)
def test_a_wrong_value_names_its_variable_and_not_itself(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    """A secret in the wrong place must not reach the terminal."""
    message = complaint(monkeypatch, **{name: value})
    assert message.startswith(f"HEAPLINE_{name}: ")
    assert "hunter2" not in message


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One line each."""
    message = complaint(monkeypatch, WEB__PORT="x", LOG__LEVEL="y")
    assert [line.split(":")[0] for line in message.splitlines()] == [
        "HEAPLINE_WEB__PORT",
        "HEAPLINE_LOG__LEVEL",
    ]


def test_the_problem_in_a_list_is_located(monkeypatch: pytest.MonkeyPatch) -> None:
    """Down to the item and its field."""
    tokens = '[{"name": "a", "token": "hunter2", "role": "read"}]'
    message = complaint(monkeypatch, WEB__API_TOKENS=tokens)
    assert message.startswith("HEAPLINE_WEB__API_TOKENS__0__TOKEN: ")
    assert "hunter2" not in message


def test_librdkafkas_security_settings_pass_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """With dots, for any Kafka."""
    settings = loaded(
        monkeypatch,
        KAFKA__SECURITY_PROTOCOL="SASL_SSL",
        KAFKA__SASL_USERNAME="svc",
        KAFKA__SASL_PASSWORD="hunter2",
        KAFKA__SSL_CA_LOCATION="/etc/ca.pem",
        KAFKA__ENABLE_SSL_CERTIFICATE_VERIFICATION="true",
    )
    assert settings.kafka.security() == {
        "security.protocol": "SASL_SSL",
        "sasl.username": "svc",
        "sasl.password": "hunter2",
        "ssl.ca.location": "/etc/ca.pem",
        "enable.ssl.certificate.verification": "true",
    }


def test_other_librdkafka_settings_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    """What heapline relies on cannot be configured away."""
    assert "KAFKA__ENABLE_IDEMPOTENCE" in complaint(monkeypatch, KAFKA__ENABLE_IDEMPOTENCE="false")


def test_unknown_names_inside_json_are_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the section of Kafka, which takes more names than it declares, as well."""
    assert "foo" in complaint(monkeypatch, KAFKA='{"foo": "bar"}')


def test_secrets_are_printed_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the settings are printed, those of librdkafka included."""
    settings = loaded(
        monkeypatch,
        HEAP__CLIENT_SECRET="hunter2",
        HEAP__WEBHOOK_SECRETS='["hunter2"]',
        SCHEMA_REGISTRY__PASSWORD="hunter2",
        WEB__API_TOKENS='[{"name": "a", "token": "hunter2hunter2hunter2", "role": "read"}]',
        KAFKA__SASL_PASSWORD="hunter2",
        KAFKA__SSL_KEY_PASSWORD="hunter2",
        KAFKA__SSL_KEY_PEM="hunter2",
        KAFKA__SASL_OAUTHBEARER_CLIENT_SECRET="hunter2",
        KAFKA__SASL_OAUTHBEARER_CONFIG="hunter2",
    )
    for printed in (
        repr(settings),
        str(settings),
        str(settings.model_dump()),
        settings.model_dump_json(),
    ):
        assert "hunter2" not in printed
    assert settings.kafka.security()["ssl.key.pem"] == "hunter2"


def test_settings_do_not_change_while_running() -> None:
    """A role decides on what it was started with."""
    with pytest.raises(ValueError, match="frozen"):
        load_settings().web.port = 1  # type: ignore[misc]  # this is what is tested


@pytest.mark.parametrize("name", sorted(known_names()))
def test_every_known_name_is_accepted(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Known names never count as unknown, whatever becomes of their values."""
    monkeypatch.setenv(name, "not a value")
    try:
        load_settings()
    except InvalidSetting as error:
        message = str(error)
    else:
        message = ""
    assert "there is no such setting" not in message


@pytest.mark.parametrize(
    ("name", "value", "advice"),
    [
        ("KAFKA__BOOTSTRAP_SERVERS", "http://kafka:9092", "host:port, without http://"),
        ("KAFKA__BOOTSTRAP_SERVERS", "a:9092,HTTPS://b", "host:port"),
        ("SCHEMA_REGISTRY__URL", "localhost:8081", "http://host:port"),
        ("SCHEMA_REGISTRY__URL", "http://", "http://host:port"),
        ("SCHEMA_REGISTRY__URL", "http://:8081", "http://host:port"),
        ("HEAP__API_URL", "heapanalytics.com", "http://host:port"),
        ("WEB__PUBLIC_URL", "heapline.example.com", "http://host:port"),
    ],
)
def test_what_is_no_address_is_told_with_an_example(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, advice: str
) -> None:
    """Before anything is asked there."""
    told = complaint(monkeypatch, **{name: value})
    assert told.startswith(PREFIX + name)
    assert advice in told


def test_addresses_may_be_several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of brokers, and of a registry's replicas."""
    found = loaded(
        monkeypatch,
        KAFKA__BOOTSTRAP_SERVERS="a:9092,b:9092",
        SCHEMA_REGISTRY__URL="http://a:8081,https://b/apis/ccompat/v7",
    )
    assert found.kafka.bootstrap_servers == "a:9092,b:9092"
    assert found.schema_registry.url.count(",") == 1
