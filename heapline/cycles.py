"""Python's search for garbage that refers to itself, made less often.

By default it begins anew after every 700 objects that came and did not go. A thousand records read
at once are thousands of them, none of which refers to itself, and all are gone a moment later: in
a consumer a fifth of all processor time went into looking at them.
"""

from __future__ import annotations

import gc
from typing import Final

_OBJECTS: Final = 100_000
_TIMES: Final = 50
"""Of the searches among new objects, one in so many looks at those that stayed, too."""


def look_for_cycles_seldom() -> None:
    """Look for cycles after 100,000 new objects; for all of the process, as often as called."""
    gc.set_threshold(_OBJECTS, _TIMES, _TIMES)
