"""Heap's user deletion, against the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import SecretStr

from devstack.heap_simulator import running_simulator
from devstack.heap_simulator.deletion_endpoints import API_KEY
from heapline.errors import HeapUnavailable
from heapline.heap.deletion import DeletionRefused, HeapDeletion
from heapline.http import HttpxClient
from heapline.settings import HeapSettings
from heapline.words import AppId, UserId
from tests.fakes.http_server import answering, refused_port, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from heapline.http import HttpClient

APP, JANE = AppId("11"), UserId("jane@example.org")


@pytest.fixture
def http() -> Iterator[HttpClient]:
    """A client that does not wait long."""
    client = HttpxClient(connections=1, connect_seconds=2, answer_seconds=5)
    yield client
    client.close()


def deletion(http: HttpClient, url: str, key: str = API_KEY) -> HeapDeletion:
    """A client of a Heap."""
    return HeapDeletion(http, HeapSettings(api_url=url, deletion_keys={APP: SecretStr(key)}))


def test_token_request_and_status(http: HttpClient) -> None:
    """The whole way; the status can be asked for again later."""
    with running_simulator() as heap:
        client = deletion(http, heap.url)
        asked = client.delete(APP, JANE)
        assert asked.status == "pending"
        assert heap.deletions() == [{"app_id": APP, "users": [{"identity": JANE}]}]
        assert client.status(APP, asked.request_id) == asked
        with pytest.raises(DeletionRefused):
            client.status(APP, "another")


def test_keys_that_are_missing_or_wrong_name_the_setting(http: HttpClient) -> None:
    """Nothing is deleted."""
    with running_simulator() as heap:
        with pytest.raises(DeletionRefused, match="HEAPLINE_HEAP__DELETION_KEYS"):
            deletion(http, heap.url).delete(AppId("12"), JANE)
        with pytest.raises(DeletionRefused, match="HEAPLINE_HEAP__DELETION_KEYS"):
            deletion(http, heap.url, "wrong").delete(APP, JANE)
        assert heap.deletions() == []


@pytest.mark.parametrize("status", ["500 Oops", "429 Later", "200 OK"])
def test_a_heap_that_fails_is_tried_again_later(http: HttpClient, status: str) -> None:
    """Also one that answers without sense."""
    with serving(answering(status)) as server, pytest.raises(HeapUnavailable):
        deletion(http, server.url).delete(APP, JANE)


def test_a_heap_that_is_not_there(http: HttpClient) -> None:
    """It says so."""
    with pytest.raises(HeapUnavailable, match="does not answer"):
        deletion(http, f"http://127.0.0.1:{refused_port()}").delete(APP, JANE)
