"""What `doctor` looks at: everything heapline needs, and how to mend each."""

from __future__ import annotations

import shutil
import socket
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from confluent_kafka import KafkaException

from heapline.clock import Clock, SystemClock
from heapline.errors import RegistryUnavailable
from heapline.heap.connection import Send
from heapline.heap.oauth import CALLBACK, partner_problems
from heapline.heap.track import HOSTS
from heapline.http import HttpxClient
from heapline.kafka.clients import admin, translated
from heapline.kafka.registry import Registry
from heapline.kafka.topics import EVENTS, Names
from operations import schemas
from operations.clock_skew import judge_clock
from operations.doctor import Check, Level, Result
from operations.reachability import Reach, address, reach
from operations.topics import TopicAdministrator
from producers.connections import ConnectionRegistry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from confluent_kafka.admin._metadata import ClusterMetadata

    from heapline.heap.connection import Connection, Region
    from heapline.http import HttpClient
    from heapline.settings import KafkaSettings, Settings
    from operations.findings import Finding

QUESTION_SECONDS: Final = 4.0
"""How long one question may take here, however patient the settings are."""
DEADLINE_SECONDS: Final = 10.0
_CONNECT_SECONDS: Final = 2.0
_SERVER_ERROR: Final = 500
_OK: Final = 200
_PREFIXES_TOLD: Final = 5
_SCARCE_BYTES: Final = 1024**3
_TOO_SCARCE_BYTES: Final = 100 * 1024**2
_MB: Final = 1_000_000
_OWN_WORLD: Final = 'start one with `heapline dev up`, then `eval "$(heapline dev env)"`'


