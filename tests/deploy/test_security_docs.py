"""The security page's settings are settings."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from heapline.settings import Settings

_PAGE: Final = Path(__file__).parents[2] / "docs" / "security.md"
_EXAMPLES: Final = re.findall(r"```sh\n(.*?)```", _PAGE.read_text("utf-8"), re.DOTALL)


@pytest.mark.parametrize("example", _EXAMPLES, ids=lambda text: text.splitlines()[0].strip("# "))
def test_the_example_is_accepted(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every setting of an example reaches librdkafka, under the name it has there."""
    given = dict(line.split("=", 1) for line in example.splitlines() if line.startswith("HEAPLINE"))
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    security = Settings(_env_file=None).kafka.security()
    wanted = {
        name.removeprefix("HEAPLINE_KAFKA__").lower().replace("_", "."): value
        for name, value in given.items()
        if not name.endswith("BOOTSTRAP_SERVERS")
    }
    assert wanted
    assert security == wanted
