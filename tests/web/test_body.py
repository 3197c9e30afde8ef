from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given, settings
from hypothesis import strategies as st

from heapline.errors import InvalidEvent
from web.body import Unreadable, items_of, json_value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.web.conftest import Site

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(), st.lists, max_leaves=5
)


@settings(deadline=None)
@given(JSON_VALUES)
def test_json_is_read_as_json(value: object) -> None:
    """Whatever the standard library writes is read back."""
    assert json_value(json.dumps(value).encode()) == value


@settings(deadline=None)
@given(st.binary(max_size=40))
def test_any_bytes_are_json_or_refused(body: bytes) -> None:
    """No input makes the parser fail in another way."""
    try:
        json_value(body)
    except InvalidEvent as error:
        assert error.reason in {"not_json", "not_utf8"}  # noqa: PT017 -- only some examples raise


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(), st.integers(), max_size=2)))
def test_lines_and_lists_hold_the_same_items(values: list[dict[str, int]]) -> None:
    """The two ways to send many differ in form only."""
    lines = "".join(json.dumps(each) + "\r\n" for each in values).encode()
    listed = json.dumps(values).encode()
    assert items_of("application/x-ndjson", lines) == items_of("application/json", listed)


def test_a_byte_order_mark_is_passed_over() -> None:
    """Windows' editors write one."""
    assert json_value(b"\xef\xbb\xbf{}") == {}


def test_a_bad_line_stands_in_its_place() -> None:
    """So that the items after it keep their index."""
    first, second = items_of("application/x-ndjson", b"{\n7\n")
    assert isinstance(first, Unreadable)
    assert second == 7


def test_too_large_a_body_is_refused_while_it_streams(small: Site) -> None:
    """The rest of the body is not read, whether its length was announced or not."""
    sent = 0

    async def chunks() -> Iterator[bytes]:  # type: ignore[misc]  # an async generator
        nonlocal sent
        for _ in range(1_000):
            sent += 1
            yield b" " * 100

    for content in (b" " * 100_000, chunks()):
        response = small.ask(
            "POST", "/v1/events", content=content, headers={"content-type": "application/json"}
        )
        assert response.status_code == 413
        assert response.json()["type"] == "urn:heapline:problem:too-large"
        assert "1000 bytes" in response.json()["detail"]
    assert sent < 20


def test_a_body_just_small_enough_is_taken(small: Site) -> None:
    """The bound itself is allowed."""
    body = b"[" + b" " * 998 + b"]"
    response = small.ask(
        "POST", "/v1/events", content=body, headers={"content-type": "application/json"}
    )
    assert response.status_code == 200
