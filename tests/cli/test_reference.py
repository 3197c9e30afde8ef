"""What is committed under `docs/reference/` is what the code says now."""

from __future__ import annotations

import pytest

from cli.main import MOUNTS
from cli.reference.__main__ import FOLDER, documents
from cli.setting_catalogue import catalogue

DOCUMENTS = documents()


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_reference_is_fresh(name: str) -> None:
    """Whoever changes a setting, a command, a metric or a route writes the reference anew."""
    committed = (FOLDER / name).read_text("utf-8")
    assert committed == DOCUMENTS[name], f"docs/reference/{name} is old: run `make reference`"


def test_nothing_is_left_out() -> None:
    """Every command and every setting has its place."""
    for mount in MOUNTS:
        assert f"## heapline {mount.name}\n" in DOCUMENTS["commands.md"]
    for setting in catalogue():
        assert f"`{setting.name}`" in DOCUMENTS["settings.md"]


def test_the_reference_tells_nothing_of_the_machine_it_was_made_on() -> None:
    """Defaults that are worked out are said to be."""
    assert "worked out on this machine" in DOCUMENTS["settings.md"]
    assert not any("/home/" in text or "/root/" in text for text in DOCUMENTS.values())
