"""The gate for many events at once: what `Gate.judge` says, said for columns.

Desks are asked once for each name of each workspace in a batch; what depends on the single event
is decided in columns. A row whose answer is not plain to see is left out and judged by the gate.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np
import polars as pl

from consumers.forwarder.gate import NOT_AN_ID
from consumers.forwarder.mapping import MAX_IDENTITY_CHARACTERS, MAX_NAME_CHARACTERS
from consumers.forwarder.stretch import Fate
from heapline.outcomes import SkipReason

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from consumers.forwarder.desk import Desk

    Integers = NDArray[np.int64]

_IDENTITY: Final = r"^[!#-\[\]-~]+$"
"""Visible ASCII which JSON writes as it is; no spaces, so nothing to strip."""
_NAME: Final = re.compile(r"[!#-\[\]-~](?:[ !#-\[\]-~]*[!#-\[\]-~])?")
_REASONS: Final = (
    None,
    SkipReason.PREVIEW,
    SkipReason.SIMULATED,
    SkipReason.ADMIN,
    SkipReason.ANONYMOUS,
)
"""What depends on the single event, in the gate's order."""
_ELIGIBLE: Final = 0
_ANONYMOUS: Final = 4
_BY_NAME: Final = len(_REASONS)
_UNSURE: Final = _BY_NAME + 1
_ANSWERS: Final = _UNSURE + 1


class Judged(NamedTuple):
    """What was decided of a batch.

    Attributes:
        rows: which rows were; the others are left to the gate.
        fates: what becomes of rows.
        codes: for each of `rows`, the place of its fate in `fates`.
        eligible: the frame's rows that are to be sent.
    """

    rows: Integers
    fates: list[Fate]
    codes: Integers
    eligible: pl.DataFrame


def judge(frame: pl.DataFrame, desk_of: Callable[[str], Desk]) -> Judged:
    """Judge events.

    Args:
        frame: the columns of `CommandAIEvent`, besides `row` and `key`.
        desk_of: a workspace's.
    """
    named = kept(
        frame,
        (pl.col("workspace").str.len_bytes() > 0)
        & (pl.col("workspace").cast(pl.Binary) == pl.col("key")),
    )
    pairs, first = _pairs(named)
    names = named[first].select("workspace", "name").rows()
    desks = [desk_of(workspace) for workspace, _ in names]
    refusals = [desk.gate.refusal(name) for desk, (_, name) in zip(desks, names, strict=True)]
    closed = np.array([_by_name(*each) for each in zip(desks, refusals, names, strict=True)], int)
    anonymous = np.array([desk.gate.sends_anonymous for desk in desks], bool)
    answers = _answers(named)
    answers[(answers == _ANONYMOUS) & anonymous[pairs]] = _UNSURE
    erased_before_ms = np.array([desk.erased_before_ms for desk in desks], np.int64)
    accepted_ms = named["received_at"].cast(pl.Int64).to_numpy()
    answers[(answers == _ELIGIBLE) & (accepted_ms < erased_before_ms[pairs])] = _UNSURE
    answers = np.where(closed[pairs] == _ELIGIBLE, answers, closed[pairs])
    sure = answers != _UNSURE
    fated, codes = np.unique((pairs * _ANSWERS + answers)[sure], return_inverse=True)
    fates = []
    for both in fated.tolist():
        pair, answer = divmod(both, _ANSWERS)
        reason = refusals[pair] if answer == _BY_NAME else _REASONS[answer]
        fates.append(Fate(names[pair][0], names[pair][1], reason))
    rows = named["row"].to_numpy()[sure]
    return Judged(rows, fates, codes, kept(named, pl.Series(answers == _ELIGIBLE)))


def kept(frame: pl.DataFrame, which: pl.Expr | pl.Series) -> pl.DataFrame:
    """Leave the other rows out; as a rule there are none, and nothing is copied."""
    truths = which if isinstance(which, pl.Series) else frame.select(which).to_series()
    return frame if truths.all(ignore_nulls=False) else frame.filter(truths)


def _pairs(named: pl.DataFrame) -> tuple[Integers, Integers]:
    """Number the pairs of workspace and name; give each row's, and a row of each pair."""
    codes = np.zeros(named.height, np.int64)
    for column in ("workspace", "name"):
        known = named.select(pl.col(column).unique()).with_row_index("code")
        found = named.select(column).join(known, on=column, how="left", maintain_order="left")
        codes = codes * max(1, known.height) + found["code"].cast(pl.Int64).to_numpy()
    _, first, pairs = np.unique(codes, return_index=True, return_inverse=True)
    return pairs, first


def _by_name(desk: Desk, refused: SkipReason | None, names: tuple[str, str]) -> int:
    if refused is not None:
        return _BY_NAME
    name = names[1]
    plain = len(name) <= MAX_NAME_CHARACTERS and _NAME.fullmatch(name)
    return _ELIGIBLE if plain and desk.takes_rows else _UNSURE


def _answers(named: pl.DataFrame) -> Integers:
    """Give for each row the first reason that depends on the event, as its place in `_REASONS`."""
    user = pl.col("user_id")
    plain = (
        user.str.contains(_IDENTITY)
        & (user.str.len_bytes() <= MAX_IDENTITY_CHARACTERS)
        & ~user.is_in(list(NOT_AN_ID))
    )
    answer = (
        pl.when("is_preview")
        .then(1)
        .when("is_simulated")
        .then(2)
        .when("is_admin")
        .then(3)
        .when(user.is_null())
        .then(_ANONYMOUS)
        .when(plain)
        .then(_ELIGIBLE)
        .otherwise(_UNSURE)
    )
    return named.select(answer.cast(pl.Int64).alias("answer"))["answer"].to_numpy().copy()
