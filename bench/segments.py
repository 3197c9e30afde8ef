"""Segments from Heap's webhook to a lookup: intake, delay, throughput, rebuild from nothing."""

from __future__ import annotations

import random
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import orjson

from bench.report import Section, Spread, judged, quantile
from bench.segment_site import WORKSPACE, SegmentSite, segment_site
from heapline.heap.membership_record import MembershipChange
from heapline.heap.segment_keys import memberships_partition, segment_key
from heapline.heap.segment_page import Action, SegmentPage
from heapline.kafka import topics
from heapline.kafka.position import Position
from heapline.words import SegmentId, UserId, Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator

    from confluent_kafka import Message, Producer

    from devstack.world import World

_PAGE_USERS: Final = 1_000
_PAGES_A_SECOND: Final = 50
_SENDERS: Final = 4
_BIG_PAGE_USERS: Final = 10_000
_ROUNDS: Final = 3
_SEGMENTS: Final = 50
_SEGMENTS_A_USER: Final = 10
_STRIDE: Final = 43
"""Has no divisor in common with the number of segments, so that every user is in as many."""
_PARTITIONS: Final = 12
_MS: Final = 1_000
_LONGEST_SECONDS: Final = 900.0
GOAL_CHANGES: Final = 100_000
TARGET_DELAY_SECONDS: Final = 1.0
TARGET_REBUILD_SECONDS: Final = 40.0


@dataclass(frozen=True, slots=True)
class Scale:
    """How much is measured.

    Attributes:
        intake_seconds: how long pages are sent at the required rate.
        delays: pages sent alone.
        pages: of 10,000 users, in a backlog.
        memberships: of the rebuild.
    """

    intake_seconds: int = 20
    delays: int = 200
    pages: int = 100
    memberships: int = 10_000_000


QUICK: Final = Scale(intake_seconds=4, delays=30, pages=20, memberships=300_000)


def measure(world: World, scale: Scale) -> Section:
    """Run all roles beside broker and sender, then build a store from nothing.

    Raises:
        RuntimeError, TimeoutError: a page was lost, or did not become visible.
    """
    lines: list[str] = []
    figures: dict[str, Any] = {}
    with (
        segment_site(world) as site,
        site.role("serve", "--only", "webhook"),
        site.role("apply-syncs"),
        site.role("materialize"),
    ):
        site.wait_visible(site.post_patiently("warm", ["nobody"]))
        _add(_delay(site, scale.delays), lines, figures)
        _add(_intake(site, scale.intake_seconds), lines, figures)
        _add(_throughput(site, scale.pages), lines, figures)
    with segment_site(world) as site:
        _add(_rebuild(site, scale.memberships), lines, figures)
    return Section("segments", lines, figures)


Part = tuple[str, dict[str, Any]]


def _add(part: Part, lines: list[str], figures: dict[str, Any]) -> None:
    line, found = part
    lines.append(line)
    figures.update(found)


def _delay(site: SegmentSite, pages: int) -> Part:
    """Send small pages one at a time; from the answer until it can be looked up."""
    delays = []
    for number in range(pages):
        time.sleep(0.02 + 0.01 * (number % 7))  # not in step with any loop
        position = site.post_patiently("alone", [f"user-{number}-{n}" for n in range(10)])
        answered = time.monotonic()
        delays.append(site.wait_visible(position) - answered)
    p50, p99 = quantile(delays, 0.5), quantile(delays, 0.99)
    verdict = judged(p99, TARGET_DELAY_SECONDS, at_most=True)
    line = (
        f"from webhook 200 to visible: p50 {p50 * _MS:.0f} ms, p99 {p99 * _MS:.0f} ms "
        f"(target p99 {TARGET_DELAY_SECONDS * _MS:.0f} ms: {verdict})"
    )
    return line, {"delay_p50_seconds": p50, "delay_p99_seconds": p99}


def _intake(site: SegmentSite, seconds: int) -> Part:
    """Send pages at the required rate; none may be refused or lost."""
    count = seconds * _PAGES_A_SECOND
    began = time.monotonic()

    def send(number: int) -> tuple[Position, float]:
        time.sleep(max(0.0, began + number / _PAGES_A_SECOND - time.monotonic()))
        users = [f"{number:06d}-{n:06d}" for n in range(_PAGE_USERS)]
        sent = time.monotonic()
        position = site.post(f"intake-{number % 5}", users)
        if position is None:
            raise RuntimeError("a page was not taken")
        return position, time.monotonic() - sent

    with ThreadPoolExecutor(_SENDERS) as senders:
        sent = list(senders.map(send, range(count)))
    positions, answers = [each for each, _ in sent], [each for _, each in sent]
    rate = count / (time.monotonic() - began)
    visible = max(map(site.wait_visible, positions)) - began
    found = sum(site.count(f"intake-{n}") for n in range(5))
    if found != count * _PAGE_USERS:
        raise RuntimeError(f"{count * _PAGE_USERS - found} users were lost on the way")
    verdict = judged(rate, 0.98 * _PAGES_A_SECOND)
    line = (
        f"intake of pages of {_PAGE_USERS:,} users: {rate:.1f} a second (target "
        f"{_PAGES_A_SECOND}: {verdict}), answered in p50 {quantile(answers, 0.5) * _MS:.0f} ms, "
        f"p99 {quantile(answers, 0.99) * _MS:.0f} ms; all visible {visible - seconds:.1f} s after "
        "the last"
    )
    return line, {
        "intake_pages_per_second": rate,
        "intake_p99_seconds": quantile(answers, 0.99),
        "intake_visible_after_seconds": visible - seconds,
    }


