from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from cli.output import masked, print_table, without_credentials

if TYPE_CHECKING:
    import pytest


@given(st.text(min_size=5))
def test_a_masked_secret_tells_at_most_its_end(secret: str) -> None:
    """Short ones nothing at all, long ones four characters."""
    shown = masked(secret) or ""
    assert shown == "********" + (secret[-4:] if len(secret) >= 16 else "")


def test_no_secret_is_shown_as_none() -> None:
    """Nothing set is something to see."""
    assert masked(None) is None


def test_credentials_in_addresses_are_hidden() -> None:
    """And nothing else of the address."""
    assert without_credentials("http://me:hush@h:1/p?q=a@b") == "http://********@h:1/p?q=a@b"
    assert without_credentials("http://h:1/a@b") == "http://h:1/a@b"
    assert without_credentials("h1:9092,h2:9092") == "h1:9092,h2:9092"


def test_tables_align_and_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters are written out, absent values are empty."""
    print_table(("name", "value"), [("a\x1b[31m", 1), ("bb", None)])
    assert capsys.readouterr().out.splitlines() == [
        "NAME       VALUE",
        "a\\x1b[31m  1",
        "bb",
    ]
