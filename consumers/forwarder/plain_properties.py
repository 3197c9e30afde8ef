"""Which properties can go to Heap as they are, judged for many events at once.

The exact mapping is `heap_properties`, which parses each text and writes it anew. Most texts come
out exactly as they went in. Those are recognised here: one flat JSON object, written as the exact
mapping would write it, without a key twice. Whatever is not recognised is not wrong, but is left to
the exact mapping. Nothing goes to Heap unchecked: spliced into a request as it is, a text that only
looks like an object could close it and smuggle in an `identity`.

`true` and `false` become texts and `null` is left out, as there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import polars as pl

from consumers.forwarder.flat_objects import DECIMAL, WHOLE, flat_objects
from consumers.forwarder.heap_properties import MAX_CHARACTERS, USER_PROPERTIES

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Integers = NDArray[np.int64]

_KEY: Final = r'"[^":\\\x00-\x1f]*"'
_TEXT: Final = r'"(?:[^"\\\x00-\x1f]|\\["\\bfnrt])*"'
_VALUE: Final = f"(?:{_TEXT}|{WHOLE}|{DECIMAL}|true|false|null)"
_OBJECT: Final = rf"^\{{(?:{_KEY}:{_VALUE}(?:,{_KEY}:{_VALUE})*)?\}}$"
_MEMBER_VALUE: Final = r':(?:"(?:[^"\\]|\\.)*"|[^,}"]*)'
"""In a text `_OBJECT` accepts: no key holds a colon, so the first one is behind a key."""
_WORD: Final = r'":(?:true|false|null)[,}]'
_MISLEADING: Final = r'[:{,]":|\\'
"""A text that starts with a colon, or an escape: `_WORD` might be found inside a text."""
_SHAPES_REMEMBERED: Final = 20_000


class PlainProperties:
    """Recognises plain properties; remembers the shapes (the keys in order) it has judged."""

    def __init__(self) -> None:
        self._shapes: dict[str, bool] = {}

    def plain(self, texts: pl.Series, data: bytes, starts: Integers, ends: Integers) -> pl.Series:
        """Give for each text what Heap gets, or null where the exact mapping must say.

        Args:
            texts: the properties.
            data: what the same stand in; see `flat_objects`.
            starts: where each starts there.
            ends: likewise.
        """
        flat = flat_objects(data, starts, ends)
        if flat.all():
            return texts
        frame = pl.DataFrame({"text": texts}).with_row_index("row")
        rest = self._read(frame.filter(~flat))
        found = pl.concat([frame.filter(flat), rest])
        rows = frame.select("row").join(found, on="row", how="left", maintain_order="left")
        return rows["text"]

    def _read(self, frame: pl.DataFrame) -> pl.DataFrame:
        """Give what Heap gets of rows that take a closer look; some are left out."""
        frame = frame.filter(pl.col("text").str.contains(_OBJECT))
        frame = _short_only(frame)
        frame = frame.with_columns(shape=pl.col("text").str.replace_all(_MEMBER_VALUE, ""))
        frame = frame.filter(self._distinct(frame["shape"]))
        return _words_as_texts(frame.select("row", "text"))

    def _distinct(self, shapes: pl.Series) -> pl.Series:
        """Tell which shapes have no key twice, nor one that must not pass."""
        for shape in shapes.unique():
            if shape not in self._shapes:
                if len(self._shapes) >= _SHAPES_REMEMBERED:
                    self._shapes.clear()
                self._shapes[shape] = _is_distinct(shape)
        good = [shape for shape in shapes.unique() if self._shapes.get(shape, _is_distinct(shape))]
        return shapes.is_in(good)


def _is_distinct(shape: str) -> bool:
    keys = shape[2:-2].split('","')
    forbidden = any(key.startswith(USER_PROPERTIES) for key in keys)
    return not forbidden and len(set(keys)) == len(keys)


def _short_only(frame: pl.DataFrame) -> pl.DataFrame:
    """Leave out long keys and texts: they may have to be cut."""
    long = frame["text"].str.len_bytes() > MAX_CHARACTERS
    if not long.any():
        return frame
    pieces = frame.filter(long)["text"].str.split('"')
    longest = pieces.list.eval(pl.element().str.len_bytes()).list.max()
    kept = frame.filter(long).filter(longest <= MAX_CHARACTERS)
    return pl.concat([frame.filter(~long), kept])


def _words_as_texts(frame: pl.DataFrame) -> pl.DataFrame:
    """Write truths as texts, leave nulls out."""
    words = frame["text"].str.contains(_WORD)
    if not words.any():
        return frame
    text = pl.col("text").str
    written = (
        frame.filter(words)
        .filter(~text.contains(_MISLEADING))
        .with_columns(text.replace_all(r',"[^"]*":null', ""))
        .with_columns(text.replace(r'^\{"[^"]*":null,?', "{"))
        .with_columns(text.replace_all(r'":(true|false)', '":"${1}"'))
    )
    return pl.concat([frame.filter(~words), written])
