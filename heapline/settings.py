"""Every setting, declared once: name, type, unit, default, reason.

Read from the environment (prefix `HEAPLINE_`, nested by `__`) and from a `.env` file in the
working folder. `config show`, `config example` and `config schema` derive from here.
Unknown names are an error that names the nearest right one.
"""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_origin

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from heapline.addresses import Brokers, WebAddress
from heapline.errors import InvalidSetting

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PREFIX = "HEAPLINE_"
_LIST_EXAMPLE = '["first", "second"]'
_SECURITY_PREFIXES = ("security_", "sasl_", "ssl_", "enable_ssl_", "https_")
_SECRET_WORDS = ("password", "secret", "pem", "token", "config")
"""What librdkafka's names of secrets have in them; their values are printed masked."""


def _default_state_directory() -> Path:
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "heapline"


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class KafkaSettings(BaseModel):
    """Where Kafka is and how to sign in.

    Any librdkafka security setting is accepted too, with `.` written `_`:
    `HEAPLINE_KAFKA__SASL_USERNAME` becomes `sasl.username`.
    """

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    bootstrap_servers: Brokers = Field(
        "127.0.0.1:9092", description="Comma-separated host:port of some brokers."
    )
    prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]*$",
        description="Put before every topic, group id, transactional id and subject.",
    )
    timeout_seconds: float = Field(
        10.0, gt=0, description="How long one question to the brokers may take."
    )

    @model_validator(mode="before")
    @classmethod
    def _only_security_extras(cls, values: Any) -> Any:  # noqa: ANN401 -- pydantic hands over raw input
        if not isinstance(values, dict):
            return values
        for name in values:
            known = name in cls.model_fields or name.startswith(_SECURITY_PREFIXES)
            if not known:
                raise ValueError(f"unknown setting {name!r}{_nearest(name, cls.model_fields)}")
        return {name: _masked(name, value) for name, value in values.items()}

    def security(self) -> dict[str, str]:
        """Give the librdkafka security settings, with dots."""
        extra = self.__pydantic_extra__ or {}
        return {name.replace("_", "."): _unmasked(value) for name, value in extra.items()}


def _masked(name: str, value: Any) -> Any:  # noqa: ANN401 -- any setting's raw value
    secret = name.startswith(_SECURITY_PREFIXES) and any(word in name for word in _SECRET_WORDS)
    return SecretStr(value) if secret and isinstance(value, str) else value


def _unmasked(value: object) -> str:
    return value.get_secret_value() if isinstance(value, SecretStr) else str(value)


class SchemaRegistrySettings(_Section):
    """Where the schema registry is (any with Confluent's API)."""

    url: WebAddress = Field(
        "http://127.0.0.1:8081", description="Base URL; credentials go into the two settings below."
    )
    username: str | None = Field(None, description="For basic authentication.")
    password: SecretStr | None = Field(None, description="For basic authentication.")
    timeout_seconds: float = Field(5.0, gt=0, description="How long one request may take.")


class HeapSettings(_Section):
    """How to reach Heap, and this installation's registration as a Heap partner."""

    api_url: WebAddress | None = Field(
        None,
        description="Overrides the hosts of both regions, also for OAuth and deletion. "
        "Leave empty to talk to Heap itself.",
    )
    connect_timeout_seconds: float = Field(5.0, gt=0, description="To open a connection.")
    timeout_seconds: float = Field(
        30.0,
        gt=0,
        description="For Heap's answer; then the outcome is ambiguous: retried.",
    )
    gzip: bool = Field(
        default=False, description="Compress request bodies. Heap does not document that it may be."
    )
    # Not `default_factory=list`: pydantic has a builtin's signature parsed, with each start.
    webhook_secrets: list[SecretStr] = Field(
        [], description="Secrets of Heap's webhook; several while rotating."
    )
    webhook_max_age_seconds: float = Field(
        60.0, gt=0, description="Older webhook calls are refused as replayed. Heap's receiver: 60."
    )
    webhook_max_ahead_seconds: float = Field(
        1.0, ge=0, description="How far Heap's clock may be ahead of ours. Heap's receiver: 1."
    )
    client_id: str | None = Field(None, description="OAuth client id from Heap's Developers Hub.")
    client_secret: SecretStr | None = Field(None, description="OAuth client secret.")
    deletion_keys: dict[str, SecretStr] = Field(
        {},
        description="API keys of Heap's user deletion, by app id of the main production "
        "environment (Heap: Account, Manage, Privacy & Security).",
    )
    own_workspace: str | None = Field(
        None, description="Workspace meant by webhook calls without an id_token."
    )


