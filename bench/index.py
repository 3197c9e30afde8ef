"""The membership index: answers while another process applies changes, changes, bytes, restarts."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any, Final

from bench.child import child
from bench.filled_index import USERS, filled_index
from bench.index_changes import batches, fastest
from bench.index_questions import Asked, Index, answer_times
from bench.index_rivals import held_by, rivals
from bench.installation import wait_until
from bench.report import Section, Spread, judged, table
from heapline.memberships import MembershipReader
from state.index_rows import without_rows

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.filled_index import Filled
    from bench.index_questions import Times

__all__ = ["USERS", "measure"]

_ASKED_USERS: Final = 200_000
_QUESTIONS: Final = 100_000
_ROUNDS: Final = 5
_KEYS: Final = 100_000
_RIVALS_QUESTIONS: Final = 500
_RIVALS_KEYS: Final = 10_000
_RESTARTS: Final = 7
_PAYLOADS: Final = 60
_A_PAYLOAD: Final = 10_000
_START_SECONDS: Final = 60.0
_TARGETS: Final = {
    "is_member": (2.0, 5.0),
    "segments_of": (2.0, 5.0),
    "batch_a_key": (0.3, None),
    "a_and_b_not_c": (500.0, None),
}
_NAMES: Final = {
    "is_member": "is_member",
    "segments_of": "segments_of",
    "batch_a_key": "batch, a key",
    "a_and_b_not_c": "A and B and not C, counted",
}


def measure(users: int = USERS) -> Section:
    """Write an index of so many users in 50 segments, and ask it; and others beside it.

    Raises:
        RuntimeError: a process failed, or a reader did not see a change.
    """
    with tempfile.TemporaryDirectory(prefix="heapline-bench-") as state:
        filled = filled_index(Path(state), users, asked=_ASKED_USERS)
        index = filled.state / "index"
        sizes = _sizes(index, filled)
        restart_seconds = [_restart(index, filled) for _ in range(_RESTARTS)]
        times, applied = _asked_while_it_changes(index, filled)
        others, others_rates = _rivals(filled)
        known = fastest(index, batches(filled.users, filled.segments, _A_PAYLOAD), _PAYLOADS)
        new = fastest(index, batches((), filled.segments, _A_PAYLOAD, new=True), _PAYLOADS)
    figures: dict[str, Any] = {
        "memberships": filled.memberships,
        "users": users,
        "answers": times,
        "beside": {
            who: {name: each.figures() for name, each in found.items()}
            for who, found in others.items()
        },
        "changes_per_second_beside": others_rates,
        "writer_meanwhile": applied,
        "restart_seconds": median(restart_seconds),
        "restart_spread_seconds": [min(restart_seconds), max(restart_seconds)],
        "bytes": sizes,
        "known_users": known,
        "new_users": new,
    }
    return section(figures)


def _restart(index: Path, filled: Filled) -> float:
    began = time.perf_counter()
    MembershipReader(index).is_member(filled.workspace, filled.users[0], filled.segments[0])
    return time.perf_counter() - began


def _sizes(index: Path, filled: Filled) -> dict[str, float]:
    base = MembershipReader(index).pinned().base
    container, memberships = base.container, filled.memberships
    beside = container.bytes_of("keys") - without_rows(base).words.nbytes  # with its padding
    rows = container.bytes_of("rows", "row_offsets") + beside
    dictionary = container.bytes_of("keys", "key_offsets", "key_slots") - beside
    return {
        "bitmaps_a_membership": container.bytes_of("bitmaps", "bitmap_offsets") / memberships,
        "user_to_segments_a_membership": rows / memberships,
        "entered_at_a_membership": container.bytes_of("moments", "row_moments") / memberships,
        "dictionary_a_user": dictionary / base.users,
        "file": float(container.size_bytes),
    }


def _asked_while_it_changes(index: Path, filled: Filled) -> tuple[dict[str, Any], dict[str, Any]]:
    reader = MembershipReader(index)
    before = reader.freshness.generation
    with child("bench.index_changes", str(index), env={}) as writer:
        patience = wait_until(_START_SECONDS, "the writer published nothing")
        while reader.freshness.generation == before:
            if writer.process.poll() is not None:
                raise RuntimeError(writer.errors())
            patience.pause()
        asked = Asked(filled.users, filled.segments, _QUESTIONS, _KEYS)
        rounds = [answer_times(Index(reader, filled.workspace), asked) for _ in range(_ROUNDS)]
        return spreads(rounds), writer.stop()


def spreads(rounds: Sequence[Mapping[str, Times]]) -> dict[str, dict[str, dict[str, float]]]:
    """Give the median of all rounds, and the extremes, for each kind of question."""
    each = {name: [found[name].figures() for found in rounds] for name in rounds[0]}
    return {
        name: {share: Spread.of([one[share] for one in found]).figures() for share in found[0]}
        for name, found in each.items()
    }


def _rivals(filled: Filled) -> tuple[dict[str, dict[str, Times]], dict[str, float]]:
    """Ask others the same, and let them take as many changes; give times, and changes a second."""
    asked = Asked(filled.users, held_by(filled), _RIVALS_QUESTIONS, _RIVALS_KEYS)
    times, rates = {}, {}
    for name, rival in rivals(filled):
        times[name] = answer_times(rival, asked)
        pairs = asked.pairs(_A_PAYLOAD)
        began = time.perf_counter()
        for enter in (True, False):
            rival.change(enter, pairs)
        rates[name] = 2 * len(pairs) / (time.perf_counter() - began)
    return times, rates


def section(figures: dict[str, Any]) -> Section:
    """Write the report."""
    beside, answers = figures["beside"], figures["answers"]
    rows: list[tuple[object, ...]] = [
        ("microseconds", "p50", "p99", "target", *(f"{name} p50" for name in beside))
    ]
    for name, title in _NAMES.items():
        each = answers[name]
        others = (f"{found[name]['p50_us']:,.1f}" for found in beside.values())
        rows.append((title, _of(each["p50_us"]), _of(each["p99_us"]), _said(name, each), *others))
    lines = [
        f"{figures['memberships']:,} memberships of {figures['users']:,} users; another process",
        f"applied {figures['writer_meanwhile']['effective_changes']:,} changes meanwhile.",
        f"Medians of {_ROUNDS} rounds (least-most). DuckDB (a table with a primary key) and Redis",
        "(where installed) hold a tenth, and rest.",
        "",
        *table(rows),
        "",
        f"the machine meanwhile: an empty call, by turns, p50 {_of(answers['empty']['p50_us'])}",
        *_other_lines(figures),
    ]
    return Section("index", lines, figures)


def _of(found: dict[str, float]) -> str:
    return f"{found['median']:,.2f} ({found['least']:,.2f}-{found['most']:,.2f})"


def _said(name: str, found: dict[str, dict[str, float]]) -> str:
    middle, high = _TARGETS[name]
    reached = judged(found["p50_us"]["median"], middle, at_most=True)
    if high is None:
        return f"{middle:g} {reached}"
    if reached == "PASS":
        reached = judged(found["p99_us"]["median"], high, at_most=True)
    return f"{middle:g}/{high:g} {reached}"


def _other_lines(figures: dict[str, Any]) -> list[str]:
    size, restart_ms = figures["bytes"], figures["restart_seconds"] * 1_000
    least, most = figures["restart_spread_seconds"]
    beside = figures["changes_per_second_beside"]
    rates = {each: figures[each]["changes_per_second"] for each in ("known_users", "new_users")}
    bitmaps, dictionary = size["bitmaps_a_membership"], size["dictionary_a_user"]
    return [
        (
            f"user ids to visible: {rates['known_users']:,.0f} changes/s of known users, "
            f"{rates['new_users']:,.0f} of new ones "
            f"(at least 200,000: {judged(min(rates.values()), 200_000)})"
        ),
        "beside it: "
        + ", ".join(f"{who} {rate:,.0f}" for who, rate in beside.items())
        + " changes/s of known users",
        (
            f"restart to first answer: {restart_ms:.1f} ms "
            f"({least * 1_000:.1f}-{most * 1_000:.1f}) "
            f"(at most 50: {judged(restart_ms, 50, at_most=True)})"
        ),
        (
            f"bytes a membership: bitmaps {bitmaps:.2f} "
            f"(at most 1: {judged(bitmaps, 1, at_most=True)}), user to segments "
            f"{size['user_to_segments_a_membership']:.2f}, times of entering "
            f"{size['entered_at_a_membership']:.2f}"
        ),
        (
            f"bytes a user: dictionary {dictionary:.1f} "
            f"(at most 70: {judged(dictionary, 70, at_most=True)})"
        ),
    ]
