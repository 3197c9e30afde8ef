"""Writes the keys of users who came after the base; see `heapline.memberships.newer_keys`.

A file is written by one writer only, and what stands in it is never written again: so whatever a
crash left behind a generation's keys is in nobody's way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from heapline.memberships.container import NOTHING_SUMMED, summed
from heapline.memberships.generations import keys_name
from heapline.memberships.keys import WORD_BYTES
from heapline.memberships.newer_keys import ToldKeys

if TYPE_CHECKING:
    from state.growing import Growing
    from state.index_files import IndexFiles


class KeysFile:
    """Appends what is new, and begins another file where keys do not continue those written.

    Args:
        files: where they are written.
    """

    def __init__(self, files: IndexFiles) -> None:
        self._files = files
        self._name = ""
        self._written: Growing | None = None
        self._summed = NOTHING_SUMMED

    def write(self, keys: Growing, generation: int) -> ToldKeys | None:
        """Write what is not written yet; give what the generation's overlay tells of them.

        Raises:
            DiskFull, StateUnwritable: see `IndexFiles`.
        """
        written, self._written = self._written, None  # after an error the file is of no use
        if not len(keys):
            return None
        if written is None or not keys.continues(written) or not self._is_whole(written):
            self._name, self._summed = keys_name(generation), NOTHING_SUMMED
            written = None
        done = 0 if written is None else len(written)
        self._files.append(self._name, WORD_BYTES * done, keys.rows[done:])
        self._summed = summed(keys.rows.view(np.uint8), self._summed)
        self._written = keys
        return ToldKeys(self._name, len(keys), self._summed.checksum)

    def _is_whole(self, written: Growing) -> bool:
        return self._files.size_bytes(self._name) == WORD_BYTES * len(written)