class StateSettings(_Section):
    """What is kept on this machine."""

    directory: Path = Field(
        default_factory=_default_state_directory,
        description="Folder for the local store. Created when missing.",
    )


class ErasureSettings(_Section):
    """How `heapline forget` names users in the list of erasures."""

    key: SecretStr | None = Field(
        None,
        description="The same for every role, and set before the first erasure: the list holds an "
        "HMAC of each user with it. Empty derives it from the topics' prefix.",
    )


class ApiToken(_Section):
    """One bearer token and what it may do."""

    name: str = Field(description="Shown in logs instead of the token.")
    token: SecretStr = Field(description="The bearer token; at least 16 characters.", min_length=16)
    role: Literal["publish", "read", "operate"] = Field(description="What it may do.")
    workspaces: list[str] = Field([], description="Workspaces it is good for; empty means all.")


class WebSettings(_Section):
    """The HTTP server."""

    host: str = Field("127.0.0.1", description="Beyond loopback only with api_tokens set.")
    port: int = Field(8080, ge=0, le=65535, description="0 chooses a free one.")
    public_url: WebAddress | None = Field(
        None, description="How browsers and Heap reach this server."
    )
    api_tokens: list[ApiToken] = Field([], description="Once any is set, every call needs one.")
    max_body_bytes: int = Field(
        16 * 1024 * 1024, gt=0, description="Larger requests are refused while streaming."
    )
    max_pairs_per_check: int = Field(
        10_000, gt=0, description="In one memberships:check; it is answered as a whole."
    )
    max_users_per_evaluation: int = Field(
        10_000, gt=0, description="In one audiences:evaluate; it is answered as a whole."
    )
    max_members_per_page: int = Field(
        10_000, gt=0, description="In one page of a segment's members; 1,000 unless asked for."
    )
    at_least_wait_seconds: float = Field(
        2.0, ge=0, description="How long a lookup waits for what Heapline-At-Least names."
    )


class LimitSettings(_Section):
    """Heap's limits (Heap, Bulk Track reference). Lower them to share with other senders."""

    events_per_minute_per_app: int = Field(15_000, gt=0, description="Heap: 15,000.")
    events_per_minute_per_identity: int = Field(1_000, gt=0, description="Heap: 1,000.")
    events_per_request: int = Field(1_000, gt=0, le=1_000, description="Heap: 1,000.")
    request_bytes: int = Field(
        1_000_000, ge=10_000, description="Heap documents no size limit; about 1 MB is common."
    )
    window_margin_seconds: float = Field(
        0.25, ge=0, description="Added to the minute, for clocks that run a little differently."
    )


