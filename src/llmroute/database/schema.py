"""The tables.

Times are microseconds since 1970 in UTC, money is micro-dollars, both as 64-bit integers; lists and
objects are JSON text.  The same statements run on SQLite and PostgreSQL.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)

__all__ = [
    "PREFIX",
    "REVISION",
    "VERSIONS",
    "audit",
    "budgets",
    "calls",
    "changes",
    "days",
    "keys",
    "leases",
    "metadata",
    "pauses",
    "spend",
    "teams",
]

PREFIX: Final = "llmroute_"
"""What the name of every table begins with: the database may be another program's as well."""
VERSIONS: Final = PREFIX + "version"
"""The table with the revision that the schema is at."""
REVISION: Final = "0001"
"""The revision that this version of llmroute works with: the last of the migrations."""

metadata = MetaData()


def _text(name: str, default: str = "") -> Column[str]:
    return Column(name, Text, nullable=False, server_default=default)


def _flag(name: str) -> Column[bool]:
    return Column(name, Boolean, nullable=False, server_default="0")


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _perhaps(name: str) -> Column[int]:
    return Column(name, BigInteger)


changes = Table(
    f"{PREFIX}changes",
    metadata,
    # One row: counted up with every change of a key, a team or a budget, which notes the count.
    Column("id", Integer, primary_key=True, autoincrement=False),
    _number("revision"),
)

teams = Table(
    f"{PREFIX}teams",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    _text("aliases", "[]"),
    _text("tags", "[]"),
    _text("limits", "{}"),
    _text("details", "{}"),
    _flag("blocked"),
    _number("created"),
    _number("revision"),
    _perhaps("deleted"),
)

keys = Table(
    f"{PREFIX}keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    # SHA-256 of the key, in hex: a key is drawn with 256 bits, so there is nothing to guess.
    Column("digest", String(64), nullable=False, unique=True),
    _text("hint"),
    # The key before this one, and until when it is still taken.
    Column("previous_digest", String(64), unique=True),
    _perhaps("previous_until"),
    Column("team_id", String(64), ForeignKey(f"{PREFIX}teams.id")),
    _text("owner"),
    _text("aliases", "[]"),
    _text("tags", "[]"),
    _text("limits", "{}"),
    _text("details", "{}"),
    _flag("trusted"),
    _flag("blocked"),
    _perhaps("expires"),
    _number("created"),
    _text("created_by"),
    _number("revision"),
    _perhaps("deleted"),
    Index(f"{PREFIX}keys_revision", "revision"),
    Index(f"{PREFIX}keys_team", "team_id"),
)

budgets = Table(
    f"{PREFIX}budgets",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("subject_kind", String(16), nullable=False),
    Column("subject", Text, nullable=False),
    Column("period", String(16), nullable=False),
    # A pattern of aliases; empty for all of them.
    _text("alias"),
    _number("amount"),
    _text("message"),
    _number("created"),
    _number("revision"),
    _perhaps("deleted"),
    Index(f"{PREFIX}budgets_subject", "subject_kind", "subject"),
)

spend = Table(
    f"{PREFIX}spend",
    metadata,
    Column("budget_id", String(64), primary_key=True),
    # When the window began; 0 for one that never ends.
    Column("window", BigInteger, primary_key=True, autoincrement=False),
    _number("spent"),
    _number("leased"),
)

leases = Table(
    f"{PREFIX}leases",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("budget_id", String(64), nullable=False),
    Column("window", BigInteger, nullable=False),
    # The process that may spend it.
    Column("holder", String(64), nullable=False),
    # What is left of it.
    _number("amount"),
    _number("expires"),
    Index(f"{PREFIX}leases_window", "budget_id", "window"),
    Index(f"{PREFIX}leases_expires", "expires"),
)

calls = Table(
    f"{PREFIX}calls",
    metadata,
    Column("id", String(64), primary_key=True),
    _number("at"),
    Column("key_id", String(64)),
    _text("key"),
    _text("owner"),
    _text("team"),
    _text("tags", "[]"),
    _text("session"),
    _text("agent"),
    _text("parent"),
    _text("kind"),
    _text("client"),
    _text("endpoint"),
    _flag("stream"),
    _text("asked"),
    _text("alias"),
    _text("deployment"),
    _text("provider"),
    _text("model"),
    Column("status", Integer, nullable=False, server_default="0"),
    _text("outcome"),
    _number("input"),
    _number("output"),
    _number("cache_read"),
    _number("cache_write"),
    _number("cache_write_1h"),
    _number("reasoning"),
    # Null where nobody knows the price.
    _perhaps("cost"),
    # What caching saved, against the same tokens as plain input.
    _perhaps("saved"),
    # What the tokens were not told but guessed for.
    _flag("estimated"),
    _text("bill", "{}"),
    _perhaps("first_byte"),
    _number("duration"),
    _text("attempts", "[]"),
    _text("losses", "[]"),
    _text("why", "[]"),
    _text("prefix", "{}"),
    _text("error"),
    Index(f"{PREFIX}calls_at", "at"),
    Index(f"{PREFIX}calls_key", "key", "at"),
    Index(f"{PREFIX}calls_session", "session", "at"),
)

days = Table(
    f"{PREFIX}days",
    metadata,
    # Days since 1970 in UTC.
    Column("day", Integer, primary_key=True, autoincrement=False),
    Column("key", Text, primary_key=True),
    Column("owner", Text, primary_key=True),
    Column("team", Text, primary_key=True),
    Column("alias", Text, primary_key=True),
    Column("deployment", Text, primary_key=True),
    Column("model", Text, primary_key=True),
    _number("calls"),
    _number("errors"),
    # Of these the cost is unknown.
    _number("unpriced"),
    _number("input"),
    _number("output"),
    _number("cache_read"),
    _number("cache_write"),
    _number("cost"),
    _number("saved"),
    Index(f"{PREFIX}days_key", "key", "day"),
)

audit = Table(
    f"{PREFIX}audit",
    metadata,
    Column("id", String(64), primary_key=True),
    _number("at"),
    # Who did it: the name of a key, or of the command.
    _text("actor"),
    _text("action"),
    _text("kind"),
    _text("subject"),
    _text("before", "null"),
    _text("after", "null"),
    Index(f"{PREFIX}audit_at", "at"),
)

pauses = Table(
    f"{PREFIX}pauses",
    metadata,
    # A key, by its name or id, or a session.
    Column("subject", Text, primary_key=True),
    _number("at"),
    _perhaps("until"),
    _text("reason"),
    _text("actor"),
    # When it was resumed.  It stays for a while, so that every process hears of it.
    _perhaps("ended"),
)
