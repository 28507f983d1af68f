"""Where the database is, and how it is spoken to."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final, NamedTuple

from sqlalchemy import Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

__all__ = ["MEMORY", "Address", "Engines", "address_of", "engines"]

_FORM = "sqlite:////absolute/path, or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
MEMORY: Final = "sqlite://"
"""The address of a database that is gone with the process."""
_DRIVERS: Final = {
    "sqlite": "sqlite+pysqlite",
    "postgresql": "postgresql+psycopg",
    "postgres": "postgresql+psycopg",
}
# How long a statement waits for another process's transaction.
_PATIENCE = 5.0  # seconds
_CONNECTIONS = 4


class Address(NamedTuple):
    """Where a database is.

    Attributes:
        url: With the driver, and the password, which no `repr` shows.
        path: The file, for SQLite; `None` for a server, and for memory.
    """

    url: URL
    path: Path | None

    @property
    def is_memory(self) -> bool:
        """Whether it is gone with the process."""
        return self.path is None and self.url.get_backend_name() == "sqlite"

    def __str__(self) -> str:
        """Return what can be shown: the file, or the host and the database."""
        if self.path is not None:
            return str(self.path)
        if self.is_memory:
            return "memory"
        return f"{self.url.host or 'localhost'}:{self.url.port or 5432}/{self.url.database or ''}"


def address_of(url: str) -> Address:
    """Read an address.

    Raises:
        ValueError: It is none of a database we know; the message repeats nothing of it.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(f"not an address of a database; it has the form {_FORM}") from None
    driver = _DRIVERS.get(parsed.drivername.partition("+")[0])
    if driver is None:
        raise ValueError(f"not an address of SQLite or PostgreSQL; it has the form {_FORM}")
    if not driver.startswith("sqlite"):
        return Address(parsed.set(drivername=driver), None)
    if url == MEMORY:
        return Address(parsed.set(drivername=driver), None)
    if not parsed.database or parsed.database == ":memory:" or parsed.host:
        raise ValueError(f"an address of SQLite names a file; it has the form {_FORM}")
    return Address(parsed.set(drivername=driver), Path(parsed.database))


class Engines(NamedTuple):
    """What gives connections.

    SQLite lets one connection write at a time; who is to write waits here for the only one that
    may, in its turn, and not in the database, where one tries again and again.
    """

    read: Engine
    write: Engine


def engines(address: Address) -> Engines:
    """Return engines that have not connected yet."""
    if address.is_memory:
        # Another connection would be another database.
        engine = _sqlite(address, "BEGIN IMMEDIATE", 1)
        return Engines(engine, engine)
    if address.path is None:
        engine = create_engine(
            address.url,
            pool_size=_CONNECTIONS,
            max_overflow=0,
            pool_pre_ping=True,
            pool_timeout=_PATIENCE,
            connect_args={"connect_timeout": int(_PATIENCE), "application_name": "llmroute"},
            hide_parameters=True,
        )
        return Engines(engine, engine)
    return Engines(_sqlite(address, "BEGIN", _CONNECTIONS), _sqlite(address, "BEGIN IMMEDIATE", 1))


def _sqlite(address: Address, begin: str, connections: int) -> Engine:
    engine = create_engine(
        address.url,
        poolclass=QueuePool,
        pool_size=connections,
        max_overflow=0,
        pool_timeout=_PATIENCE,
        # A connection is handed from thread to thread, one at a time.
        connect_args={"timeout": _PATIENCE, "check_same_thread": False},
        hide_parameters=True,
    )

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: object) -> None:
        # The driver would begin transactions of its own, and only before some statements.
        connection.isolation_level = None
        for pragma in (
            "journal_mode=WAL",  # readers and the writer do not wait for each other
            "synchronous=NORMAL",  # a crash of the machine may lose the last commits, never more
            "foreign_keys=ON",
        ):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(connection: Any) -> None:
        connection.exec_driver_sql(begin)

    return engine
