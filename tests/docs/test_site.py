"""The documentation is a site without a warning, a dead link, or anything from other hosts."""

from __future__ import annotations

import re
import subprocess
import sys
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree as ET

import pytest

from tests.command import ROOT

if TYPE_CHECKING:
    from pathlib import Path

_MARKDOWN_LINK: Final = re.compile(r"\]\(([^)\s]+)\)")
_PARAGRAPH: Final = re.compile(r"<p>(.*?)</p>", re.DOTALL)
_LEFT_OVER: Final = re.compile(r"```|^(- |\* |\d+\. |\|)", re.MULTILINE)
_LOADING: Final = {"img", "script", "link", "iframe", "source", "video", "audio", "object"}


class Page(HTMLParser):
    """What one page names, points at, and loads."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep its id and where it leads."""
        for name, value in attrs:
            if value and name in {"id", "name"}:
                self.anchors.add(value)
            if value and name in {"href", "src", "data", "srcset"}:
                (self.loaded if tag in _LOADING else self.links).append(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the site; a warning is an error."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr
    return folder


@pytest.fixture(scope="module")
def pages(site: Path) -> dict[Path, Page]:
    """Read every page of the site; the one for addresses that are not there stands for itself."""
    found = {path: Page(path.read_text("utf-8")) for path in site.rglob("*.html")}
    found.pop(site / "404.html")
    assert len(found) > 20
    return found


def test_every_link_leads_somewhere(pages: dict[Path, Page]) -> None:
    """Pages, files, and places within pages."""
    dead = []
    for path, page in pages.items():
        for link in [*page.links, *page.loaded]:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            known = pages[target].anchors if target in pages else set()
            if not target.is_file() or (
                parts.fragment and target in pages and unquote(parts.fragment) not in known
            ):
                dead.append(f"{path.name}: {link}")
    assert not dead


def test_nothing_is_loaded_from_other_hosts(site: Path, pages: dict[Path, Page]) -> None:
    """The site can be read on a machine without a network."""
    for path, page in pages.items():
        foreign = [each for each in page.loaded if re.match(r"(https?:)?//", each)]
        assert not foreign, path.name
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\s*['\"]?(https?:)?//", style.read_text("utf-8"))


def test_every_page_can_be_reached_from_the_menu(pages: dict[Path, Page], site: Path) -> None:
    """None is left out of the navigation of the first page."""
    first = site / "index.html"
    reached = {(first.parent / urlsplit(link).path).resolve() for link in pages[first].links}
    missing = {path.name for path in pages if path not in reached} - {"index.html"}
    assert not missing


def test_drawings_stand_alone() -> None:
    """They are well-formed, say in words what they show, and refer to nothing outside."""
    drawings = list((ROOT / "docs").rglob("*.svg"))
    assert drawings
    for drawing in drawings:
        names = {each.tag.rpartition("}")[2] for each in ET.parse(drawing).iter()}  # noqa: S314 -- our own
        assert {"title", "desc"} <= names
        text = drawing.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|<script|@import|<image", text)


def test_blocks_and_lists_are_read_as_such(site: Path) -> None:
    """No fence, table row or list item is left standing in a paragraph."""
    for path in site.rglob("*.html"):
        for paragraph in _PARAGRAPH.findall(path.read_text("utf-8")):
            assert not _LEFT_OVER.search(paragraph), f"{path.name}: {paragraph[:200]}"


def test_links_of_the_readme_lead_to_files() -> None:
    """And so does the changelog, which is no part of the site."""
    for name in ("README.md", "CHANGELOG.md"):
        for link in _MARKDOWN_LINK.findall((ROOT / name).read_text("utf-8")):
            parts = urlsplit(link)
            if not parts.scheme:
                assert (ROOT / unquote(parts.path)).exists(), f"{name}: {link}"