@dataclass(slots=True)
class Examination:
    """The checks over one set of settings.

    Attributes:
        http: how Heap's hosts are asked.
        reached: how an address is tried.
        clock: compared with Heap's.
    """

    settings: Settings
    http: HttpClient = field(
        default_factory=lambda: HttpxClient(
            connections=2, connect_seconds=_CONNECT_SECONDS, answer_seconds=QUESTION_SECONDS
        )
    )
    reached: Callable[[str, int, float], Reach] = reach
    clock: Clock = field(default_factory=SystemClock)
    _regions: set[Region] = field(default_factory=set)

    def checks(self) -> tuple[Check, ...]:
        """List the checks, in the order in which a newcomer mends things."""
        return (
            Check("settings", self._settings),
            Check("kafka", self._kafka),
            Check("registry", self._registry),
            Check("topics", self._topics, needs=("kafka",)),
            Check("schemas", self._schemas, needs=("registry",)),
            Check("connections", self._connections, needs=("kafka", "registry", "topics")),
            Check("heap", self._heap, after=("connections",)),
            Check("connecting", self._connecting),
            Check("state", self._state),
            Check("web", self._web),
        )

    @property
    def _quick(self) -> KafkaSettings:
        kafka = self.settings.kafka
        seconds = min(kafka.timeout_seconds, QUESTION_SECONDS)
        return kafka.model_copy(update={"timeout_seconds": seconds})

    def _settings(self) -> Iterator[Result]:
        prefix = self.settings.kafka.prefix
        named = f"prefix {prefix!r}" if prefix else "no prefix"
        instance = self.settings.instance_id
        yield Result("settings", Level.OK, f"valid; instance {instance}, {named}")

    def _kafka(self) -> Iterable[Result]:
        say = partial(Result, "kafka")
        servers = self.settings.kafka.bootstrap_servers
        places = {each: address(each) for each in servers.split(",") if each.strip()}
        wrong = [each for each, place in places.items() if place is None]
        if wrong or not places:
            fix = "write HEAPLINE_KAFKA__BOOTSTRAP_SERVERS as host:port,host:port"
            return [say(Level.FAIL, f"{(wrong or [servers])[0]!r} is not host:port", fix)]
        found = {text: self.reached(*p, _CONNECT_SECONDS) for text, p in places.items() if p}
        if Reach.LISTENS not in found.values():
            tried = "; ".join(f"{text}: {why}" for text, why in found.items())
            fix = f"{_OWN_WORLD}; or set HEAPLINE_KAFKA__BOOTSTRAP_SERVERS to your brokers"
            return [say(Level.FAIL, tried, fix)]
        try:
            listed = admin(self._quick).list_topics(timeout=self._quick.timeout_seconds)
        except KafkaException as error:
            problem = f"something listens at {servers}, but does not answer as Kafka does"
            fix = "is it a broker, and do HEAPLINE_KAFKA__SECURITY_PROTOCOL and ..._SASL_... fit?"
            return [say(Level.FAIL, f"{problem} ({translated(error)})", fix)]
        return [*self._unreachable_brokers(listed), *self._other_prefixes(listed)] or [
            say(Level.OK, f"{_count(len(listed.brokers), 'broker')}, cluster {listed.cluster_id}")
        ]

    def _unreachable_brokers(self, listed: ClusterMetadata) -> Iterator[Result]:
        """Brokers name the address at which clients must find them; often one inside Docker."""
        for broker in listed.brokers.values():
            why = self.reached(broker.host or "", broker.port or 0, _CONNECT_SECONDS)
            if why is not Reach.LISTENS:
                detail = f"broker {broker.id} calls itself {broker.host}:{broker.port}: {why}"
                fix = "set the broker's advertised.listeners to an address that works from here"
                yield Result("kafka", Level.FAIL, detail, fix)

    def _other_prefixes(self, listed: ClusterMetadata) -> Iterator[Result]:
        """Topics that are there under another name are a likelier mistake than missing ones."""
        own = Names(self.settings.kafka.prefix).topic(EVENTS)
        others = [name for name in listed.topics if name.endswith(EVENTS.name)]
        if own not in listed.topics and others:
            prefixes = [repr(name.removesuffix(EVENTS.name)) for name in sorted(others)]
            some = ", ".join(prefixes[:_PREFIXES_TOLD])
            detail = f"there are topics with other prefixes ({some}), and none with yours"
            fix = "is HEAPLINE_KAFKA__PREFIX right? If it is new: `heapline topics apply`"
            yield Result("kafka", Level.WARN, detail, fix)

    def _registry(self) -> Iterable[Result]:
        say = partial(Result, "registry")
        url = self.settings.schema_registry.url
        where = urlsplit(url)
        host, port = where.hostname or "", where.port or _port(where.scheme)
        place = f"{where.scheme}://{host}:{port}"
        why = self.reached(host, port, _CONNECT_SECONDS)
        if why is not Reach.LISTENS:
            fix = f"{_OWN_WORLD}; or set HEAPLINE_SCHEMA_REGISTRY__URL to your registry"
            return [say(Level.FAIL, f"{place}: {why}", fix)]
        path = "Apicurio's path is /apis/ccompat/v7, Confluent's and Karapace's have none"
        try:
            with Registry(self.settings.schema_registry) as opened:
                opened.subjects()
        except KeyError:
            fix = f"is the path in HEAPLINE_SCHEMA_REGISTRY__URL right? {path}"
            return [say(Level.FAIL, f"{place} answers, but not as a schema registry (404)", fix)]
        except RegistryUnavailable as error:
            fix = f"look at its log; or is HEAPLINE_SCHEMA_REGISTRY__URL wrong? {path}"
            return [say(Level.FAIL, str(error), fix)]
        return [say(Level.OK, f"{place} answers")]

    def _topics(self) -> Iterable[Result]:
        found = TopicAdministrator(self._quick).check()
        return _told("topics", found, "all there and as they should be")

    def _schemas(self) -> Iterable[Result]:
        names = Names(self.settings.kafka.prefix)
        with Registry(self.settings.schema_registry) as opened:
            found = schemas.check(opened, names)
        return _told("schemas", found, "all registered and as they should be")

    def _connections(self) -> Iterable[Result]:
        with Registry(self.settings.schema_registry) as opened:
            snapshot = ConnectionRegistry(self._quick, opened).read()
        rows = sorted(snapshot.rows.values(), key=lambda row: row.workspace)
        self._regions |= {row.region for row in rows if row.connected and row.region}
        return [
            *(_unreadable(workspace, why) for workspace, why in snapshot.unreadable.items()),
            *judge_connections(rows),
        ]

    def _heap(self) -> Iterable[Result]:
        override = self.settings.heap.api_url
        hosts = [override] if override else sorted(HOSTS[region] for region in self._regions)
        if not hosts:
            return [Result("heap", Level.SKIPPED, "no connection names a region yet")]
        return [result for host in hosts for result in self._heap_host(host)]

    def _heap_host(self, url: str) -> Iterator[Result]:
        """Ask for the front page: no event is sent, and any answer will do."""
        sent_at = self.clock.epoch_ms() / 1000
        answer = self.http.request("GET", url)
        if answer.status is None:
            fix = "may this machine reach it (proxy, firewall)? Is HEAPLINE_HEAP__API_URL meant?"
            yield Result("heap", Level.FAIL, f"{url} does not answer: {answer.error}", fix)
            return
        level = Level.WARN if answer.status >= _SERVER_ERROR else Level.OK
        yield Result("heap", level, f"{url} answers (HTTP {answer.status})")
        clock = judge_clock(answer.headers.get("date"), sent_at, self.clock.epoch_ms() / 1000)
        if clock is not None:
            yield clock

    def _connecting(self) -> Iterable[Result]:
        return judge_connecting(self.settings)

    def _state(self) -> Iterable[Result]:
        folder = self.settings.state.directory
        return [judge_state_folder(folder)]

    def _web(self) -> Iterable[Result]:
        web = self.settings.web
        if web.port == 0 or _is_free(web.host, web.port):
            return [Result("web", Level.OK, f"{web.host}:{web.port or 'any port'} is free")]
        place = f"{web.host}:{web.port}"
        if self.http.request("GET", f"http://{place}/healthz").status == _OK:
            return [Result("web", Level.OK, f"`heapline serve` answers at {place}")]
        fix = "set HEAPLINE_WEB__PORT to a free one before `heapline serve`"
        return [Result("web", Level.WARN, f"{place} cannot be used: another program has it", fix)]


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


