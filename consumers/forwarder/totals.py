"""What one run of the forwarder did, by workspace, for people."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from heapline.outcomes import DeadLetterReason, DeferReason, Outcome, SkipReason

if TYPE_CHECKING:
    from consumers.forwarder.checkpoint import Checkpoint


@dataclass(slots=True)
class Totals:
    """Checkpointed outcomes by workspace and reason, and requests by verdict.

    Attributes:
        outcomes: counts by (workspace, outcome, reason); the reason of *delivered* is empty.
        requests: counts by verdict.
        events: in those requests, however often each was sent.
        retried: of these, in requests that Heap did not take.
        seconds: how long the run took.
    """

    outcomes: Counter[tuple[str, Outcome, str]] = field(default_factory=Counter)
    requests: Counter[str] = field(default_factory=Counter)
    events: int = 0
    retried: int = 0
    seconds: float = 0.0

    def by_outcome(self) -> Counter[str]:
        """Give counts of outcomes over all workspaces."""
        found = Counter[str]()
        for (_, outcome, _), count in self.outcomes.items():
            found[outcome] += count
        return found

    def add(self, checkpoint: Checkpoint) -> Counter[tuple[str, str, str]]:
        """Count outcomes that are checkpointed.

        Returns:
            These counts by (source, outcome, reason).
        """
        kinds: Counter[tuple[str, str, str]] = Counter()
        for (workspace, source, _, outcome, reason, _), count in checkpoint.counts().items():
            if outcome is not None:
                self.outcomes[workspace, outcome, reason or ""] += count
                kinds[source, outcome, reason or ""] += count
        return kinds

    def settled(self) -> int:
        """Give how many records were settled."""
        return sum(self.outcomes.values())


def advice(workspace: str, reason: str) -> str | None:
    """Give the command that would change why a workspace's records were not delivered."""
    template = _ADVICE.get(reason)
    return template.format(workspace=workspace or "WORKSPACE") if template else None


_PAUSED = "heapline connections set {workspace} --app-id … --region us|eu"
_ADVICE: dict[str, str] = {
    **dict.fromkeys(
        (SkipReason.NOT_CONNECTED, SkipReason.DISCONNECTED),
        "heapline connections set {workspace} --app-id … --region us|eu --send on, then heapline "
        "replay {workspace} --since …",
    ),
    SkipReason.SEND_OFF: "heapline connections set {workspace} --send on, "
    "then heapline replay {workspace} --since …",
    SkipReason.FILTERED: "heapline connections set {workspace} --include GLOB (or --exclude)",
    SkipReason.NOT_SENT_BY_DEFAULT: "heapline connections set {workspace} --include '*' "
    "--include NAME (raw browsing and typing: name each)",
    SkipReason.ANONYMOUS: "heapline connections set {workspace} --anonymous send",
    DeferReason.HOLD: "heapline connections set {workspace} --send on",
    DeferReason.PAUSED_UNAUTHORIZED: f"{_PAUSED} (Heap refuses the app id)",
    DeferReason.PAUSED_MISCONFIGURED: f"{_PAUSED} (Heap refuses most events)",
    DeferReason.PAUSED_DEAD_LETTERS: "heapline dlq list --workspace {workspace}",
    **dict.fromkeys(DeadLetterReason, "heapline dlq list --workspace {workspace}"),
}
