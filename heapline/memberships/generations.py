"""Which files make up a generation, and how the newest whole one is found.

A folder holds `base-N.index` and `overlay-N.index` (N: the generation in which the file was
written, twelve digits), none of which ever changes once it is named; `newer-N.keys`
(`heapline.memberships.newer_keys`), which only grow, and of which a generation reads what was there
when it was made; `manifest.json`, which names up to three generations, newest first, and is
replaced by rename; and `published`, eight bytes with the newest generation's number, which is
written in place after the rename: readers map it, so that looking for news costs them one memory
access. Nobody waits for anybody.

A generation counts once the manifest names it. If the manifest cannot be read, every overlay in the
folder is tried instead, newest first: files are complete or fail their checks.
"""

from __future__ import annotations

import mmap
import zlib
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from heapline.memberships.base import Base, open_base
from heapline.memberships.errors import IndexDamaged, IndexUnavailable
from heapline.memberships.overlay import Overlay, open_overlay

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from heapline.memberships.newer_keys import NewerKeys

MANIFEST: Final = "manifest.json"
PUBLISHED: Final = "published"
PUBLISHED_BYTES: Final = 8
GENERATIONS_KEPT: Final = 3
FORMAT: Final = 2
_TRIES: Final = 5


class Named(NamedTuple):
    """A generation by the names of its files; `keys` is None where nobody came after the base."""

    generation: int
    overlay: str
    base: str
    keys: str | None


class Loaded(NamedTuple):
    """A generation with its files open.

    Attributes:
        base, overlay: its files.
        damage: what was wrong with newer generations, if any was.
    """

    base: Base
    overlay: Overlay
    damage: tuple[str, ...]


def base_name(generation: int) -> str:
    """Name the base written in a generation."""
    return f"base-{generation:012d}.index"


def overlay_name(generation: int) -> str:
    """Name the overlay of a generation."""
    return f"overlay-{generation:012d}.index"


def keys_name(generation: int) -> str:
    """Name the keys begun in a generation."""
    return f"newer-{generation:012d}.keys"


def manifest_bytes(generations: Sequence[Named]) -> bytes:
    """Write a manifest; newest first."""
    rows = [named._asdict() for named in generations]
    check = zlib.crc32(orjson.dumps(rows))
    return orjson.dumps({"format": FORMAT, "checksum": check, "generations": rows}) + b"\n"


def read_manifest(folder: Path) -> list[Named]:
    """Tell which generations the manifest names, newest first.

    Raises:
        IndexDamaged: it is missing or damaged.
    """
    path = folder / MANIFEST
    try:
        written: dict[str, Any] = orjson.loads(path.read_bytes())
        rows, check = written["generations"], written["checksum"]
        if written["format"] != FORMAT:
            raise IndexDamaged(
                path, f"is of format {written['format']}; this program reads {FORMAT}"
            )
        if zlib.crc32(orjson.dumps(rows)) != check:
            raise IndexDamaged(path, "its checksum does not match")
        return [Named(**row) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise IndexDamaged(path, f"cannot be read ({error})") from error


def load_newest(
    folder: Path, known: Base | None = None, known_keys: NewerKeys | None = None
) -> Loaded:
    """Open the newest generation that is whole.

    Args:
        folder: the index.
        known: a base that is open already, not to be opened again.
        known_keys: see `open_overlay`.

    Raises:
        IndexUnavailable: there is none; the message tells what is wrong with each.
    """
    damage: list[str] = []
    for _ in range(_TRIES):
        damage.clear()
        candidates, news = _candidates(folder, damage)
        for overlay in candidates:
            try:
                opened = open_overlay(folder / overlay, known_keys)
                return Loaded(_base_of(folder, opened, known), opened, tuple(damage))
            except IndexDamaged as error:
                damage.append(str(error))
        # A slow reader's files may have been removed meanwhile; then there is a newer manifest.
        if _candidates(folder, [])[1] == news:
            break
    if not (folder / MANIFEST).exists():
        raise IndexUnavailable(
            f"there is no membership index in {folder} yet: start `heapline materialize` (or "
            "`heapline run`), and wait until it is ready; if it runs already, "
            "HEAPLINE_STATE__DIRECTORY is another folder there"
        )
    what = "; ".join(damage) or "it is empty"
    raise IndexUnavailable(
        f"no whole generation of the membership index in {folder}: {what}. Start `heapline "
        "materialize`; if it runs, `heapline state rebuild` writes the index anew"
    )


def map_published(folder: Path) -> memoryview:
    """Map the newest generation's number, as the only item of a view.

    Where it is missing (a copy somewhere else), the view says 0 for ever.
    """
    try:
        with (folder / PUBLISHED).open("rb") as file:
            mapped = mmap.mmap(file.fileno(), PUBLISHED_BYTES, access=mmap.ACCESS_READ)
    except (OSError, ValueError):
        return memoryview(bytes(PUBLISHED_BYTES)).cast("Q")
    return memoryview(mapped).cast("Q")


def _candidates(folder: Path, damage: list[str]) -> tuple[list[str], object]:
    try:
        named = read_manifest(folder)
    except IndexDamaged as error:
        damage.append(str(error))
        found = sorted((path.name for path in folder.glob("overlay-*.index")), reverse=True)
        return found, found
    return [each.overlay for each in named], named


def _base_of(folder: Path, overlay: Overlay, known: Base | None) -> Base:
    if known is not None and known.container.identity == overlay.base_identity:
        return known
    base = open_base(folder / overlay.base_name)
    if base.container.identity != overlay.base_identity:
        name = overlay.container.path.name
        raise IndexDamaged(folder / overlay.base_name, f"is not the base {name} stands on")
    return base
