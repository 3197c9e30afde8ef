"""How memory is treated in a process through which records run by the thousand.

Python by default looks for garbage that refers to itself after every 700 objects that came and did
not go. A thousand records are thousands of objects, none of which refers to itself, and all are
gone a moment later. And malloc (glibc's) gives what is free at the end of its heap back to the
kernel, which fills it with zeros for the next thousand. Both together took a third of all processor
time of a consumer.
"""

from __future__ import annotations

import ctypes
import gc
from typing import Final

_OBJECTS: Final = 100_000
_TIMES: Final = 50
"""Of the searches among new objects, one in so many looks at those that stayed, too."""
_MIB: Final = 1024 * 1024
_MMAP_THRESHOLD: Final = -3
_MALLOC: Final = (
    (-1, 128 * _MIB),  # M_TRIM_THRESHOLD: so much may lie free at the end of the heap
    (-2, 16 * _MIB),  # M_TOP_PAD: so much more is taken than is needed
    (-8, 1),  # M_ARENA_MAX: librdkafka's threads take and free as well, and would keep as much each
)
"""See mallopt(3); the last is what malloc itself would come to after some long arrays."""


def expect_many_records(longest_kept_bytes: int = 32 * _MIB) -> None:
    """Look for cycles seldom and keep memory that is free; for all of the process, once or more.

    Args:
        longest_kept_bytes: what is longer is given back to the kernel as soon as it is free. Where
            memory is dear that should be little: what comes and goes leaves holes in the heap.
    """
    gc.set_threshold(_OBJECTS, _TIMES, _TIMES)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # other systems' malloc has other habits
        for option, value in (*_MALLOC, (_MMAP_THRESHOLD, longest_kept_bytes)):
            mallopt(option, value)


def give_back_free_memory() -> None:
    """Give whole free pages back to the kernel, wherever in the heap they are; takes milliseconds.

    Worth it where much went that nothing of the same size follows: the kernel fills what is taken
    again with zeros.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