def _port(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _told(check: str, findings: Iterable[Finding], fine: str) -> list[Result]:
    found = [
        Result(check, Level.FAIL, f"{each.about}: {each.problem}", each.fix) for each in findings
    ]
    return found or [Result(check, Level.OK, fine)]


def _unreadable(workspace: str | None, why: str) -> Result:
    detail = f"the connection of {workspace or '(no workspace)'} cannot be read: {why}"
    fix = f"upgrade heapline, or `heapline connections remove {workspace}` and set it again"
    return Result("connections", Level.FAIL, detail, fix if workspace else "")


def judge_connections(rows: list[Connection]) -> list[Result]:
    """Tell what of the connections does not make sense together."""
    say = partial(Result, "connections")
    if not rows:
        fix = "`heapline connections set WORKSPACE --app-id ID --region us|eu --send on`"
        return [say(Level.WARN, "no workspace is connected, so every event is skipped", fix)]
    owners = Counter(row.app_id for row in rows if row.app_id is not None)
    twice = [
        say(
            Level.FAIL,
            f"app id {app_id} is claimed by {count} workspaces",
            "one Heap environment belongs to one workspace: `heapline connections list`",
        )
        for app_id, count in owners.items()
        if count > 1
    ]
    nowhere = [
        say(
            Level.WARN,
            f"{row.workspace} has Send {row.send}, but no app id: its events are skipped",
            f"`heapline connections set {row.workspace} --app-id ID --region us|eu`",
        )
        for row in rows
        if row.send is not Send.OFF and not row.connected
    ]
    sending = sum(row.connected and row.send is Send.ON for row in rows)
    fine = say(Level.OK, f"{_count(len(rows), 'workspace')}, {sending} with Send on")
    return [*twice, *nowhere] or [fine]


def judge_connecting(settings: Settings) -> list[Result]:
    """Tell whether workspaces can be connected to Heap in the browser, and segments be taken."""
    say = partial(Result, "connecting")
    heap, public = settings.heap, settings.web.public_url
    if not (heap.client_id or heap.client_secret or heap.webhook_secrets or public):
        return [say(Level.OK, "not set up, and not needed without segments: docs/connecting.md")]
    problems = partner_problems(settings)
    if not heap.webhook_secrets:
        problems.append("HEAPLINE_HEAP__WEBHOOK_SECRETS is not set: no page of Heap's is taken")
    found = [say(Level.FAIL, *_parted(each)) for each in problems]
    if public and urlsplit(public).scheme == "http" and not heap.api_url:
        fix = "put a proxy with HTTPS before it, and set HEAPLINE_WEB__PUBLIC_URL to https://..."
        found.append(say(Level.WARN, f"{public} is not HTTPS, and Heap takes nothing else", fix))
    fine = f"registered at Heap must be {(public or '').rstrip('/')}{CALLBACK} to the letter"
    return found or [say(Level.OK, fine)]


def _parted(problem: str) -> tuple[str, str]:
    what, _, fix = problem.partition(": ")
    return what, fix


def judge_state_folder(folder: Path) -> Result:
    """Tell whether the state folder can be written, or made, and has room; leaves no trace."""
    say = partial(Result, "state")
    there = next(each for each in (folder, *folder.absolute().parents) if each.exists())
    fix = "set HEAPLINE_STATE__DIRECTORY to a folder that can be written"
    try:
        with tempfile.TemporaryFile(dir=there):
            free_bytes = shutil.disk_usage(there).free
    except OSError as error:
        return say(Level.FAIL, f"{folder} cannot be written: {error.strerror or error}", fix)
    room = f"{folder}{'' if there == folder else ' (will be made)'}, {free_bytes // _MB:,} MB free"
    if free_bytes < _SCARCE_BYTES:
        level = Level.FAIL if free_bytes < _TOO_SCARCE_BYTES else Level.WARN
        return say(level, room, "make room, or " + fix)
    return say(Level.OK, room)


def _is_free(host: str, port: int) -> bool:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError:
            return False
    return True
