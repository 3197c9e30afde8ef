"""TLS and proxies as the environment has them, on both transports."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from heapline.http import Failure, HttpxClient
from tests.fakes.http_server import Behaviour, answering, serving
from tests.fakes.http_transports import TRANSPORTS, client_over
from tests.fakes.tls import Certificate

if TYPE_CHECKING:
    from pathlib import Path

OK = answering("200 OK", b"{}")
LARGE = bytes(range(256)) * 4_000


@pytest.fixture(params=TRANSPORTS)
def transport(request: pytest.FixtureRequest) -> str:
    """Give the name of a transport."""
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A server's certificate."""
    return Certificate.made(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment without proxies, to put some in."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    return monkeypatch


def test_a_server_that_is_trusted_is_talked_to(
    transport: str, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bodies of any size, over one connection."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    with (
        serving(OK, tls=certificate.context) as server,
        closing(client_over(transport, connect_seconds=10, answer_seconds=10)) as client,
    ):
        for body in (b"", b"x", LARGE):
            assert client.request("POST", server.url, body=body).status == 200
    assert [each.body for each in server.received] == [b"", b"x", LARGE]
    assert server.connections == 1


def test_a_connection_closed_under_tls_is_noticed(
    transport: str, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As without TLS."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
    with (
        serving(Behaviour(answer=OK.answer, end="close"), OK, tls=certificate.context) as server,
        closing(client_over(transport, connect_seconds=10, answer_seconds=10)) as client,
    ):
        assert client.request("POST", server.url).status == 200
        server.wait_until_ended(1)
        assert client.request("POST", server.url).status == 200
    assert server.connections == 2


def test_a_server_that_is_not_trusted_gets_nothing(
    transport: str, certificate: Certificate, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither an unknown certificate nor another host's."""
    with (
        serving(OK, tls=certificate.context) as server,
        closing(client_over(transport, connect_seconds=10, answer_seconds=10)) as client,
    ):
        unknown = client.request("POST", server.url, body=b"x")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate.file))
        with closing(client_over(transport, connect_seconds=10, answer_seconds=10)) as trusting:
            other = trusting.request("POST", server.url.replace("127.0.0.1", "localhost"))
    for told in (unknown, other):
        assert (told.status, told.failure) == (None, Failure.NOT_SENT)
        assert "certificate verify failed" in told.error
    assert not server.received


def test_a_server_without_tls_gets_nothing(transport: str) -> None:
    """A handshake that fails is before the request."""
    garbage = Behaviour(read=False, answer=b"HTTP/1.1 400 Bad Request\r\n\r\n", end="close")
    with (
        serving(garbage) as server,
        closing(client_over(transport, connect_seconds=10, answer_seconds=10)) as client,
    ):
        told = client.request("POST", server.url.replace("http:", "https:"), body=b"x")
    assert (told.status, told.failure) == (None, Failure.NOT_SENT)


def test_authorities_that_cannot_be_read_trust_nobody(
    certificate: Certificate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """A wrong setting is a failure to show, not an exception."""
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    with serving(OK, tls=certificate.context) as server, closing(HttpxClient()) as client:
        assert client.request("POST", server.url).failure is Failure.NOT_SENT
    assert not server.received


def test_a_proxy_in_the_environment_is_used(no_proxy: pytest.MonkeyPatch) -> None:
    """The whole address goes to the proxy, which alone can resolve it."""
    with serving(OK) as proxy:
        no_proxy.setenv("HTTP_PROXY", proxy.url)
        with closing(HttpxClient(answer_seconds=10)) as client:
            for _ in range(2):
                told = client.request("POST", "http://heap.invalid/api/track", body=b"x")
                assert (told.status, told.body) == (200, b"{}")
    assert [each.line for each in proxy.received] == [
        "POST http://heap.invalid/api/track HTTP/1.1"
    ] * 2
    assert proxy.connections == 1


def test_hosts_without_proxy_are_respected(no_proxy: pytest.MonkeyPatch) -> None:
    """`NO_PROXY` means what it means to httpx."""
    with serving(OK) as proxy, serving(OK) as server:
        no_proxy.setenv("ALL_PROXY", proxy.url)
        no_proxy.setenv("NO_PROXY", "127.0.0.1")
        with closing(HttpxClient(answer_seconds=10)) as client:
            assert client.request("POST", f"{server.url}/a", body=b"x").status == 200
    assert [each.line for each in server.received] == ["POST /a HTTP/1.1"]
    assert not proxy.received


def test_a_proxy_nobody_answers_at_is_not_sent(no_proxy: pytest.MonkeyPatch) -> None:
    """The request goes nowhere else."""
    no_proxy.setenv("HTTP_PROXY", "http://proxy.invalid:1")
    with serving(OK) as server, closing(HttpxClient(answer_seconds=10)) as client:
        assert client.request("POST", server.url).failure is Failure.NOT_SENT
    assert not server.received
