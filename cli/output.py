"""What every command shares: tables, JSON, errors in words, and exit codes."""

from __future__ import annotations

import os
import re
import sys
import traceback
from enum import IntEnum
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from cli.plain_text import columns, printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from operations.findings import Finding

_MASK: Final = "********"
_TAIL_CHARACTERS: Final = 4
_LONG_ENOUGH_FOR_A_TAIL: Final = 16
_CREDENTIALS_IN_URL: Final = re.compile(r"(?<=://)[^/@\s]+(?=@)")


class ExitCode(IntEnum):
    """How a command ended."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    SET_ASIDE = 3
    INTERRUPTED = 130


def print_json(value: Any) -> None:  # noqa: ANN401 -- anything that JSON can hold
    """Print one JSON value on one line."""
    import orjson  # noqa: PLC0415 -- only where JSON is asked for

    print(orjson.dumps(value).decode())


def print_table(titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows in columns under titles; nothing in them can steer the terminal."""
    cells = [[printable("" if each is None else str(each)) for each in row] for row in rows]
    for line in columns([[title.upper() for title in titles], *cells]):
        print(line)


def print_findings(findings: Iterable[Finding]) -> None:
    """Print what a check found and what to do about it; a fix for several in a row once."""
    for fix, together in groupby(findings, key=lambda finding: finding.fix):
        for finding in together:
            print(f"{finding.about}: {finding.problem}")
        print(f"    {fix}")


def masked(secret: str | None) -> str | None:
    """Hide a secret; long ones keep their last four characters, to tell two apart."""
    if secret is None:
        return None
    return _MASK + (secret[-_TAIL_CHARACTERS:] if len(secret) >= _LONG_ENOUGH_FOR_A_TAIL else "")


def without_credentials(text: str) -> str:
    """Hide user name and password in addresses."""
    return _CREDENTIALS_IN_URL.sub(_MASK, text)


def tell(message: str) -> None:
    """Say something to the person, on standard error."""
    print(message, file=sys.stderr)


def tell_error(error: BaseException) -> ExitCode:
    """Say what went wrong, in words, and choose the exit code.

    A traceback is shown with HEAPLINE_LOG__LEVEL=debug only.
    """
    from heapline.errors import HeaplineError, InvalidSetting  # noqa: PLC0415 -- see `cli.main`

    debug = os.environ.get("HEAPLINE_LOG__LEVEL", "").lower() == "debug"
    if debug:
        traceback.print_exception(error)
    if isinstance(error, InvalidSetting):
        tell(f"heapline: the settings are not valid:\n{error}")
        return ExitCode.USAGE
    if isinstance(error, (HeaplineError, OSError)):
        tell(f"heapline: {error}")
    else:
        tell(f"heapline: this should not have happened: {type(error).__name__}: {error}")
        if not debug:
            tell("Run it again with HEAPLINE_LOG__LEVEL=debug to see where.")
    return ExitCode.FAILED
