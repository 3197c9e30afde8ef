"""Texts recognised as one flat object, written plainly: nothing else may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from consumers.forwarder.flat_objects import SPARE_BYTES, flat_objects

if TYPE_CHECKING:
    from collections.abc import Sequence

_PIECES = (
    *(b'"', b"{", b"}", b":", b",", b"[", b"]", b" ", b"\\", b"\n", b"0", b"1", b"-", b".", b"e"),
    *(b'"a"', b'"b":', b'"a":1', b'"c":"d"', b"true", b"null", b"2.5", b"1.0", b"007", b"-0"),
    *(b'{"a":"b"}', b'"end_user_properties":1', b'"nudge.step.id":1', b'"nudge.spot.id":1'),
)
_TEXTS = st.lists(st.sampled_from(_PIECES), max_size=9).map(b"".join)
_KEYS = st.text(
    st.characters(exclude_characters='"\\', exclude_categories=["Cc", "Cs"]), max_size=20
)
_NUMBERS = st.integers(-(10**14), 10**14) | st.integers(-999, 999).map(lambda n: n / 100)
_OBJECTS = st.dictionaries(_KEYS, _KEYS | _NUMBERS, max_size=5).map(orjson.dumps)


def recognised(texts: Sequence[bytes], between: bytes = b"") -> list[bool]:
    """Ask about texts that stand one behind the other, with something in between."""
    lengths = np.array([len(text) for text in texts], np.int64)
    ends = np.cumsum(lengths + len(between))
    data = b"".join(between + text for text in texts) + bytes(SPARE_BYTES)
    found: list[bool] = flat_objects(data, ends - lengths, ends).tolist()
    return found


def is_plain(text: bytes) -> bool:
    """Tell by parsing what may be recognised."""
    try:
        document = orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return (
        isinstance(document, dict)
        and orjson.dumps(document) == text
        and all(type(value) in {str, int, float} for value in document.values())
        and not any(key.startswith("end_user_properties") for key in document)
    )


@given(
    st.lists(_TEXTS | _OBJECTS, max_size=8), st.sampled_from([b"", b'"', b'\x00"x', b"12345678"])
)
@example([b'{"a":1,"a":"x"}'], b"")
@example([b'{"a":1}', b'{"b":"}', b'{"c":"'], b"")
def test_what_is_recognised_is_plain(texts: list[bytes], between: bytes) -> None:
    """No text is recognised that a parser would not give back byte for byte as a flat object."""
    for text, found in zip(texts, recognised(texts, between), strict=True):
        assert not found or is_plain(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"a":"b"}',
        b'{"a":1,"b":-2.5,"c":"d","e":0}',
        '{"größe":"weiß","":""}'.encode(),
        b'{"a:b":"c:d","e":"{},[]"}',
        b'{"nudge.step.id":1,"nudge.spot.id":2,"nudge.step.no":3}',
        b'{"a":"' + b"x" * 1023 + b'"}',
    ],
)
def test_usual_texts_are_recognised(text: bytes) -> None:
    """What nearly all events hold is recognised, or the exact mapping would have all the work."""
    assert recognised([text, text]) == [True, True]


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}",
        b'{"a":"b"} ',
        b'{"a":true}',
        b'{"a":12345678901234567}',
        b'{"a":"' + b"x" * 1024 + b'"}',
        b'{"a":"b","a":"c"}',
        b'{"a":{"b":"c"}}',
        b'{"end_user_properties.x":"y"}',
        b'{"a":"b","identity":"c"},{"d":"e"}',
    ],
)
def test_others_are_left_to_a_closer_look(text: bytes) -> None:
    """What is written otherwise, long, nested or forbidden is not, nor does it spoil neighbours."""
    assert recognised([text, b'{"a":"b"}', text]) == [False, True, False]
