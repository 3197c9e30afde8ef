"""A reader's query: its columns, its rows as text, and its result as a file.

A query is one that gives rows. It runs inside a SELECT of ours, on a file attached read only, so it
can change nothing. Times come as ISO 8601 in UTC.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

import duckdb

from state.database import quoted
from state.errors import QueryRefused, file_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from state.database import Database

_TIME: Final = "TIMESTAMP WITH TIME ZONE"
_ISO: Final = "%Y-%m-%dT%H:%M:%S.%gZ"


class FileFormat(StrEnum):
    """What a result can be written as."""

    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


class Query:
    """A query on one file.

    Attributes:
        columns: names of the result's columns.

    Args:
        database: a replica, or the views of any store.
        sql: SELECT, FROM, WITH, VALUES, DESCRIBE, SUMMARIZE or SHOW.

    Raises:
        QueryRefused: it is something else, or wrong; DuckDB's words say where.
    """

    def __init__(self, database: Database, sql: str) -> None:
        self._database = database
        # On lines of its own: a comment at its end must not swallow what stands behind it.
        self._asked = f"(\n{sql.strip().rstrip(';')}\n)"
        try:
            asked = f"DESCRIBE SELECT * FROM {self._asked}"
            if len(duckdb.extract_statements(asked)) != 1:
                raise QueryRefused("ask one query at a time")
            described = database.run(asked).rows
        except duckdb.Error as error:
            raise QueryRefused(f"{error}") from error
        self.columns: list[str] = [name for name, *_ in described]
        self._kinds: list[str] = [kind for _, kind, *_ in described]

    def rows(self, most: int | None = None) -> Iterator[tuple[str | None, ...]]:
        """Give the rows as text, as they are read.

        Args:
            most: no more than so many.

        Raises:
            QueryRefused: it fails while it runs, by a division by zero, say.
        """
        limit = "" if most is None else f" LIMIT {most}"
        texts = ", ".join(self._text(place) for place in range(len(self.columns)))
        yield from self._run(f"SELECT {texts} FROM {self._asked} AS asked{self._names()}{limit}")

    def objects(self) -> Iterator[str]:
        """Give the rows as JSON objects.

        Raises:
            QueryRefused: it fails while it runs.
        """
        pairs = ", ".join(
            f"{_literal(name)}, {self._json(place)}" for place, name in enumerate(self.columns)
        )
        sql = f"SELECT json_object({pairs}) FROM {self._asked} AS asked{self._names()}"
        for (row,) in self._run(sql):
            yield str(row)

    def write(self, target: Path, file_format: FileFormat) -> int:
        """Write the result to a file, which appears when it is complete.

        Returns:
            How many rows.

        Raises:
            QueryRefused: it fails while it runs.
            DiskFull, StateUnwritable: the file could not be written; an older one is as it was.
        """
        how = {
            FileFormat.CSV: "FORMAT csv, HEADER true",
            FileFormat.JSON: "FORMAT json, ARRAY true",
            FileFormat.PARQUET: "FORMAT parquet, COMPRESSION zstd",
        }[file_format]
        partial = target.with_name(f".{target.name}.partial")
        try:
            with file_errors(target):
                copied = list(self._run(f"COPY {self._asked} TO {quoted(partial)} ({how})"))
                partial.replace(target)
        finally:
            partial.unlink(missing_ok=True)
        return int(str(copied[0][0]))

    def _names(self) -> str:
        """Name the columns by place: two may have one name."""
        return "(" + ", ".join(f"c{place}" for place in range(len(self.columns))) + ")"

    def _text(self, place: int) -> str:
        if self._kinds[place] == _TIME:
            return f"strftime(c{place}, '{_ISO}')"
        return f"c{place}::VARCHAR"

    def _json(self, place: int) -> str:
        return self._text(place) if self._kinds[place] == _TIME else f"c{place}"

    def _run(self, sql: str) -> Iterator[tuple[str | None, ...]]:
        try:
            yield from self._database.stream(sql)
        except duckdb.Error as error:
            raise QueryRefused(f"{error}") from error


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
