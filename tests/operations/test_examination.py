from __future__ import annotations

import dataclasses
import socket
import time
from collections import defaultdict
from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from heapline.clock import SystemClock
from heapline.heap.connection import Connection, Region, Send
from heapline.kafka.registry import Registry
from heapline.settings import (
    HeapSettings,
    KafkaSettings,
    SchemaRegistrySettings,
    Settings,
    StateSettings,
    WebSettings,
)
from heapline.words import AppId, Workspace
from operations.doctor import Level, Result, examine
from operations.examination import (
    Examination,
    judge_connecting,
    judge_connections,
    judge_state_folder,
)
from operations.reachability import Reach, address, reach
from producers.connections import ConnectionPatch, ConnectionRegistry
from tests.fakes.http_answers import FakeHttpAnswers
from tests.on_kafka import make_topics, settings_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from devstack.world import World

ACME = Workspace("acme")
CONNECTED = Connection(ACME, 1, app_id=AppId("11"), region=Region.EU, send=Send.ON)


@pytest.fixture
def taken_port() -> Iterator[int]:
    """A port on which something listens that says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def free_port() -> int:
    """Give a port on which nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    return port


def examined(settings: Settings, http: FakeHttpAnswers | None = None) -> dict[str, list[Result]]:
    """Examine; give the results by check."""
    examination = Examination(settings, http or FakeHttpAnswers())
    results = defaultdict(list)
    for each in examine(examination.checks(), 15, SystemClock()):
        results[each.check].append(each)
    return results


def nothing_runs(tmp_path: Path, **more: object) -> Settings:
    """Give settings that point to where nothing is."""
    return Settings(
        _env_file=None,
        kafka=KafkaSettings(bootstrap_servers=f"127.0.0.1:{free_port()}"),
        schema_registry=SchemaRegistrySettings(url=f"http://127.0.0.1:{free_port()}"),
        state=StateSettings(directory=tmp_path / "state"),
        web=WebSettings(port=0),
        **more,  # type: ignore[arg-type] # sections by name
    )


def test_where_nothing_runs_it_ends_in_seconds_and_says_what_to_start(tmp_path: Path) -> None:
    """The first thing a newcomer may meet."""
    started = time.monotonic()
    results = examined(nothing_runs(tmp_path))
    assert time.monotonic() - started < 14
    for name in ("kafka", "registry"):
        (result,) = results[name]
        assert result.level is Level.FAIL
        assert "nothing listens there" in result.detail
        assert "heapline dev up" in result.fix
    for name in ("topics", "schemas", "connections", "heap"):
        assert [each.level for each in results[name]] == [Level.SKIPPED]
    assert results["state"][0].level is Level.OK
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("servers", ["127.0.0.1:x", "127.0.0.1:9092,:1", "h:99999", ","])
def test_brokers_that_are_no_addresses_are_named(servers: str, tmp_path: Path) -> None:
    """Before any attempt to connect."""
    settings = nothing_runs(tmp_path)
    kafka = KafkaSettings(bootstrap_servers=servers)
    (result,) = examined(settings.model_copy(update={"kafka": kafka}))["kafka"]
    assert (result.level, "not host:port" in result.detail) == (Level.FAIL, True)


def test_another_program_at_the_brokers_port_is_told_apart(tmp_path: Path, taken_port: int) -> None:
    """It listens, but is no Kafka: other settings are wrong then."""
    settings = nothing_runs(tmp_path)
    kafka = KafkaSettings(bootstrap_servers=f"127.0.0.1:{taken_port}", timeout_seconds=0.5)
    (result,) = examined(settings.model_copy(update={"kafka": kafka}))["kafka"]
    assert result.level is Level.FAIL
    assert "does not answer as Kafka does" in result.detail
    assert "SECURITY_PROTOCOL" in result.fix


def test_in_a_sound_world_nothing_fails(world: World, prefix: str, tmp_path: Path) -> None:
    """Topics, schemas and a connection made: all is well, and Heap's host is asked."""
    settings = settings_for(world, prefix).model_copy(
        update={
            "state": StateSettings(directory=tmp_path),
            "web": WebSettings(port=0),
            "heap": HeapSettings(api_url=world.heap_url),
        }
    )
    make_topics(settings, partitions=1)
    with Registry(settings.schema_registry) as schemas:
        patch = ConnectionPatch(app_id=AppId("11"), region=Region.EU, send=Send.ON)
        ConnectionRegistry(settings.kafka, schemas).set(ACME, patch)
    http = FakeHttpAnswers({world.heap_url: 404})
    results = examined(settings, http)
    assert {each.level for found in results.values() for each in found} == {Level.OK}, results
    assert http.asked == [("GET", world.heap_url)]


def test_only_the_hosts_of_regions_in_use_are_asked(world: World, prefix: str) -> None:
    """And a host that does not answer is a failure."""
    settings = settings_for(world, prefix).model_copy(update={"web": WebSettings(port=0)})
    make_topics(settings, partitions=1)
    with Registry(settings.schema_registry) as schemas:
        patch = ConnectionPatch(app_id=AppId("11"), region=Region.EU)
        ConnectionRegistry(settings.kafka, schemas).set(ACME, patch)
    http = FakeHttpAnswers()
    (result,) = examined(settings, http)["heap"]
    assert result.level is Level.FAIL
    assert http.asked == [("GET", "https://c.eu.heap-api.com")]


def test_missing_topics_and_schemas_each_name_their_command(world: World, prefix: str) -> None:
    """A world in which only `apply` and `register` were forgotten."""
    results = examined(settings_for(world, prefix))
    assert {each.fix for each in results["topics"]} == {"run `heapline topics apply`"}
    assert {each.fix for each in results["schemas"]} == {"run `heapline schemas register`"}
    assert results["connections"][0].level is Level.SKIPPED


