"""The demo's other half: from Heap's segments to an audience, as a customer and a service see it.

heapline runs in a process of its own (`heapline run`); Heap is played by the simulator. The demo
connects as a person does in a browser, lets Heap sync, and asks what a targeting service and an
analyst would ask.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import orjson

from devstack.browser import allow
from devstack.demo.cast import AURORA
from devstack.demo.service import running_service
from devstack.heap_simulator import SimulatorClient, SyncOptions
from heapline.errors import MustStop
from heapline.memberships import MembershipReader

if TYPE_CHECKING:
    from pathlib import Path

    from devstack.demo.place import Place
    from devstack.demo.service import Page, Service
    from devstack.demo.steps import Steps
    from devstack.heap_simulator.partner_client import Sent

WORKSPACE: Final = AURORA.workspace
ENVIRONMENT: Final = str(AURORA.app_id)
_VISIBLE_SECONDS: Final = 60.0
_OK: Final = 200


@dataclass(frozen=True, slots=True)
class Planned:
    """A segment of the demo: who is in, by number, and how Heap syncs it."""

    segment_id: str
    name: str
    first: int
    count: int
    every_seconds: float | None


PAYING: Final = Planned("8101", "Paying customers", 0, 30_000, 4 * 3_600)
NEW: Final = Planned("8102", "Signed up this week", 25_000, 15_000, 4 * 3_600)
AT_RISK: Final = Planned("8103", "At risk of leaving", 20_000, 30_000, 4 * 3_600)
CAMPAIGN: Final = Planned("8104", "Spring campaign", 0, 5_000, None)
SEGMENTS: Final = (PAYING, NEW, AT_RISK, CAMPAIGN)
USERS: Final = 50_000
AUDIENCE: Final = {
    "type": "rule_expression",
    "expression": {
        "type": "AND",
        "exprs": [
            {
                "type": "CONDITION",
                "condition": {"type": "heap", "operator": "is", "value": PAYING.segment_id},
            },
            {
                "type": "CONDITION",
                "condition": {"type": "heap", "operator": "isNot", "value": NEW.segment_id},
            },
        ],
    },
}
"""A product tour's audience: Custom, Heap Segment is Paying customers, and is not the new ones."""
OVERLAP_SQL: Final = """
SELECT a.segment_name AS segment, b.segment_name AS other, count(*) AS users_in_both
FROM membership a JOIN membership b USING (workspace, user_id)
WHERE a.segment_id < b.segment_id GROUP BY ALL ORDER BY users_in_both DESC
"""
_LOOKUPS: Final = 20_000


@dataclass(slots=True)
class Answered:
    """What the demo found out; plain data for a table and for JSON.

    Attributes:
        console: where heapline's console is, as long as it runs.
        segments: after the syncs, as `GET …/segments` gives them.
        audience: how many users match, and how long the question took.
        lookups: of one reader in a process: how many, and microseconds at the median and at 99 %.
        overlap: an analyst's question: rows of (segment, other, users in both).
        drained: members of the once-only segment before and after Heap drained it.
        pages: that Heap sent, and how many were taken.
        problems: what is not as it must be; empty when all is well.
    """

    console: str = ""
    segments: list[dict[str, Any]] = field(default_factory=list)
    audience: dict[str, float] = field(default_factory=dict)
    lookups: dict[str, float] = field(default_factory=dict)
    overlap: list[list[Any]] = field(default_factory=list)
    drained: dict[str, int] = field(default_factory=dict)
    pages: dict[str, int] = field(default_factory=dict)
    visible_ms: float = 0.0
    index_bytes: int = 0
    problems: list[str] = field(default_factory=list)


def show_segments(place: Place, folder: Path, steps: Steps, *, keep: bool = False) -> Answered:
    """Connect, sync, ask, drain.

    Args:
        place: servers on which topics and schemas are there, and aurora is connected.
        folder: for heapline's state and log.
        steps: hears of each step.
        keep: leave heapline running.

    Raises:
        HeaplineError: a step failed.
    """
    heap = SimulatorClient(place.heap_url)
    partner = heap.partner_app()
    settings = {
        **place.environment(),
        **partner.environment(),
        "HEAPLINE_STATE__DIRECTORY": str(folder / "state"),
    }
    steps.begin("Start heapline: webhook, segment sync, store, lookups")
    with running_service(settings, folder, keep=keep) as service:
        answered = Answered(console=service.url)
        steps.begin(f"The console is at {service.url}")
        steps.begin(f"Connect {WORKSPACE} to Heap: invite, Allow, back again")
        _connect(service, heap)
        steps.begin(f"Let Heap sync {len(SEGMENTS)} segments of {USERS:,} users")
        _sync(service, heap, answered, steps)
        steps.begin("Ask what a targeting service asks")
        _ask(service, folder / "state" / "index", answered)
        steps.begin("Ask what an analyst asks")
        _analyse(service, answered)
        steps.begin(f"Let Heap drain {CAMPAIGN.name}")
        _drain(service, heap, answered)
        return answered


def _connect(service: Service, heap: SimulatorClient) -> None:
    heap.change_partner_app(
        redirect_uri=f"{service.url}/heap/callback", webhook_url=f"{service.url}/heap/webhook"
    )
    heap.replace_environments({ENVIRONMENT: "Aurora, production"})
    printed = service.command("connections", "invite", WORKSPACE, "--json")
    allow(str(orjson.loads(printed)["link"]), heap, ENVIRONMENT)


