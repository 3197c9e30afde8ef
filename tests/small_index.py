"""A small index of memberships, written whole; for tests of what reads one."""

from __future__ import annotations

import struct
from dataclasses import asdict
from typing import TYPE_CHECKING

import numpy as np
from pyroaring import BitMap

from heapline.memberships.base import offset_type, row_type
from heapline.memberships.container import encoded, open_container
from heapline.memberships.dictionary import DictionaryColumns
from heapline.memberships.generations import (
    MANIFEST,
    PUBLISHED,
    Named,
    base_name,
    manifest_bytes,
    overlay_name,
)
from heapline.memberships.overlay import bitmap_sections, overlay_sections

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from heapline.memberships import SegmentRow


def write_index(
    folder: Path,
    rows: Sequence[SegmentRow],
    members: dict[tuple[str, str], list[str]],
    generation: int = 1,
    as_of_ms: int = 1_769_851_800_123,
) -> None:
    """Write one generation with these segments and their members."""
    folder.mkdir(parents=True, exist_ok=True)
    workspaces = list(dict.fromkeys(row.workspace for row in rows))
    users: dict[tuple[int, str], int] = {}
    bitmaps = [BitMap() for _ in rows]
    for code, row in enumerate(rows):
        for user in members.get((row.workspace, row.segment_id), []):
            key = (workspaces.index(row.workspace), user)
            bitmaps[code].add(users.setdefault(key, len(users)))
    columns = DictionaryColumns.of(
        [user for _, user in users], np.array([code for code, _ in users], np.int64)
    )
    own = [[code for code, each in enumerate(bitmaps) if user in each] for user in users.values()]
    offsets = np.cumsum([0, *map(len, own)]).astype(offset_type(sum(map(len, own))))
    base = {
        **columns.sections(),
        **bitmap_sections("bitmaps", "bitmap_offsets", [each.serialize() for each in bitmaps]),
        "rows": np.array([code for each in own for code in each], row_type(len(rows))),
        "row_offsets": offsets,
    }
    facts = {"epoch": 1, "segments": len(rows), "memberships": sum(map(len, own))}
    base_path = folder / base_name(generation)
    base_path.write_bytes(b"".join(encoded("base", facts, base)))
    over = {
        "generation": generation,
        "position": {},
        "as_of_ms": as_of_ms,
        "base": base_path.name,
        "base_identity": open_container(base_path, "base").identity,
        "workspaces": workspaces,
        "segments": [asdict(row) for row in rows],
    }
    nobody = DictionaryColumns.of([], 0)
    sections = {**nobody.sections(), **overlay_sections(np.empty(0, np.uint64), {})}
    overlay = folder / overlay_name(generation)
    overlay.write_bytes(b"".join(encoded("overlay", over, sections)))
    named = Named(generation, overlay.name, base_path.name)
    (folder / MANIFEST).write_bytes(manifest_bytes([named]))
    with (folder / PUBLISHED).open("r+b" if (folder / PUBLISHED).exists() else "w+b") as file:
        file.write(struct.pack("<Q", generation))
