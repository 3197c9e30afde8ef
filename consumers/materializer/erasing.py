"""Taking erased users out of everything this node holds: store, history, index, copies.

Which users an erasure means is found by naming all of the workspace's users as the list of erasures
does, a microsecond or two each. What was accepted after the erasure is put back.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import numpy as np

from consumers.materializer.assembler import Assembled
from heapline.kafka.erasure_log import PARTITION
from heapline.telemetry.logs import logger
from state import rewriting
from state.raw_changes import RawChanges
from state.replicas import Replicas

if TYPE_CHECKING:
    from consumers.materializer.loop import Node
    from consumers.materializer.segment_rows import VisibleRow
    from heapline.clock import Clock
    from heapline.erasures import Erasure
    from heapline.kafka.erasure_log import KafkaErasureLog
    from state.payload import OutcomeFacts
    from state.store import Store

_log: Final = logger(__name__)


@dataclass(frozen=True, slots=True)
class Erased:
    """What a purge did.

    Attributes:
        position: up to where erasures are done now.
        users: how many of them were known here.
        since: memberships of theirs that were accepted after the erasure.
    """

    position: int
    users: int = 0
    since: RawChanges = field(default_factory=RawChanges)


class Erasing:
    """Follows the erasures for one state folder.

    Args:
        log: the topic, read to its end before any membership is.
        topic: its full name.
        clock: for what is written down.
    """

    def __init__(self, log: KafkaErasureLog, topic: str, clock: Clock) -> None:
        self._log, self._topic, self._clock = log, topic, clock
        self._done = 0

    def read(self) -> None:
        """Read to the end there is now.

        Raises:
            KafkaUnavailable, RegistryUnavailable: it could not be read.
        """
        self._log.catch_up()

    def pending(self) -> bool:
        """Tell whether users were erased that may still be here; cheap, asked often."""
        self._log.poll()
        return any(offset >= self._done for offset, _ in self._log.found[-1:])

    def purge(self, store: Store) -> Erased | None:
        """Erase who is to be erased, before index and copies are opened; None where nobody is.

        Raises:
            DiskFull, StateUnwritable: nothing is done; it is tried again at the next start.
        """
        self._done = store.positions().get((self._topic, PARTITION), 0)
        position = self._log.position
        erasures = [each for offset, each in self._log.found if offset >= self._done]
        if not erasures:
            return None
        users = self._users(store, erasures)
        since = _accepted_since(store, users)
        if users:
            rewriting.erase(store, users, self._clock.epoch_ms())
            with Replicas(store.folder) as replicas:
                replicas.forget_all()
        _log.info("erased", erasures=len(erasures), known_here=len(users))
        return Erased(position, len(users), since)

    def settle(self, node: Node, erased: Erased) -> None:
        """Put back what was accepted since, and write down that this is done."""
        cut: Assembled[VisibleRow, OutcomeFacts] = Assembled(changes=erased.since)
        node.apply(cut, {(self._topic, PARTITION): erased.position})
        self._done = erased.position

    def _users(self, store: Store, erasures: list[Erasure]) -> dict[tuple[str, str], int]:
        """Give the users meant, with the time of their erasure."""
        at_ms: dict[str, dict[str, int]] = {}
        for each in erasures:
            of_workspace = at_ms.setdefault(each.workspace, {})
            before = of_workspace.get(each.user_mac, 0)
            of_workspace[each.user_mac] = max(each.erased_at_ms, before)
        known, names = store.users(), store.workspaces()
        found: dict[tuple[str, str], int] = {}
        for code, workspace in enumerate(names):
            if workspace in at_ms:
                own = known.user_id[known.workspace == code].tolist()
                found |= {
                    (workspace, user): at_ms[workspace][mac]
                    for user, mac in self._log.erasures.named(workspace, own)
                    if mac in at_ms[workspace]
                }
        return found


def _accepted_since(store: Store, users: dict[tuple[str, str], int]) -> RawChanges:
    """Give the memberships of erased users that are younger than their erasure."""
    if not users:
        return RawChanges()
    known, names, segments = store.users(), store.workspaces(), store.segments()
    by_code = {
        code: each
        for code, each in enumerate(
            zip([names[w] for w in known.workspace.tolist()], known.user_id.tolist(), strict=True)
        )
        if each in users
    }
    held = store.memberships()
    mine = np.isin(held.user, np.fromiter(by_code, np.uint32))
    rows = zip(
        held.segment[mine].tolist(),
        held.user[mine].tolist(),
        held.entered_at_ms[mine].tolist(),
        strict=True,
    )
    return RawChanges.of(
        (*by_code[code], segments.segment_id[segment], True, at_ms, None)
        for segment, code, at_ms in rows
        if at_ms >= users[by_code[code]]
    )
