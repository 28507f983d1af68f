"""What is in the database, copied: a file that is the same database, or its rows as text."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Table, func, select

from llmroute.database.schema import (
    audit,
    budgets,
    calls,
    days,
    keys,
    pauses,
    spend,
    teams,
)
from llmroute.database.upgrade import revision_of
from llmroute.errors import StoreError

__all__ = ["TABLES", "Contents", "back_up", "contents", "rows"]

TABLES: Final[dict[str, Table]] = {
    "calls": calls,
    "days": days,
    "keys": keys,
    "teams": teams,
    "budgets": budgets,
    "spend": spend,
    "pauses": pauses,
    "audit": audit,
}
"""What can be exported, by name."""

# What a key could be found out from, or be known again by.
_SECRET: Final = frozenset({"digest", "previous_digest"})
# Lists and objects, which are text in the database.
_NESTED: Final = frozenset(
    {
        *("aliases", "tags", "limits", "details", "bill", "attempts", "losses", "why", "prefix"),
        *("before", "after"),
    }
)
_AT_ONCE: Final = 1000  # rows


class Contents(NamedTuple):
    """What a database holds.

    Attributes:
        revision: Of its schema.
        rows: How many, by the name of the table.
    """

    revision: str
    rows: dict[str, int]


def contents(connection: Connection) -> Contents:
    """Count what there is; on a large database that takes its time."""
    counts = {
        name: connection.scalar(select(func.count()).select_from(table)) or 0
        for name, table in TABLES.items()
    }
    return Contents(revision_of(connection), counts)


def rows(connection: Connection, name: str) -> Iterator[dict[str, Any]]:
    """Return the rows of a table, a few at a time; nothing of a key's secret is among them."""
    table = TABLES[name]
    columns = [column for column in table.c if column.name not in _SECRET]
    streamed = connection.execution_options(yield_per=_AT_ONCE).execute(select(*columns))
    for row in streamed.mappings():
        yield {
            column: json.loads(value) if column in _NESTED and value is not None else value
            for column, value in row.items()
        }


def back_up(connection: Connection, path: Path) -> None:
    """Copy SQLite's database into a new file, whole, while it is in use.

    Raises:
        StoreError: The file is there already, or cannot be written.
    """
    source: Any = connection.connection.driver_connection
    try:
        # Nobody else may read it, from the start.
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        with contextlib.closing(sqlite3.connect(path)) as copy:
            source.backup(copy)
    except FileExistsError:
        raise StoreError(f"{path} is there already; name a new file") from None
    except OSError as error:
        raise StoreError(f"cannot write {path}: {error.strerror}") from None
    except sqlite3.Error as error:
        path.unlink(missing_ok=True)
        raise StoreError(f"cannot write {path}: {error}") from None