def test_a_mistyped_prefix_is_suspected(world: World, prefix: str) -> None:
    """Topics with another prefix are there, and none with this one."""
    make_topics(settings_for(world, prefix), partitions=1)
    (result,) = examined(settings_for(world, f"other-{prefix}"))["kafka"]
    assert (result.level, "none with yours" in result.detail) == (Level.WARN, True)
    assert "HEAPLINE_KAFKA__PREFIX" in result.fix


def test_a_broker_that_advertises_another_address_is_told(world: World, prefix: str) -> None:
    """The usual trouble with a broker in a container."""
    bootstrap = world.bootstrap_servers.replace("127.0.0.1", "localhost")
    kafka = KafkaSettings(bootstrap_servers=bootstrap, prefix=prefix)
    settings = settings_for(world, prefix).model_copy(update={"kafka": kafka})

    def only_bootstrap(host: str, port: int, _: float) -> Reach:
        del port
        return Reach.LISTENS if host == "localhost" else Reach.UNKNOWN_HOST

    examination = Examination(settings, FakeHttpAnswers(), only_bootstrap)
    results = examine(examination.checks(), 15, SystemClock())
    (result,) = [each for each in results if (each.check, each.level) == ("kafka", Level.FAIL)]
    assert "calls itself 127.0.0.1" in result.detail
    assert "advertised.listeners" in result.fix


def test_the_web_port_may_be_free_ours_or_taken(tmp_path: Path, taken_port: int) -> None:
    """A running `heapline serve` is fine; another program is worth a word."""
    place = f"http://127.0.0.1:{taken_port}/healthz"
    settings = nothing_runs(tmp_path).model_copy(update={"web": WebSettings(port=taken_port)})
    assert examined(settings)["web"][0].level is Level.WARN
    assert examined(settings, FakeHttpAnswers({place: 200}))["web"][0].level is Level.OK
    free = settings.model_copy(update={"web": WebSettings(port=free_port())})
    assert examined(free)["web"][0].level is Level.OK


def test_connections_are_judged_together() -> None:
    """None at all, Send without an app id, and one app id twice."""
    assert [each.level for each in judge_connections([])] == [Level.WARN]
    assert [each.level for each in judge_connections([CONNECTED])] == [Level.OK]
    switched = Connection(Workspace("globex"), 1, send=Send.ON)
    (warning,) = judge_connections([CONNECTED, switched])
    assert (warning.level, "globex" in warning.fix) == (Level.WARN, True)
    twin = dataclasses.replace(CONNECTED, workspace=Workspace("twin"))
    assert [each.level for each in judge_connections([CONNECTED, twin])] == [Level.FAIL]


def test_connecting_needs_all_of_its_settings(tmp_path: Path) -> None:
    """None at all is fine; some name those that are missing; Heap takes HTTPS only."""
    settings = nothing_runs(tmp_path)
    assert [each.level for each in judge_connecting(settings)] == [Level.OK]
    some = settings.model_copy(update={"heap": HeapSettings(client_id="c")})
    named = " ".join(each.detail for each in judge_connecting(some))
    for name in ("HEAP__CLIENT_SECRET", "WEB__PUBLIC_URL", "HEAP__WEBHOOK_SECRETS"):
        assert name in named
    heap = HeapSettings(
        client_id="c", client_secret=SecretStr("s"), webhook_secrets=[SecretStr("w")]
    )
    for url, level in (
        ("https://heapline.example/", Level.OK),
        ("http://heapline.example", Level.WARN),
        ("https://heapline.example/?a=b", Level.FAIL),
    ):
        update = {"heap": heap, "web": WebSettings(public_url=url)}
        (result,) = judge_connecting(settings.model_copy(update=update))
        assert result.level is level
    sound = {"heap": heap, "web": WebSettings(public_url="https://heapline.example/")}
    (result,) = judge_connecting(settings.model_copy(update=sound))
    assert "https://heapline.example/heap/callback" in result.detail


def test_a_state_folder_is_judged_without_leaving_a_trace(tmp_path: Path) -> None:
    """There, to be made, or in the way of a file."""
    assert judge_state_folder(tmp_path).level is Level.OK
    absent = tmp_path / "a" / "b"
    assert "will be made" in judge_state_folder(absent).detail
    assert list(tmp_path.iterdir()) == []
    file = tmp_path / "file"
    file.touch()
    result = judge_state_folder(file)
    assert (result.level, "STATE__DIRECTORY" in result.fix) == (Level.FAIL, True)


def test_reach_tells_why(taken_port: int) -> None:
    """Listening, refused, and unknown are different things to mend."""
    assert reach("127.0.0.1", taken_port, 1) is Reach.LISTENS
    assert reach("127.0.0.1", free_port(), 1) is Reach.REFUSED
    assert reach("no.such.host.invalid", 1, 1) is Reach.UNKNOWN_HOST
    assert reach("x" * 70, 1, 1) is Reach.UNKNOWN_HOST


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("h:1", ("h", 1)),
        (" h:9092 ", ("h", 9092)),
        ("SASL_SSL://h:1", ("h", 1)),
        ("[::1]:9092", ("::1", 9092)),
        ("h", ("h", 9092)),
        ("[::1]", ("::1", 9092)),
        ("", None),
        ("h:", None),
        (":1", None),
        ("h:0", None),
        ("h:65536", None),
        ("h:-1", None),
    ],
)
def test_addresses_are_read_as_librdkafka_does(text: str, place: tuple[str, int] | None) -> None:
    """With or without protocol, IPv6 in brackets."""
    assert address(text) == place
