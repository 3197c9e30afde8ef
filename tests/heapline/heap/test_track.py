"""Requests to Heap's track endpoint and what is made of the answers."""

from __future__ import annotations

import gzip
import logging
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.clock import SystemClock
from heapline.heap.connection import Region
from heapline.heap.track import HeapClient, TrackAnswer, excerpt, track_url
from heapline.http import Answer, Failure, HttpxClient
from heapline.settings import HeapSettings
from tests.fakes.http_server import (
    CLOSED_AFTER_READING,
    HANGING,
    NOT_HTTP,
    RESET_AFTER_READING,
    RESET_BEFORE_READING,
    TRUNCATED,
    TRUNCATED_HEAD,
    Behaviour,
    answering,
    refused_port,
    serving,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

BODY = b'{"app_id":"1","events":[]}'


class _OnePastTheHour(SystemClock):
    """A clock that stands at Wed, 21 Oct 2015 07:28:00 GMT."""

    def epoch_ms(self) -> int:
        return 1_445_412_480_000


class _FakeHttp:
    """Answers what it was given and remembers where to."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.urls: list[str] = []

    def request(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> Answer:
        assert (method, body, (headers or {})["content-type"]) == ("POST", BODY, "application/json")
        self.urls.append(url)
        return self.answer

    def close(self) -> None:
        pass


@pytest.fixture
def http() -> Iterator[HttpxClient]:
    """A real client that does not wait long."""
    client = HttpxClient(connections=4, connect_seconds=2, answer_seconds=0.5)
    yield client
    client.close()


def told(http: HttpxClient, behaviour: Behaviour) -> TrackAnswer:
    """Send one request to a server that behaves so."""
    with serving(behaviour) as server:
        return HeapClient(http, HeapSettings(api_url=server.url)).track(Region.US, BODY)


def test_the_region_decides_the_host() -> None:
    """EU data must never go to the US host."""
    fake = _FakeHttp(Answer(200))
    client = HeapClient(fake, HeapSettings())
    for region in (Region.US, Region.EU):
        client.track(region, BODY)
    assert fake.urls == [
        "https://heapanalytics.com/api/track",
        "https://c.eu.heap-api.com/api/track",
    ]


@pytest.mark.parametrize(
    ("api_url", "expected"),
    [
        ("http://127.0.0.1:9", "http://127.0.0.1:9/api/track"),
        ("http://127.0.0.1:9/", "http://127.0.0.1:9/api/track"),
        ("https://proxy.test/heap", "https://proxy.test/heap/api/track"),
        (None, "https://heapanalytics.com/api/track"),
        ("", "https://heapanalytics.com/api/track"),
    ],
)
def test_one_setting_stands_for_the_hosts_of_both_regions(
    api_url: str | None, expected: str
) -> None:
    """The path is Heap's in any case."""
    assert track_url(Region.US, api_url) == expected
    if api_url:
        assert track_url(Region.EU, api_url) == expected


def test_the_body_goes_out_as_it_is(http: HttpxClient) -> None:
    """JSON, uncompressed unless asked for, to the track endpoint."""
    with serving(answering("200 OK", b"{}")) as server:
        answer = HeapClient(http, HeapSettings(api_url=server.url)).track(Region.EU, BODY)
    (request,) = server.received
    assert request.line == "POST /api/track HTTP/1.1"
    assert request.headers["content-type"] == "application/json"
    assert "content-encoding" not in request.headers
    assert request.body == BODY
    assert answer == TrackAnswer(200, body_excerpt="{}")


def test_bodies_are_compressed_where_the_setting_says_so(http: HttpxClient) -> None:
    """The same body compresses to the same bytes."""
    with serving(answering("200 OK")) as server:
        client = HeapClient(http, HeapSettings(api_url=server.url, gzip=True))
        client.track(Region.US, BODY)
        client.track(Region.US, BODY)
    first, second = server.received
    assert first.headers["content-encoding"] == "gzip"
    assert gzip.decompress(first.body) == BODY
    assert first.body == second.body


@pytest.mark.parametrize("status", ["400 Bad Request", "401 Unauthorized", "429 Too Many Requests"])
def test_every_status_is_an_answer(http: HttpxClient, status: str) -> None:
    """What a status means is decided elsewhere."""
    answer = told(http, answering(status, b"no\r\nway\x07"))
    assert answer.status == int(status[:3])
    assert (answer.failure, answer.body_excerpt) == (None, "no way")


def test_redirects_are_not_followed(http: HttpxClient) -> None:
    """A POST that is sent on elsewhere could reach anybody."""
    assert told(http, answering("302 Found", location="http://127.0.0.1:1/")).status == 302


def test_a_refused_connection_is_not_sent(http: HttpxClient) -> None:
    """Nobody can have seen the events."""
    with refused_port() as url:
        answer = HeapClient(http, HeapSettings(api_url=url)).track(Region.US, BODY)
    assert (answer.status, answer.failure) == (None, Failure.NOT_SENT)
    assert answer.error


@pytest.mark.parametrize(
    "behaviour",
    [
        RESET_BEFORE_READING,
        RESET_AFTER_READING,
        CLOSED_AFTER_READING,
        TRUNCATED,
        TRUNCATED_HEAD,
        NOT_HTTP,
        HANGING,
    ],
)
def test_whatever_breaks_after_connecting_is_ambiguous(
    http: HttpxClient, behaviour: Behaviour
) -> None:
    """The server may have taken the events: they go again under the same keys."""
    answer = told(http, behaviour)
    assert (answer.status, answer.failure) == (None, Failure.AMBIGUOUS)
    assert answer.error
    assert "app_id" not in answer.error


def test_a_connection_the_server_closed_does_not_fail_the_next_request(http: HttpxClient) -> None:
    """After an ambiguous answer the client opens another connection."""
    with serving(RESET_AFTER_READING, answering("200 OK")) as server:
        client = HeapClient(http, HeapSettings(api_url=server.url))
        assert client.track(Region.US, BODY).failure is Failure.AMBIGUOUS
        assert client.track(Region.US, BODY).status == 200
        assert client.track(Region.US, BODY).status == 200
    assert server.connections == 2


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("3", 3.0), ("Wed, 21 Oct 2015 07:29:00 GMT", 60.0), ("-3", None), ("later", None)],
)
def test_retry_after_is_read_as_seconds_or_date(
    http: HttpxClient, header: str, seconds: float | None
) -> None:
    """A date counts from the clock that was passed in; garbage says nothing."""
    with serving(answering("429 Too Many Requests", retry_after=header)) as server:
        client = HeapClient(http, HeapSettings(api_url=server.url), _OnePastTheHour())
        assert client.track(Region.US, BODY).retry_after_seconds == seconds