def _throughput(site: SegmentSite, pages: int) -> Part:
    """Put a backlog of pages into the topic, some times; until all of it can be looked up."""
    spread = Spread.of([_backlog(site, f"backlog-{number}", pages) for number in range(_ROUNDS)])
    line = (
        f"from the topic of pages to visible: {spread} changes/s (goal {GOAL_CHANGES:,}: "
        f"{judged(spread.middle, GOAL_CHANGES)})"
    )
    return line, {"changes_per_second": spread.middle, "changes_per_second_of": spread.figures()}


def _backlog(site: SegmentSite, segment: str, pages: int) -> float:
    encoder, producer = site.encoder(topics.SEGMENT_PAGES), site.producer()
    values = [encoder.encode(_page(segment, number).to_record()) for number in range(pages)]
    last: list[Position] = []

    def delivered(error: object, message: Message) -> None:
        assert error is None, error
        place = message.partition() or 0, message.offset() or 0
        last[:] = [Position.of(*place, WORKSPACE, segment)]

    began = time.monotonic()
    for value in values:
        producer.produce(
            site.names.topic(topics.SEGMENT_PAGES),
            key=segment_key(Workspace(WORKSPACE), SegmentId(segment)),
            value=value,
            on_delivery=delivered,
        )
    producer.flush(60)
    seconds = site.wait_visible(last[0]) - began
    if site.count(segment) != pages * _BIG_PAGE_USERS:
        raise RuntimeError("users of the backlog are missing")
    return pages * _BIG_PAGE_USERS / seconds


def _page(segment: str, number: int) -> SegmentPage:
    first = number * _BIG_PAGE_USERS
    return SegmentPage(
        Workspace(WORKSPACE),
        SegmentId(segment),
        Action.SYNC,
        digest=number,
        received_at_ms=time.time_ns() // 1_000_000,
        sync_task_id=f"{segment}-{number // 50}",
        page_number=number % 50 + 1,
        total_pages=50,
        add=tuple(UserId(f"{segment}-{first + n}") for n in range(_BIG_PAGE_USERS)),
    )


def _rebuild(site: SegmentSite, memberships: int) -> Part:
    """Fill the memberships topic, and build a store and an index from it."""
    _fill(site, memberships)
    began = time.monotonic()
    with site.role("materialize", "--until-caught-up", "--json") as running:
        totals = running.result(_LONGEST_SECONDS)
    seconds = time.monotonic() - began
    if totals["changes"] != memberships:
        raise RuntimeError(f"{totals['changes']} of {memberships} memberships arrived")
    store = (site.state / "heapline.duckdb").stat().st_size
    index = sum(path.stat().st_size for path in (site.state / "index").glob("base-*.index"))
    target = TARGET_REBUILD_SECONDS * memberships / Scale().memberships
    line = (
        f"rebuild of {memberships:,} memberships from the topic: {seconds:.1f} s (target "
        f"{target:.1f} s: {judged(seconds, target, at_most=True)}), "
        f"{memberships / seconds:,.0f} a second; store {store / memberships:.1f} bytes a "
        f"membership, index with users {index / memberships:.1f}"
    )
    return line, {
        "rebuild_seconds": seconds,
        "rebuild_memberships": memberships,
        "store_bytes": store,
        "index_bytes": index,
    }


def _fill(site: SegmentSite, memberships: int) -> None:
    producer, encoder = site.producer(), site.encoder(topics.MEMBERSHIPS)
    topic, workspace = site.names.topic(topics.MEMBERSHIPS), Workspace(WORKSPACE)
    partition = memberships_partition(workspace, _PARTITIONS)
    value = encoder.encode({"entered_at": 1_790_000_000_000, "sync_task_id": "sync-1"})
    for number, (key, headers) in enumerate(_members(workspace, memberships), 1):
        while True:
            try:
                producer.produce(topic, key=key, value=value, headers=headers, partition=partition)
                break
            except BufferError:
                producer.poll(0.05)
        if number % 10_000 == 0:
            producer.poll(0)
    _flush(producer)


def _members(
    workspace: Workspace, memberships: int
) -> Iterator[tuple[bytes, list[tuple[str, str | bytes | None]]]]:
    """Give memberships as the first sync of each segment writes them: in pages of one segment."""
    users = max(1, memberships // _SEGMENTS_A_USER)
    ids = [
        str(uuid.UUID(int=(n * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128)) for n in range(users)
    ]
    change = MembershipChange(
        workspace, UserId(""), SegmentId(""), enters=True, at_ms=1_790_000_000_000, sync="sync-1"
    )
    plain: list[tuple[str, str | bytes | None]] = [*change.headers()]
    last = [*plain, ("heapline-page-end", b"")]
    for segment in range(_SEGMENTS):
        members = [
            ids[n] for n in range(users) if (segment - n) * _STRIDE % _SEGMENTS < _SEGMENTS_A_USER
        ]
        random.Random(segment).shuffle(members)
        for number, user in enumerate(members, 1):
            end = number % _BIG_PAGE_USERS == 0 or number == len(members)
            yield orjson.dumps((workspace, user, f"segment-{segment}")), last if end else plain


def _flush(producer: Producer) -> None:
    if producer.flush(300):
        raise TimeoutError("the broker did not take the memberships in time")
