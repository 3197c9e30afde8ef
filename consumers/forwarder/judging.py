"""The gate for many events at once: what `Gate.judge` says, said for columns.

What depends on workspace and event name alone is looked up in `known_names`; what depends on the
single event is decided in columns. A row whose answer is not plain to see, or which is not plain to
map, is left out and takes the exact way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from consumers.forwarder.gate import NOT_AN_ID
from consumers.forwarder.known_names import ANONYMOUS, ANSWERS, ELIGIBLE, UNSURE, KnownNames
from consumers.forwarder.mapping import MAX_IDENTITY_CHARACTERS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from consumers.forwarder.desk import Desk
    from consumers.forwarder.known_names import Fates, NamesOfDesk

    Integers = NDArray[np.int64]

_ID: Final = r"^[!#-\[\]-~]+$"
"""Visible ASCII which JSON writes as it is; no spaces, so nothing to strip."""
_FIRST_MS: Final = 0
_LAST_MS: Final = 4_102_444_800_000
"""The year 2100; events of other times are rare, and mapped one by one."""
_REMEMBERED: Final = 1 << 16
"""Names of workspaces. They are an open set and must not fill memory: then all are asked anew."""
UNDECIDED: Final = -1


class Judged(NamedTuple):
    """What was decided of a batch.

    Attributes:
        codes: for each row of the batch, the place of its fate in `fates`, or `UNDECIDED`.
        fates: what becomes of rows.
        homes: for each row that was decided, the place of its workspace in `workspaces`.
        workspaces: all there are.
        eligible: the frame's rows that are to be sent.
    """

    codes: Integers
    fates: Fates
    homes: Integers
    workspaces: Sequence[str]
    eligible: pl.DataFrame


class Judge:
    """Judges events.

    Args:
        desk_of: a workspace's.
    """

    def __init__(self, desk_of: Callable[[str], Desk]) -> None:
        self._desk_of = desk_of
        self._known = KnownNames(_REMEMBERED)

    def judge(self, frame: pl.DataFrame, rows: int) -> Judged:
        """Judge a batch.

        Args:
            frame: the columns of `CommandAIEvent`, besides `key`, and `row`: where it stands in
                the batch.
            rows: how many there are in the batch.
        """
        if not self._known.has_room(frame.height):
            self._known = KnownNames(max(_REMEMBERED, frame.height))
        known = self._known
        answered = frame.select(_NAMED, _ANSWER)
        named, answered = kept(frame, answered["named"]), kept(answered, answered["named"])
        workspaces = named["workspace"].to_list()
        names = {each: known.of(each, self._desk_of(each)) for each in dict.fromkeys(workspaces)}
        pairs = zip(workspaces, named["name"].to_list(), strict=True)
        numbers = np.fromiter([names[each][name] for each, name in pairs], np.int64, named.height)
        answers = answered["answer"].to_numpy().astype(np.int64)
        answers[(answers == ANONYMOUS) & known.anonymous[numbers]] = UNSURE
        answers[(answers == ELIGIBLE) & _perhaps_erased(named, names, workspaces)] = UNSURE
        by_name = known.answers[numbers]
        answers = np.where(by_name == ELIGIBLE, answers, by_name)
        codes, homes = np.full(rows, UNDECIDED), np.zeros(rows, np.int64)
        places = named["row"].to_numpy()
        codes[places] = np.where(answers == UNSURE, UNDECIDED, numbers * ANSWERS + answers)
        homes[places] = known.homes[numbers]
        eligible = kept(named, pl.Series(answers == ELIGIBLE))
        return Judged(codes, known.fates, homes, known.workspaces, eligible)


def kept(frame: pl.DataFrame, which: pl.Series) -> pl.DataFrame:
    """Leave the other rows out; as a rule there are none, and nothing is copied."""
    return frame if which.all(ignore_nulls=False) else frame.filter(which)


def _perhaps_erased(
    named: pl.DataFrame, names: dict[str, NamesOfDesk], workspaces: list[str]
) -> NDArray[np.bool_] | bool:
    """Tell which events were accepted before their workspace's newest erasure."""
    before_ms = {workspace: each.desk.erased_before_ms for workspace, each in names.items()}
    if not any(before_ms.values()):
        return False
    before = np.array([before_ms[each] for each in workspaces], np.int64)
    return named["received_at"].cast(pl.Int64).to_numpy() < before


def _answer() -> pl.Expr:
    """Give the first reason that depends on the event, as its place in `known_names.REASONS`."""
    user = pl.col("user_id")
    plain = (
        user.str.contains(_ID)
        & (user.str.len_bytes() <= MAX_IDENTITY_CHARACTERS)
        & ~user.is_in(list(NOT_AN_ID))
        & pl.col("event_id").str.contains(_ID)
        & pl.col("timestamp").is_between(_FIRST_MS, _LAST_MS)
        & (pl.col("scrubbers").list.len() == 0)
    )
    return (
        pl.when("is_preview")
        .then(1)
        .when("is_simulated")
        .then(2)
        .when("is_admin")
        .then(3)
        .when(user.is_null())
        .then(ANONYMOUS)
        .when(plain)
        .then(ELIGIBLE)
        .otherwise(UNSURE)
    )


_NAMED: Final = (
    (pl.col("workspace").str.len_bytes() > 0)
    & (pl.col("workspace").cast(pl.Binary) == pl.col("key"))
).alias("named")
_ANSWER: Final = _answer().alias("answer")
