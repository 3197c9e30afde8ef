from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING

import httpx
import pytest

from heapline.errors import InvalidSetting
from heapline.settings import WebSettings
from web.server import address_of, listen

if TYPE_CHECKING:
    from collections.abc import Iterator

SLOW_SITE = """
import asyncio
from contextlib import asynccontextmanager
from fastapi import FastAPI
from heapline.settings import WebSettings
from web.server import address_of, listen, run

@asynccontextmanager
async def lifespan(app):
    yield
    print("flushed", flush=True)

app = FastAPI(lifespan=lifespan)

@app.get("/slow")
async def slow(seconds: float):
    print("asked", flush=True)
    await asyncio.sleep(seconds)
    return "done"

with listen(WebSettings(port=0)) as listening:
    print(address_of(listening), flush=True)
    run(app, listening, on_stopping=lambda: print("stopping", flush=True))
print("ended", flush=True)
"""


def test_port_0_takes_a_free_one() -> None:
    """And says which."""
    with listen(WebSettings(port=0)) as listening:
        port = listening.getsockname()[1]
        assert address_of(listening) == f"http://127.0.0.1:{port}"


def test_a_taken_port_is_told_with_what_to_do() -> None:
    """Not a traceback out of a server half started."""
    with (
        listen(WebSettings(port=0)) as first,
        pytest.raises(InvalidSetting, match=r"taken.*--port"),
    ):
        listen(WebSettings(port=first.getsockname()[1]))


def test_a_host_that_is_not_ours_is_told() -> None:
    """An address of another machine, or a name nobody knows."""
    token = {"name": "a", "token": "0123456789abcdef", "role": "read"}
    for host in ("192.0.2.1", "no-such-host.invalid"):
        settings = WebSettings.model_validate({"host": host, "port": 0, "api_tokens": [token]})
        with pytest.raises(InvalidSetting, match=f"cannot listen on {host}"):
            listen(settings)


def test_beyond_loopback_without_tokens_nothing_is_opened() -> None:
    """The check comes before the socket."""
    with pytest.raises(InvalidSetting, match="API_TOKENS"):
        listen(WebSettings(host="0.0.0.0", port=0))  # noqa: S104 -- that it is refused


def test_ipv6_addresses_are_written_in_brackets() -> None:
    """As a URL needs them."""
    if not socket.has_ipv6:
        pytest.skip("this machine has no IPv6")
    try:
        listening = listen(WebSettings(host="::1", port=0))
    except InvalidSetting:
        pytest.skip("this machine has no IPv6 loopback")
    with listening:
        assert address_of(listening).startswith("http://[::1]:")


@pytest.fixture
def slow_site() -> Iterator[subprocess.Popen[str]]:
    """A real server in a process of its own, that takes its time to answer."""
    process = subprocess.Popen([sys.executable, "-c", SLOW_SITE], stdout=subprocess.PIPE, text=True)
    with process:
        yield process
        process.kill()


def line_of(process: subprocess.Popen[str]) -> str:
    """Give the next line it prints."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def wait_until_refused(url: str) -> None:
    """Ask until nobody listens any more.

    A connection made at the very moment of the stop, whose request has not arrived, is closed
    unanswered: its client knows that nothing was done, and asks again.
    """
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(f"{url}/nothing", timeout=30)
        except httpx.ConnectError:
            return
        except (httpx.RemoteProtocolError, httpx.ReadError):
            pass
        time.sleep(0.05)
    pytest.fail("it still takes connections")


@pytest.mark.parametrize("asked_by", [signal.SIGTERM, signal.SIGINT])
def test_a_stop_lets_requests_end(
    slow_site: subprocess.Popen[str], asked_by: signal.Signals
) -> None:
    """What was asked is answered, new connections are refused, and the exit code is 0."""
    url = line_of(slow_site)
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(httpx.get(f"{url}/slow", params={"seconds": 1.5}, timeout=20))

    asking = threading.Thread(target=ask)
    asking.start()
    assert line_of(slow_site) == "asked"
    slow_site.send_signal(asked_by)
    assert line_of(slow_site) == "stopping"
    wait_until_refused(url)
    asking.join()
    assert [each.status_code for each in answers] == [200]
    assert [line_of(slow_site), line_of(slow_site)] == ["flushed", "ended"]
    assert slow_site.wait(120) == 0


def test_a_second_signal_does_not_wait(slow_site: subprocess.Popen[str]) -> None:
    """Somebody who presses Ctrl-C twice means it."""
    url = line_of(slow_site)

    def ask() -> None:
        with contextlib.suppress(httpx.HTTPError):
            httpx.get(f"{url}/slow", params={"seconds": 60}, timeout=90)

    asking = threading.Thread(target=ask)
    asking.start()
    assert line_of(slow_site) == "asked"
    slow_site.send_signal(signal.SIGINT)
    assert line_of(slow_site) == "stopping"
    slow_site.send_signal(signal.SIGINT)
    slow_site.wait(120)
    asking.join(10)
    assert not asking.is_alive()