class ForwarderSettings(_Section):
    """How the forwarder batches, waits, retries and gives up."""

    memory_bytes: int = Field(
        64 * 1024 * 1024,
        ge=8 * 1024 * 1024,
        description="Bound on records held in memory; partitions pause beyond it.",
    )
    requests_in_flight: int = Field(16, gt=0, description="At once, over all workspaces.")
    requests_in_flight_per_lane: int = Field(4, gt=0, description="At once, for one workspace.")
    linger_seconds: float = Field(
        0.1, ge=0, description="How long a busy lane waits to fill a request; an idle one never."
    )
    lane_backlog_events: int = Field(
        20_000, gt=0, description="Waiting events of one lane beyond which newer ones are deferred."
    )
    defer_after_seconds: float = Field(
        30.0, gt=0, description="Age at which an unsettled record is deferred, so no lane pins."
    )
    read_ahead_records: int = Field(
        50_000, gt=0, description="Deferred records held in memory until they are due."
    )
    checkpoint_interval_seconds: float = Field(
        1.0, gt=0, description="How often outcomes and offsets are committed."
    )
    backoff_initial_seconds: float = Field(0.5, gt=0, description="First retry, before jitter.")
    backoff_max_seconds: float = Field(60.0, gt=0, description="Longest wait between retries.")
    retry_after_max_seconds: float = Field(300.0, gt=0, description="Longest Retry-After believed.")
    unavailable_after_seconds: float = Field(
        30.0, gt=0, description="Failing for so long, a lane counts as paused (unavailable)."
    )
    probe_initial_seconds: float = Field(30.0, gt=0, description="First probe of a paused lane.")
    probe_max_seconds: float = Field(600.0, gt=0, description="Longest wait between probes.")
    deferral_min_seconds: float = Field(60.0, gt=0, description="Shortest wait when deferred.")
    deferral_max_seconds: float = Field(3600.0, gt=0, description="Longest wait when deferred.")
    expire_after_seconds: float = Field(
        6 * 86_400.0,
        gt=0,
        description="Deferred for so long, a record expires into the DLQ.",
    )
    expiry_warning_seconds: float = Field(
        3 * 86_400.0, gt=0, description="Deferred for so long, a record raises a warning."
    )
    poison_share: float = Field(
        0.5, gt=0, le=1, description="More poison than this in a batch pauses the workspace."
    )
    poison_minimum_events: int = Field(
        10, gt=0, description="Smaller batches are not judged by their share of poison."
    )
    dead_letters_per_minute: int = Field(
        1_000, gt=0, description="More from one workspace pauses it instead."
    )
    unknown_schema_wait_seconds: float = Field(
        60.0, ge=0, description="How long an unknown schema id is asked for again."
    )
    session_timeout_seconds: float = Field(
        10.0, gt=0, description="Silent for so long, a member loses its partitions to others."
    )
    poll_timeout_seconds: float = Field(
        300.0, gt=0, description="Likewise when it asks for no records for so long: it hangs."
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Serve Prometheus metrics there; empty means nowhere."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of the metrics port.")
    shutdown_seconds: float = Field(
        20.0, gt=0, description="One deadline for everything a stop or a handover does."
    )


class MaterializerSettings(_Section):
    """How memberships get from Kafka into this machine's store and index."""

    payload_changes: int = Field(
        20_000,
        gt=0,
        description="Changes in one transaction of the store; whole pages go in. Up to eight times "
        "as many while more comes than is applied.",
    )
    linger_seconds: float = Field(
        0.1, ge=0, description="How long a whole page waits for more while more keeps coming."
    )
    open_page_records: int = Field(
        2_000_000, gt=0, description="Longer pages become visible in parts: memory is bounded."
    )
    read_apart_records: int = Field(
        300_000,
        ge=0,
        description="A store that is built from so many is read for by a process of its own.",
    )
    checkpoint_seconds: float = Field(
        2.0, gt=0, description="An idle store folds its log into its file after so long."
    )
    checkpoint_log_bytes: int = Field(
        128 * 1024 * 1024, gt=0, description="A longer log is folded in while there is work, too."
    )
    replica_seconds: float = Field(5.0, gt=0, description="Between two copies for analysts.")
    low_disk_bytes: int = Field(
        2 * 1024 * 1024 * 1024, ge=0, description="Less free space than this raises a warning."
    )
    metrics_port: int | None = Field(
        None, ge=1, le=65535, description="Serve Prometheus metrics there; empty means nowhere."
    )
    metrics_host: str = Field("127.0.0.1", description="Address of the metrics port.")


class SegmentSyncSettings(_Section):
    """How segment pages are applied."""

    changes_per_transaction: int = Field(
        10_000, gt=0, description="Pages share a transaction up to so many; more costs latency."
    )
    changes_at_once: int = Field(
        100_000,
        gt=0,
        description="A page with more becomes visible in parts: a transaction may last 10 s only.",
    )
    session_timeout_seconds: float = Field(
        10.0, gt=0, description="Silent for so long, a member loses its partitions to others."
    )


