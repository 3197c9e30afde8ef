from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from cli.output import masked, print_findings, print_table, without_credentials
from cli.plain_text import reflowed
from operations.findings import Finding

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


def test_one_fix_for_several_findings_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the same command mends what follows, too."""
    missing = [Finding(topic, "does not exist", "run this") for topic in ("a", "b")]
    print_findings([*missing, Finding("c", "has too few", "think")])
    assert capsys.readouterr().out.splitlines() == [
        "a: does not exist",
        "b: does not exist",
        "    run this",
        "c: has too few",
        "    think",
    ]


def test_help_breaks_its_lines_where_the_terminal_ends() -> None:
    """Paragraphs stay, the docstring's own line ends do not."""
    assert reflowed("One\n    two.\n\n    Three\n    four.\n") == "One two.\n\nThree four."
