"""What docs/targeting.md tells the targeting service is true, and its example runs."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import httpx

from heapline.memberships import SegmentRow
from tests.command import clean_environment
from tests.small_index import write_index

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCS: Final = Path(__file__).resolve().parents[2] / "docs"
PAGE: Final = (DOCS / "targeting.md").read_text(encoding="utf-8")
EXAMPLE: Final = DOCS / "examples" / "targeting_service.py"
ROWS: Final = (
    SegmentRow("acme", "7", "Free customers", "complete", "recurring"),
    SegmentRow("acme", "8", "Power users", "partial", "recurring"),
    SegmentRow("acme", "9", "Signed up this month", "complete", "recurring"),
)
MEMBERS: Final = {
    ("acme", "7"): ["u-1", "u-2"],
    ("acme", "8"): ["u-2"],
    ("acme", "9"): ["u-2", "u-3"],
}


@contextmanager
def running(*arguments: str) -> Iterator[str]:
    """Run the example on a free port; give its address."""
    with subprocess.Popen(
        [sys.executable, str(EXAMPLE), "--port", "0", *arguments],
        env=clean_environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("targeting on "), line
            yield line.split()[-1]
        finally:
            process.send_signal(signal.SIGKILL)


def asked(url: str, user: str) -> dict[str, Any]:
    """Ask what a user sees."""
    answer = httpx.get(f"{url}/experiences", params={"user": user}, timeout=30)
    assert answer.status_code == 200
    found: dict[str, Any] = answer.json()
    return found


def test_the_example_targets_by_segment_name(tmp_path: Path) -> None:
    """One product tour and one checklist; who enters a segment is shown them without a restart."""
    write_index(tmp_path / "index", ROWS, MEMBERS)
    with running("--workspace", "acme", "--state", str(tmp_path)) as url:
        shown = {
            user: [each["kind"] for each in asked(url, user)["show"]]
            for user in ("u-1", "u-2", "u-3", "nobody")
        }
        assert shown == {
            "u-1": ["product_tour"],
            "u-2": ["product_tour"],
            "u-3": ["checklist"],
            "nobody": [],
        }
        assert asked(url, "u-3")["show"][0]["doubtful"] == ["8"]
        write_index(tmp_path / "index", ROWS[:1], {("acme", "7"): ["nobody", "u-3"]}, 2)
        deadline = time.monotonic() + 60
        while (found := asked(url, "nobody"))["show"] == []:
            assert time.monotonic() < deadline
        assert [each["name"] for each in found["show"]] == ["Tour of the reports"]
        left = asked(url, "u-3")["undecided"][0]["left_to_know"]
        assert left == [
            "unknown_segment: Signed up this month",
            "unknown_segment: Power users",
        ]
        assert httpx.get(f"{url}/nothing").status_code == 404


def test_the_example_without_an_index_says_what_to_do(tmp_path: Path) -> None:
    """And ends."""
    done = subprocess.run(
        [sys.executable, str(EXAMPLE), "--workspace", "acme", "--state", str(tmp_path)],
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert "heapline materialize" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_page_shows_what_the_example_answers(tmp_path: Path) -> None:
    """Field by field."""
    (shown,) = re.findall(r"^```json\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    write_index(tmp_path / "index", ROWS, MEMBERS)
    with running("--workspace", "acme", "--state", str(tmp_path)) as url:
        assert asked(url, "u-1") == json.loads(shown)


def test_python_on_the_page_runs(tmp_path: Path) -> None:
    """Block after block, over a real index, with the answers it tells."""
    write_index(tmp_path / "index", ROWS, MEMBERS)
    blocks = re.findall(r"^```python\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
    assert len(blocks) == 3
    names: dict[str, Any] = {}
    for block in blocks:
        code = block.replace("/var/lib/heapline/index", str(tmp_path / "index"))
        exec(compile(code, "docs/targeting.md", "exec"), names)  # noqa: S102 -- our own page
    reader = names["reader"]
    assert reader.memberships_of("acme", "u-1") == [("7", 1_769_851_800_000)]
    assert reader.check("acme", [("u-1", "7"), ("u-2", "404")]) == [True, None]
    assert (len(names["free"] & names["power"]), len(names["free"] - names["power"])) == (1, 1)
    assert names["answer"].result == "match"