class LogSettings(_Section):
    """What is logged, to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level.")
    format: Literal["auto", "console", "json"] = Field(
        "auto", description="auto: console on a terminal, JSON otherwise."
    )


class DevSettings(_Section):
    """The embedded world; only `heapline dev` and `heapline demo` read these."""

    data: Path | None = Field(None, description="Folder of the embedded world's data.")
    maven_url: str | None = Field(None, description="Repository to fetch Kafka from.")


def _default_instance_id() -> str:
    return socket.gethostname().split(".")[0] or "heapline"


class Settings(BaseSettings):
    """All settings of all roles."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_nested_delimiter="__",
        env_file=".env",
        env_file_encoding="utf-8",
        extra="ignore",
        frozen=True,
        nested_model_default_partial_update=True,
        env_ignore_empty=True,
    )

    instance_id: str = Field(
        default_factory=_default_instance_id,
        pattern=r"^[A-Za-z0-9._-]+$",
        description="Names this process for Kafka; must differ between processes of one role "
        "and stay the same over restarts.",
    )
    workspace: str | None = Field(None, description="Default for --workspace.")
    kafka: KafkaSettings = KafkaSettings()
    schema_registry: SchemaRegistrySettings = SchemaRegistrySettings()
    heap: HeapSettings = HeapSettings()
    state: StateSettings = StateSettings()
    erasure: ErasureSettings = ErasureSettings()
    web: WebSettings = WebSettings()
    limits: LimitSettings = LimitSettings()
    forwarder: ForwarderSettings = ForwarderSettings()
    materializer: MaterializerSettings = MaterializerSettings()
    segment_sync: SegmentSyncSettings = SegmentSyncSettings()
    log: LogSettings = LogSettings()
    dev: DevSettings = DevSettings()


def load_settings() -> Settings:
    """Read the settings from the environment and `.env`.

    Raises:
        InvalidSetting: one line for each thing wrong, each with the variable's name.
    """
    variables = {**_dotenv(), **os.environ}
    wrong = [*_unknown_names(variables), *_not_json(variables)]
    if wrong:
        raise InvalidSetting("\n".join(wrong))
    try:
        return Settings()
    except ValidationError as error:
        raise InvalidSetting("\n".join(_explain(error))) from error
    except ValueError as error:
        raise InvalidSetting(f"{error}: lists and objects are written as JSON") from error


def known_names() -> dict[str, type[BaseModel]]:
    """Give the name of every environment variable, with the section it belongs to."""
    names: dict[str, type[BaseModel]] = {}
    for field, info in Settings.model_fields.items():
        section = info.annotation
        if isinstance(section, type) and issubclass(section, BaseModel):
            for inner in section.model_fields:
                names[f"{PREFIX}{field}__{inner}".upper()] = section
        else:
            names[f"{PREFIX}{field}".upper()] = Settings
    return names


def _unknown_names(variables: Mapping[str, str | None]) -> Iterator[str]:
    known = known_names()
    sections = {name.rsplit("__", 1)[0] for name in known if "__" in name}
    kafka = f"{PREFIX}KAFKA__"
    for variable in variables:
        name = variable.upper()
        if not name.startswith(PREFIX) or name in known or name in sections:
            continue
        if name.startswith(kafka) and name[len(kafka) :].lower().startswith(_SECURITY_PREFIXES):
            continue
        yield f"{variable}: there is no such setting{_nearest(name, known)}"


def _not_json(variables: Mapping[str, str | None]) -> Iterator[str]:
    """Name the variables of lists that hold no JSON: pydantic names only their section."""
    known = known_names()
    for variable, value in variables.items():
        section = known.get(variable.upper())
        inner = variable[len(PREFIX) :].rsplit("__", 1)[-1].lower()
        if section is None or get_origin(section.model_fields[inner].annotation) is not list:
            continue
        try:
            json.loads(value or "[]")
        except ValueError:
            yield f"{variable}: a list is written as JSON, for example {_LIST_EXAMPLE}"


def _nearest(name: str, known: Mapping[str, object]) -> str:
    """Give a hint; what all names begin with says nothing about nearness."""
    import difflib  # noqa: PLC0415 -- only where a name is wrong

    own = {k.removeprefix(PREFIX): k for k in known}
    near = difflib.get_close_matches(name.removeprefix(PREFIX), list(own), n=1, cutoff=0.6)
    return f"; did you mean {own[near[0]]}?" if near else "; see `heapline config example`"


def _dotenv() -> dict[str, str | None]:
    from dotenv import dotenv_values  # noqa: PLC0415 -- only where a .env file is

    return dict(dotenv_values(".env")) if Path(".env").is_file() else {}


def _explain(error: ValidationError) -> Iterator[str]:
    for problem in error.errors(include_url=False, include_input=False):
        where = PREFIX + "__".join(str(part) for part in problem["loc"]).upper()
        yield f"{where}: {problem['msg'].removeprefix('Value error, ')}"
