"""Every block of README.md and of the documentation runs, or says why it does not."""

from __future__ import annotations

import json
import os
import tomllib
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final

import pytest
import yaml

from state.asking import Query
from state.folder import StateFolder
from state.replicas import open_replica
from tests.command import ROOT
from tests.docs.site import bare_site, running_site
from tests.docs.snippets import LANGUAGES, SNIPPETS, of_language

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from devstack.world import World
    from tests.docs.site import Site
    from tests.docs.snippets import Snippet

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
_SHELL: Final = of_language("sh")
_BARE: Final = {
    page for page, blocks in _SHELL.items() if any("dev up" in each.text for each in blocks)
}
"""Pages that bring a world of their own."""
_LAST: Final = ("docs/erasure.md", "docs/connecting.md")
"""Pages that take something away, in this order, after all others."""
_PARSERS: Final[dict[str, Callable[[str], object]]] = {
    "json": json.loads,
    "toml": tomllib.loads,
    "yaml": yaml.safe_load,
}


@pytest.fixture(scope="module")
def site(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """Give one installation to all pages."""
    folder = tmp_path_factory.mktemp("site")
    with running_site(world, f"docs{os.getpid()}-", folder) as running:
        (folder / "docs").symlink_to(ROOT / "docs")
        yield running


def _in_order(pages: set[str]) -> list[str]:
    return [*sorted(pages - set(_LAST)), *(page for page in _LAST if page in pages)]


def test_every_block_has_a_language_and_every_exception_a_reason() -> None:
    """Nothing is passed over in silence."""
    for each in SNIPPETS:
        assert each.language in LANGUAGES, f"{each}: say which language it is"
        assert each.marker_is_right, f"{each}: {each.marker}"
    assert sum(each.marker is not None for each in SNIPPETS) < len(SNIPPETS) / 8


@pytest.mark.parametrize(
    "snippet", [each for each in SNIPPETS if each.runs and each.language in _PARSERS], ids=str
)
def test_data_can_be_read(snippet: Snippet) -> None:
    """JSON, TOML and YAML are just that."""
    assert _PARSERS[snippet.language](snippet.text) is not None


@pytest.mark.parametrize("page", _in_order(set(_SHELL) - _BARE))
def test_commands_run(site: Site, page: str) -> None:
    """One after the other in one shell, each with success."""
    site.run_shell(_SHELL[page])


@pytest.mark.parametrize("page", sorted(_BARE))
def test_commands_run_from_the_beginning(tmp_path: Path, page: str) -> None:
    """On a machine where nothing of heapline runs yet."""
    machine = bare_site(tmp_path)
    try:
        machine.run_shell(_SHELL[page])
    finally:
        machine.stop_world()


@pytest.mark.parametrize("page", sorted(of_language("python")))
def test_python_runs(site: Site, page: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Block after block, as in one session."""
    for name, value in {**site.environment, "PATH": site.path}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(site.folder)
    names: dict[str, Any] = {"__name__": "__main__"}
    for each in of_language("python")[page]:
        code = compile("\n" * each.line + site.adapted(each.text), each.page, "exec")
        exec(code, names)  # noqa: S102 -- our own pages


@pytest.mark.parametrize(
    "notebook", sorted((ROOT / "docs").rglob("*.ipynb")), ids=attrgetter("name")
)
def test_a_notebook_runs(
    site: Site, notebook: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Cell after cell, without Jupyter; it says something, and is committed without outputs."""
    monkeypatch.setenv("PATH", site.path)
    for name, value in site.environment.items():
        monkeypatch.setenv(name, value)
    names: dict[str, Any] = {"__name__": "__main__"}
    for cell in json.loads(notebook.read_text("utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            assert not cell["outputs"]
            exec(compile("".join(cell["source"]), cell["id"], "exec"), names)  # noqa: S102 -- our own
    assert "Free customers" in capsys.readouterr().out


@pytest.mark.parametrize("page", sorted(of_language("sql")))
def test_sql_runs(site: Site, page: str) -> None:
    """On the analysts' copy."""
    for each in of_language("sql")[page]:
        with open_replica(StateFolder(site.folder / "state")) as replica:
            list(Query(replica, each.text).rows())
