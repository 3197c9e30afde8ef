"""How fast lookups are over HTTP: one server process on one core, its client in another process."""

from __future__ import annotations

import random
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson

from bench.child import child
from bench.filled_index import USERS, filled_index
from bench.index_questions import Asked, Times, answer_times, times_of
from bench.index_rivals import held_by, rivals
from bench.report import Section, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.filled_index import Filled
    from bench.index_questions import Answerer

REQUESTS: Final = 10_000
CONNECTIONS: Final = 16
_START_SECONDS: Final = 60.0
_LONGEST_SECONDS: Final = 600.0
_PAIRS: Final = 100
_RIVALS_QUESTIONS: Final = 500
_MICROSECONDS: Final = 1e6


def member(filled: Filled, chance: random.Random) -> str:
    """Ask whether a user is in a segment."""
    user, segment = chance.choice(filled.users), chance.choice(filled.segments)
    return _get(f"{_root(filled)}/segments/{quote(segment, '')}/members/{quote(user, '')}")


def segments_of(filled: Filled, chance: random.Random) -> str:
    """Ask which segments a user is in."""
    return _get(f"{_root(filled)}/users/{quote(chance.choice(filled.users), '')}/segments")


def check(filled: Filled, chance: random.Random) -> str:
    """Ask about many pairs."""
    pairs = [
        {"user": chance.choice(filled.users), "segment": chance.choice(filled.segments)}
        for _ in range(_PAIRS)
    ]
    return _post(f"{_root(filled)}/memberships:check", {"pairs": pairs})


def evaluate(filled: Filled, chance: random.Random) -> str:
    """Ask whether a user is in A and B and not C."""
    a, b, c = chance.sample(list(filled.segments), 3)
    conditions = [("is", a), ("is", b), ("isNot", c)]
    rules = [
        {"type": "CONDITION", "condition": {"type": "heap", "operator": operator, "value": value}}
        for operator, value in conditions
    ]
    audience = {"type": "AND", "exprs": rules}
    body = {"audience": audience, "users": [chance.choice(filled.users)]}
    return _post(f"{_root(filled)}/audiences:evaluate", body)


QUESTIONS: Final[dict[str, Callable[[Filled, random.Random], str]]] = {
    "is a user in a segment": member,
    "which segments is a user in": segments_of,
    f"{_PAIRS} pairs of user and segment": check,
    "does a user match A and B and not C": evaluate,
}


def measure(users: int = USERS, requests: int = REQUESTS) -> Section:
    """Write an index of so many users, and ask it.

    Raises:
        RuntimeError: see `asked`.
    """
    with tempfile.TemporaryDirectory(prefix="heapline-bench-") as state:
        return asked(filled_index(Path(state), users), requests)


def asked(filled: Filled, requests: int) -> Section:
    """Ask each question alone over one connection, and then over many at once.

    Raises:
        RuntimeError: an answer was no 200, or a process failed.
    """
    found: dict[str, dict[str, Any]] = {}
    for name, question in QUESTIONS.items():
        chance = random.Random(name)
        plan = [question(filled, chance) for _ in range(requests)]
        found[name] = {
            "alone": _asked(filled, plan[: requests // 4], 1),
            "at_once": _asked(filled, plan, CONNECTIONS),
        }
    return section(filled, found, _beside(filled))


def _beside(filled: Filled) -> dict[str, dict[str, Times]]:
    """Ask the same of a plain table with a primary key, in this process, and of Redis."""
    asked = Asked(filled.users, held_by(filled), _RIVALS_QUESTIONS, _PAIRS)
    found = {}
    for name, answerer in rivals(filled):
        times = answer_times(answerer, asked)
        batch = times["batch_a_key"]
        rules = [(user, *three) for user, three in zip(filled.users, _triples(asked), strict=False)]
        ours = (
            times["is_member"],
            times["segments_of"],
            Times(batch.p50 * _PAIRS, batch.p99 * _PAIRS),
            times_of(partial(_matches, answerer), rules),
        )
        found[name] = dict(zip(QUESTIONS, ours, strict=True))
    return found


def _triples(asked: Asked) -> list[tuple[str, str, str]]:
    return asked.triples() * (asked.questions // max(1, len(asked.triples())))


def _matches(answerer: Answerer, user: str, a: str, b: str, c: str) -> bool:
    is_in = answerer.is_member
    return is_in(user, a) and is_in(user, b) and not is_in(user, c)


def _asked(filled: Filled, plan: list[str], connections: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="heapline-bench-") as folder:
        port_file, plan_file = Path(folder, "port"), Path(folder, "plan")
        plan_file.write_bytes(orjson.dumps(plan))
        environment = {"HEAPLINE_STATE__DIRECTORY": str(filled.state)}
        with child("bench.lookup_server", "--port-file", str(port_file), env=environment) as server:
            port = str(server.port_in(port_file, _START_SECONDS))
            asking = ("--plan", str(plan_file), "--port", port, "--connections", str(connections))
            with child("bench.lookup_client", *asking, env={}) as client:
                figures = client.result(_LONGEST_SECONDS)
            spent = server.stop()
    return {**figures, "cpu_seconds_per_request": spent["cpu_seconds"] / len(plan)}


def section(
    filled: Filled, found: dict[str, dict[str, Any]], beside: dict[str, dict[str, Times]]
) -> Section:
    """Write the report."""
    rows: list[tuple[object, ...]] = [
        ("microseconds, but requests/s", "p50", "p99", "requests/s", "p50", "p99", "CPU")
    ]
    for name, each in found.items():
        alone, many = each["alone"], each["at_once"]
        rows.append(
            (
                name,
                *(_us(alone[key]) for key in ("p50_seconds", "p99_seconds")),
                f"{many['per_second']:,.0f}",
                *(_us(many[key]) for key in ("p50_seconds", "p99_seconds")),
                _us(many["cpu_seconds_per_request"]),
            )
        )
    lines = [
        f"one server process on one core, {filled.memberships:,} memberships; over one connection,",
        f"then over {CONNECTIONS} at once; bare sockets in another process",
        "",
        *table(rows),
        "",
        "beside it, microseconds: DuckDB (a table with a primary key) in the process that asks,",
        "Redis (where installed) over its socket; both hold a tenth, and rest",
        "",
        *table(_rival_rows(beside)),
    ]
    figures = {who: {q: each.figures() for q, each in of.items()} for who, of in beside.items()}
    return Section(
        "http_lookups", lines, {"memberships": filled.memberships, **found, "beside": figures}
    )


def _rival_rows(beside: dict[str, dict[str, Times]]) -> list[tuple[object, ...]]:
    heads = [f"{who} {share}" for who in beside for share in ("p50", "p99")]
    return [
        ("the same question", *heads),
        *(
            (name, *(f"{each:,.0f}" for of in beside.values() for each in of[name]))
            for name in QUESTIONS
        ),
    ]


def _us(seconds: float) -> str:
    return f"{seconds * _MICROSECONDS:,.0f}"


def _root(filled: Filled) -> str:
    return f"/v1/workspaces/{quote(filled.workspace, '')}"


def _get(path: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def _post(path: str, body: object) -> str:
    written = orjson.dumps(body).decode()
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(written.encode())}\r\n\r\n{written}"
