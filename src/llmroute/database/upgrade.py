"""The schema brought to the revision that this version of llmroute works with."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from llmroute.database.schema import REVISION, VERSIONS
from llmroute.errors import StoreError

__all__ = ["migrate", "revision_of"]

# Of the lock under which PostgreSQL's schema is upgraded; any number will do.
_LOCK: Final = 0x6C6C6D726F757465
# Alembic keeps what it works on in its modules, for one upgrade at a time.
_UPGRADING: Final = threading.Lock()


def revision_of(connection: Connection) -> str:
    """Return the revision that the schema is at; empty if there is none yet."""
    if not inspect(connection).has_table(VERSIONS):
        return ""
    return connection.scalar(text(f"SELECT version_num FROM {VERSIONS}")) or ""  # noqa: S608


def migrate(connection: Connection) -> bool:
    """Upgrade the schema in the connection's transaction; return whether there was anything to do.

    One process does it, and the others wait.  Rows are kept.

    Raises:
        StoreError: The schema is of a later version of llmroute's.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
    found = revision_of(connection)
    if found == REVISION:
        return False
    # Only here: most starts find nothing to do, and the packages take their time to import.
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found and found not in known:
        raise StoreError(
            f"the database is of a later version of llmroute (its schema is at {found}, this "
            f"version works with {REVISION}); install that version, or name another database"
        )
    config.attributes["connection"] = connection
    with _UPGRADING:
        command.upgrade(config, "head")
    return True
