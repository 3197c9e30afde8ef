"""The person who connects a workspace in a browser, played: opens the link and clicks Allow."""

from __future__ import annotations

import html
import re
from contextlib import closing
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from heapline.errors import CallerMistake
from heapline.http import HttpxClient

if TYPE_CHECKING:
    from collections.abc import Mapping

    from devstack.heap_simulator import SimulatorClient
    from heapline.http import Answer

_QUESTION: Final = re.compile(r'href="([^"]+&amp;move=no)"')
_HEADLINE: Final = re.compile(rb"<h1>(.*?)</h1>", re.DOTALL)


def allow(link: str, heap: SimulatorClient, env_id: str = "") -> str:
    """Open an invitation's link, choose an environment, click Allow, and come back.

    A workspace that is connected already is asked whether it moves: it does not.

    Args:
        link: as `heapline connections invite` prints it.
        heap: the simulator behind the page.
        env_id: which environment; empty takes the first that the page offers.

    Returns:
        The address of the page that says what to do in Heap.

    Raises:
        CallerMistake: a page refuses, or is not there; the message is its headline.
    """
    with closing(HttpxClient()) as http:
        page = _open(http, link)
        question = _QUESTION.search(page.body.decode("utf-8", "replace"))
        if page.status == HTTPStatus.OK and question is not None:
            page = _open(http, urljoin(link, html.unescape(question[1])))
        authorize = _place(page, link)
        cookie = page.headers.get("set-cookie", "").partition(";")[0]
        back = heap.decide(authorize, env_id=env_id or _first_environment(http, authorize))
        page = _open(http, back, {"Cookie": cookie} if cookie else None)
        steps = _place(page, back)
        page = _open(http, steps)
        if page.status != HTTPStatus.OK:
            raise CallerMistake(_told(page))
        return steps


def _open(http: HttpxClient, address: str, headers: Mapping[str, str] | None = None) -> Answer:
    answer = http.request("GET", address, headers=headers)
    if answer.status is None:
        raise CallerMistake(
            f"nobody answers at {address.partition('?')[0]}: is `heapline run` (or `serve`) "
            "running, and is HEAPLINE_WEB__PUBLIC_URL where it listens?"
        )
    return answer


def _place(page: Answer, before: str) -> str:
    if page.status not in {HTTPStatus.FOUND, HTTPStatus.SEE_OTHER}:
        raise CallerMistake(_told(page))
    return urljoin(before, page.headers["location"])


def _first_environment(http: HttpxClient, authorize: str) -> str:
    offered = re.search(rb'<option value="([^"]+)">', _open(http, authorize).body)
    return offered[1].decode() if offered else ""


def _told(page: Answer) -> str:
    headline = _HEADLINE.search(page.body)
    said = html.unescape(headline[1].decode("utf-8", "replace")) if headline else "no page"
    return f"the page says (HTTP {page.status}): {said}"
