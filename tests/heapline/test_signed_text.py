from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heapline.signed_text import Expired, NotSigned, Signer

SIGNER = Signer(b"secret", "purpose")


@given(st.dictionaries(st.text(min_size=1).filter("exp_ms".__ne__), st.text()))
def test_what_was_signed_is_read(content: dict[str, str]) -> None:
    """Any texts, until the last millisecond."""
    assert SIGNER.read(SIGNER.sign(content, 10), 9) == content


def test_its_time_ends() -> None:
    """At the time itself."""
    with pytest.raises(Expired):
        SIGNER.read(SIGNER.sign({"a": "b"}, 10), 10)


@given(st.text())
def test_nothing_else_is_read(text: str) -> None:
    """Whatever it looks like."""
    with pytest.raises(NotSigned):
        SIGNER.read(text, 0)


@given(st.integers(min_value=0), st.characters())
def test_a_changed_text_is_not_read(place: int, character: str) -> None:
    """Not one character of it."""
    text = SIGNER.sign({"workspace": "acme"}, 10)
    place %= len(text)
    changed = text[:place] + character + text[place + 1 :]
    if changed != text:
        with pytest.raises(NotSigned):
            SIGNER.read(changed, 0)


@pytest.mark.parametrize("other", [Signer(b"secret", "other"), Signer(b"other", "purpose")])
def test_another_purpose_or_secret_reads_nothing(other: Signer) -> None:
    """A text for one page is no key to another."""
    with pytest.raises(NotSigned):
        other.read(SIGNER.sign({}, 10), 0)
