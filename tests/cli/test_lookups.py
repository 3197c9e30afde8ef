from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from cli.freshness import age_text
from cli.main import run
from tests.small_index import write_index
from tests.web.lookup_site import EMOJI, MEMBERS, NOW, NOW_MS, ROWS

if TYPE_CHECKING:
    from pathlib import Path

IN_8 = {"type": "CONDITION", "condition": {"type": "heap", "operator": "is", "value": 8}}
ELSEWHERE = {"type": "CONDITION", "condition": {"type": "url", "operator": "is", "value": "/"}}


@dataclass(frozen=True, slots=True)
class Done:
    """What one command line came to."""

    code: int
    out: str
    err: str

    def json(self) -> dict[str, Any]:
        """Read the JSON it printed."""
        assert self.code == 0, self.err
        found: dict[str, Any] = json.loads(self.out)
        return found


class Command:
    """Runs `heapline` in this process, over an index of two workspaces."""

    def __init__(
        self, folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.folder = folder
        self._capsys = capsys
        monkeypatch.setenv("HEAPLINE_STATE__DIRECTORY", str(folder))
        monkeypatch.setenv("HEAPLINE_WORKSPACE", "acme")
        monkeypatch.chdir(folder)

    def __call__(self, *arguments: str) -> Done:
        """Run one command line."""
        code = run(arguments)
        out, err = self._capsys.readouterr()
        return Done(code, out, err)


@pytest.fixture
def heapline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """The command, with `acme` as its default workspace."""
    write_index(tmp_path / "index", ROWS, MEMBERS, as_of_ms=NOW_MS)
    return Command(tmp_path, capsys, monkeypatch)


def test_segments_are_listed(heapline: Command) -> None:
    """In a table, with their size and age, and with the doubtful ones explained."""
    done = heapline("segments")
    assert done.code == 0
    lines = done.out.splitlines()
    assert lines[0].split()[:3] == ["ID", "NAME", "MEMBERS"]
    assert lines[1].split() == [
        *("7", "Free", "customers", "8", "complete", "recurring"),
        *(NOW, "no"),
    ]
    assert len(lines) == 5
    assert "Old news: no news since" in done.err
    assert "Half: a part of its last sync is missing" in done.err
    assert "made" in done.err
    assert NOW in done.err


def test_segments_as_json_are_those_of_the_api(heapline: Command) -> None:
    """With the index's age."""
    found = heapline("segments", "--json").json()
    assert [row["id"] for row in found["segments"]] == ["7", "8", "9", EMOJI]
    assert found["workspace"] == "acme"
    assert found["freshness"] == {"generation": 1, "as_of": NOW}


@pytest.mark.parametrize("named", ["9", "Half"])
def test_one_segment_by_its_id_or_its_name(heapline: Command, named: str) -> None:
    """With why it is doubtful and what to do."""
    done = heapline("segments", named)
    assert done.code == 0
    assert "Half" in done.out
    assert "turn its sync off in Heap" in done.out
    assert heapline("segments", named, "--json").json()["segment"]["id"] == "9"


def test_members_of_a_segment_one_a_line(heapline: Command) -> None:
    """None of them steers the terminal."""
    done = heapline("segments", "7", "--members")
    assert done.code == 0
    assert done.out.splitlines()[:3] == ["u1", "u2", "u3"]
    assert "line\\nbreak" in done.out.splitlines()
    found = heapline("segments", "7", "--members", "--json").json()
    assert found["members"] == MEMBERS["acme", "7"]


def test_a_segment_that_is_not_there(heapline: Command) -> None:
    """Words, and no traceback."""
    done = heapline("segments", "404")
    assert done.code == 1
    assert "turn its sync on in Heap" in done.err
    assert heapline("segments", "--members").code == 2


def test_several_segments_of_one_name(heapline: Command) -> None:
    """The ids are listed to choose from."""
    rows = [*ROWS, type(ROWS[0])("acme", "10", "Half")]
    write_index(heapline.folder / "index", rows, MEMBERS, 2)
    done = heapline("segments", "Half")
    assert done.code == 1
    assert "9, 10" in done.err


def test_which_segments_a_user_is_in(heapline: Command) -> None:
    """With the doubtful ones marked."""
    done = heapline("lookup", "u1")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == ["ID", "7", "8", EMOJI]
    found = heapline("lookup", "u1", "--json").json()
    assert [row["id"] for row in found["segments"]] == ["7", "8", EMOJI]
    assert found["doubtful"] == ["8", "9"]


def test_a_user_never_seen(heapline: Command) -> None:
    """Is in no segment, and that is no error."""
    done = heapline("lookup", "no\x1bbody")
    assert done.code == 0
    assert done.out == "no\\x1bbody is in no segment of acme.\n"
    assert heapline("lookup", "nobody", "--json").json()["segments"] == []


def test_an_id_that_is_not_utf8(heapline: Command) -> None:
    """Bytes of another encoding in the command line are a mistake, not a crash."""
    assert heapline("lookup", "caf\udce9").code == 2
    assert heapline("audience", "evaluate", json.dumps(IN_8), "caf\udce9", "--json").code == 2


def test_an_audience_from_a_file_and_from_the_command_line(heapline: Command) -> None:
    """The result of each user, and what is left to know."""
    audience = json.dumps({"type": "AND", "exprs": [IN_8, ELSEWHERE]})
    (heapline.folder / "tour.json").write_text(audience, "utf-8")
    for given in ("tour.json", audience):
        done = heapline("audience", "evaluate", given, "u1", "u2")
        assert done.code == 0
        rows = [line.split() for line in done.out.splitlines()[1:]]
        assert rows == [["u1", "undecided", "url"], ["u2", "no_match", "-"]]
        assert "Old news" in done.err
        found = heapline("audience", "evaluate", given, "u1", "--json").json()
        assert found["results"][0]["unresolved"][0]["type"] == "url"


def test_an_audience_is_counted(heapline: Command) -> None:
    """Who matches, who does not, who is undecided."""
    done = heapline("audience", "count", json.dumps(IN_8))
    assert done.out.splitlines()[1].split() == ["1", "7", "0", "-"]
    assert heapline("audience", "count", json.dumps(IN_8), "--json").json()["match"] == 1


def test_members_of_an_audience_one_a_line(heapline: Command) -> None:
    """Those who match; exit code 3 where some are undecided and left out."""
    done = heapline("audience", "members", json.dumps(IN_8))
    assert (done.code, done.out) == (0, "u1\n")
    either = json.dumps({"type": "OR", "exprs": [IN_8, ELSEWHERE]})
    done = heapline("audience", "members", either)
    assert (done.code, done.out) == (3, "u1\n")
    assert "7 users are undecided and left out; left to know: url" in done.err
    done = heapline("audience", "members", either, "--json")
    assert done.code == 3
    assert json.loads(done.out)["members"] == ["u1"]


@pytest.mark.parametrize("given", ["{", "[]", "no-such-file.json", '{"type": "everybody"}', "."])
def test_an_audience_that_cannot_be_read(heapline: Command, given: str) -> None:
    """A mistake of the caller, told in words."""
    (heapline.folder / "[]").write_text("[]", "utf-8")
    for verb in ("count", "members"):
        done = heapline("audience", verb, given)
        assert done.code == 2
        assert "AUDIENCE" in done.err


def test_the_workspace_may_be_left_out_when_there_is_one(
    heapline: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With several, all are named; with none, the way to see connections."""
    monkeypatch.delenv("HEAPLINE_WORKSPACE")
    several = heapline("segments")
    assert several.code == 2
    assert "acme, globex" in several.err
    assert heapline("segments", "--workspace", "globex", "--json").json()["workspace"] == "globex"
    unknown = heapline("segments", "--workspace", "initech")
    assert (unknown.code, "initech" in unknown.err) == (1, True)
    write_index(heapline.folder / "index", ROWS[:1], MEMBERS, 2)
    assert heapline("lookup", "u1", "--json").json()["workspace"] == "acme"
    write_index(heapline.folder / "index", [], {}, 3)
    none = heapline("lookup", "u1")
    assert none.code == 2
    assert "no workspace has synced a segment yet" in none.err


def test_without_an_index_the_message_says_what_to_do(
    heapline: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever command it is."""
    monkeypatch.setenv("HEAPLINE_STATE__DIRECTORY", "nowhere")
    for arguments in (["segments"], ["lookup", "u"], ["audience", "count", json.dumps(IN_8)]):
        done = heapline(*arguments)
        assert done.code == 1
        assert "heapline materialize" in done.err


@pytest.mark.parametrize(
    ("age_ms", "text"),
    [(-5, "0 s"), (999, "0 s"), (61_000, "1 min"), (7_200_000, "2 h"), (200_000_000, "2 d")],
)
def test_ages_are_told_in_their_largest_unit(age_ms: int, text: str) -> None:
    """A clock that is behind makes nothing older than new."""
    assert age_text(age_ms) == text