def test_bodies_are_never_logged(http: HttpxClient, caplog: pytest.LogCaptureFixture) -> None:
    """Not even on the lowest level, whatever goes wrong."""
    secret = b'{"app_id":"1","events":["hunter2"]}'
    for each in ("", "httpx", "httpcore"):  # as if nobody had quietened them
        caplog.set_level(logging.DEBUG, each or None)
    for behaviour in (answering("400 Bad Request"), TRUNCATED, RESET_AFTER_READING):
        with serving(behaviour) as server:
            HeapClient(http, HeapSettings(api_url=server.url)).track(Region.US, secret)
    assert caplog.records
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", ""),
        (b"OK%", "OK%"),
        (b"  a\r\n\tb\x00c  ", "a b c"),
        ("é\u2028\u202eü".encode(), "é ü"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"x" * 1000, "x" * 300),
        (b"\x1b[31m" * 1000, ("[31m " * 60).strip()),
    ],
)
def test_answers_are_quoted_on_one_short_line(body: bytes, expected: str) -> None:
    """For headers and terminals: no control characters, at most 300."""
    assert excerpt(body) == expected


@given(st.binary(max_size=2000))
def test_any_answer_can_be_quoted(body: bytes) -> None:
    """An excerpt is short, printable and can be written as UTF-8."""
    quoted = excerpt(body)
    assert len(quoted) <= 300
    assert quoted == quoted.strip()
    assert all(character.isprintable() for character in quoted)
    quoted.encode()
