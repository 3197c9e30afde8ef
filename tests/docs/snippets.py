"""The fenced blocks of README.md and the documentation.

Every block has a language. A block that is not run says so in the line before it, with a reason:

    <!-- snippet: not run: it asks for your Heap account -->
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.command import ROOT

if TYPE_CHECKING:
    from pathlib import Path

LANGUAGES: Final = {"sh", "python", "sql", "json", "toml", "yaml", "text"}
"""Of them, `text` is what a person reads: a drawing, what a command printed."""
_BLOCK: Final = re.compile(
    r"(?:^ *<!-- snippet: (?P<marker>[^\n]*?) -->\n)?^ *```(?P<language>\w*)\n(?P<text>.*?)^ *```$",
    re.DOTALL | re.MULTILINE,
)
_NOT_RUN: Final = re.compile(r"not run: (?P<reason>.{10,})")


@dataclass(frozen=True, slots=True)
class Snippet:
    """One block.

    Attributes:
        page: its file, from the top of the project.
        line: where it begins.
        language: as fenced.
        text: what is in it.
        marker: what the line before says, or None.
    """

    page: str
    line: int
    language: str
    text: str
    marker: str | None

    @property
    def runs(self) -> bool:
        """Whether it is run, or at least parsed."""
        return self.marker is None and self.language != "text"

    @property
    def marker_is_right(self) -> bool:
        """Whether a marker, if any, is one that is known, with a reason."""
        return self.marker is None or _NOT_RUN.fullmatch(self.marker) is not None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def pages() -> list[Path]:
    """Give every page: README.md and the documentation, without what is made from code."""
    made = ROOT / "docs" / "reference"
    found = sorted(path for path in (ROOT / "docs").rglob("*.md") if made not in path.parents)
    return [ROOT / "README.md", *found]


def snippets_of(page: Path) -> list[Snippet]:
    """Give the blocks of a page, in order."""
    text = page.read_text("utf-8")
    return [
        Snippet(
            str(page.relative_to(ROOT)),
            text.count("\n", 0, found.start("language")) + 1,
            found["language"],
            found["text"],
            found["marker"],
        )
        for found in _BLOCK.finditer(text)
    ]


SNIPPETS: Final = [each for page in pages() for each in snippets_of(page)]


def of_language(*languages: str) -> dict[str, list[Snippet]]:
    """Give the blocks to run, by page."""
    found: dict[str, list[Snippet]] = {}
    for each in SNIPPETS:
        if each.runs and each.language in languages:
            found.setdefault(each.page, []).append(each)
    return found