def _sync(service: Service, heap: SimulatorClient, answered: Answered, steps: Steps) -> None:
    sent: list[Sent] = []
    for planned in SEGMENTS:
        steps.at(planned.name)
        every = planned.every_seconds
        recurring = {} if every is None else {"every_seconds": every, "starts_in_seconds": every}
        heap.set_segment(
            ENVIRONMENT,
            planned.segment_id,
            name=planned.name,
            **recurring,
        )
        heap.number_members(ENVIRONMENT, planned.segment_id, planned.count, first=planned.first)
        sent.append(heap.sync(ENVIRONMENT, planned.segment_id, SyncOptions(duplicates=1)))
    answered.pages = {
        "sent": sum(each.pages for each in sent),
        "taken": sum(each.delivered for each in sent),
    }
    started = time.monotonic()
    for each in sent:
        _wait_until_visible(service, each.last_position)
    answered.visible_ms = (time.monotonic() - started) * 1_000
    answered.segments = _segments(service)
    counts = {row["id"]: row["member_count"] for row in answered.segments}
    for planned in SEGMENTS:
        if counts.get(planned.segment_id) != planned.count:
            answered.problems.append(
                f"{planned.name}: {counts.get(planned.segment_id)} members, not {planned.count:,}"
            )
    heap.change_members(ENVIRONMENT, NEW.segment_id, add=["user-1"], remove=["user-39999"])
    _wait_until_visible(service, heap.sync(ENVIRONMENT, NEW.segment_id).last_position)


def _ask(service: Service, index: Path, answered: Answered) -> None:
    started = time.perf_counter()
    counted = _expect(
        service.post(f"/v1/workspaces/{WORKSPACE}/audiences:count", {"audience": AUDIENCE}),
        "counting an audience",
    ).json()
    answered.audience = {
        "match": counted["match"],
        "milliseconds": round((time.perf_counter() - started) * 1_000, 1),
    }
    # Paying: 0 to 29,999; of those, new are user-1 and 25,000 to 29,999.
    if counted["match"] != PAYING.count - 5_000 - 1:
        answered.problems.append(f"the audience counts {counted['match']:,} users")
    evaluated = _expect(
        service.post(
            f"/v1/workspaces/{WORKSPACE}/audiences:evaluate",
            {"audience": AUDIENCE, "users": ["user-7", "user-1", "user-26000", "nobody"]},
        ),
        "evaluating an audience",
    ).json()
    results = [each["result"] for each in evaluated["results"]]
    if results != ["match", "no_match", "no_match", "no_match"]:
        answered.problems.append(f"the audience's answers are {results}")
    answered.index_bytes = sum(path.stat().st_size for path in index.iterdir() if path.is_file())
    answered.lookups = _look_up(MembershipReader(index))


def _look_up(reader: MembershipReader) -> dict[str, float]:
    """Time single questions as a service asks them, one after the other."""
    taken = []
    for number in range(_LOOKUPS):
        user = f"user-{number * 7919 % USERS}"
        started = time.perf_counter_ns()
        reader.is_member(WORKSPACE, user, AT_RISK.segment_id)
        taken.append(time.perf_counter_ns() - started)
    taken.sort()
    return {
        "count": _LOOKUPS,
        "p50_us": round(taken[_LOOKUPS // 2] / 1_000, 2),
        "p99_us": round(taken[_LOOKUPS * 99 // 100] / 1_000, 2),
    }


def _analyse(service: Service, answered: Answered) -> None:
    """The replica follows by seconds: wait until it knows of everything."""
    deadline = time.monotonic() + _VISIBLE_SECONDS
    wanted = sum(planned.count for planned in SEGMENTS)
    while True:
        try:
            found = orjson.loads(
                service.command("sql", "SELECT count(*) AS n FROM membership", "--format", "json")
            )
            if found[0]["n"] == wanted:
                break
        except MustStop:
            found = None  # no replica yet
        if time.monotonic() > deadline:
            answered.problems.append(f"the replica shows {found} memberships, not {wanted:,}")
            return
        time.sleep(0.5)
    rows = orjson.loads(service.command("sql", OVERLAP_SQL, "--format", "json"))
    answered.overlap = [[row["segment"], row["other"], row["users_in_both"]] for row in rows]


def _drain(service: Service, heap: SimulatorClient, answered: Answered) -> None:
    before = {row["id"]: row["member_count"] for row in _segments(service)}
    _wait_until_visible(service, heap.drain(ENVIRONMENT, CAMPAIGN.segment_id).last_position)
    after = {row["id"]: row["member_count"] for row in _segments(service)}
    answered.drained = {
        "before": before[CAMPAIGN.segment_id],
        "after": after[CAMPAIGN.segment_id],
    }
    if answered.drained["after"]:
        answered.problems.append(f"{CAMPAIGN.name} was drained and has members")


def _segments(service: Service) -> list[dict[str, Any]]:
    answer = _expect(service.get(f"/v1/workspaces/{WORKSPACE}/segments"), "listing segments")
    found: list[dict[str, Any]] = answer.json()["segments"]
    return found


def _wait_until_visible(service: Service, position: str | None) -> None:
    """Ask with `Heapline-At-Least` until the answer contains a page."""
    if position is None:
        raise MustStop("the webhook took no page, so there is nothing to wait for")
    deadline = time.monotonic() + _VISIBLE_SECONDS
    while True:
        answer = service.get(
            f"/v1/workspaces/{WORKSPACE}/segments", {"Heapline-At-Least": position}
        )
        if answer.status == _OK:
            return
        if time.monotonic() > deadline:
            raise MustStop(
                f"page {position} was not visible after {_VISIBLE_SECONDS:.0f} s: {answer.body!r}"
            )


def _expect(page: Page, what: str) -> Page:
    if page.status != _OK:
        raise MustStop(f"{what}: HTTP {page.status}: {page.body[:300]!r}")
    return page
