"""What the demo found out about segments, as a person reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rich import box
from rich.table import Table

if TYPE_CHECKING:
    from devstack.demo.segments import Answered

_MB: Final = 1_000_000


def segment_table(answered: Answered) -> Table:
    """Give a row for each segment."""
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    table.add_column("segments of aurora", no_wrap=True)
    for title in ("members", "status", "rhythm"):
        table.add_column(title, justify="right", no_wrap=True, min_width=10)
    table.add_column("last sync", justify="right", no_wrap=True)
    for row in answered.segments:
        table.add_row(
            row["name"],
            f"{row['member_count']:,}",
            row["status"],
            row["rhythm"],
            f"  {row['last_synced_at']}",
        )
    return table


def answer_lines(answered: Answered) -> list[str]:
    """Say what was asked, and how long the answers took."""
    lookups, audience = answered.lookups, answered.audience
    lines = [
        (
            f"Heap sent {answered.pages['sent'] // 2} pages, each twice; all were visible "
            f"{answered.visible_ms:,.0f} ms after the last was taken."
        ),
        (
            f"A product tour for paying customers who are not new reaches {audience['match']:,} "
            f"users (counted over HTTP in {audience['milliseconds']:.1f} ms)."
        ),
        (
            f"{lookups['count']:,} questions of a targeting service: {lookups['p50_us']:.1f} µs at "
            f"the median, {lookups['p99_us']:.1f} µs at 99 %; the index takes "
            f"{answered.index_bytes / _MB:.1f} MB."
        ),
    ]
    if answered.overlap:
        segment, other, users = answered.overlap[0]
        lines.append(f"An analyst asks in SQL who overlaps most: {segment} and {other}, {users:,}.")
    lines.append(
        f"Heap drained a segment of {answered.drained['before']:,}: {answered.drained['after']} "
        "are left."
    )
    return lines
