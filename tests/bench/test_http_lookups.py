from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench.filled_index import filled_index
from bench.http_lookups import QUESTIONS, asked
from bench.lookup_client import whole
from heapline.memberships import MembershipReader

if TYPE_CHECKING:
    from pathlib import Path


def test_an_index_of_the_size_asked_for(tmp_path: Path) -> None:
    """About a fifth of all users in each segment, and all of them counted."""
    filled = filled_index(tmp_path, users=500, segments=4)
    view = MembershipReader(tmp_path / "index").pinned()
    sizes = [view.count("acme", segment) for segment in filled.segments]
    assert sum(sizes) == filled.memberships
    assert all(50 < size < 150 for size in sizes)
    assert len(set(filled.users)) == 500


def test_an_answer_is_whole_with_its_last_byte() -> None:
    """However it is cut; and one that is no 200 ends the measurement."""
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
    assert [whole(bytearray(answer[:end])) for end in range(len(answer) + 1)] == [
        *[False] * len(answer),
        True,
    ]
    with pytest.raises(RuntimeError, match="404"):
        whole(bytearray(b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"))


@pytest.mark.slow
def test_a_tiny_round(tmp_path: Path) -> None:
    """Every question is asked of a real server, and the report tells of each."""
    section = asked(filled_index(tmp_path, users=200, segments=5), requests=80)
    for name in QUESTIONS:
        assert section.figures[name]["at_once"]["per_second"] > 0
        assert section.figures[name]["alone"]["p99_seconds"] > 0
        assert name in section.text()
