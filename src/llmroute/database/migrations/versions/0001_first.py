"""The first tables."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "llmroute_audit",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("actor", sa.Text(), server_default="", nullable=False),
        sa.Column("action", sa.Text(), server_default="", nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("subject", sa.Text(), server_default="", nullable=False),
        sa.Column("before", sa.Text(), server_default="null", nullable=False),
        sa.Column("after", sa.Text(), server_default="null", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("llmroute_audit_at", "llmroute_audit", ["at"], unique=False)
    op.create_table(
        "llmroute_budgets",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("subject_kind", sa.String(length=16), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("period", sa.String(length=16), nullable=False),
        sa.Column("alias", sa.Text(), server_default="", nullable=False),
        sa.Column("amount", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("message", sa.Text(), server_default="", nullable=False),
        sa.Column("created", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "llmroute_budgets_subject", "llmroute_budgets", ["subject_kind", "subject"], unique=False
    )
    op.create_table(
        "llmroute_calls",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("key_id", sa.String(length=64), nullable=True),
        sa.Column("key", sa.Text(), server_default="", nullable=False),
        sa.Column("owner", sa.Text(), server_default="", nullable=False),
        sa.Column("team", sa.Text(), server_default="", nullable=False),
        sa.Column("tags", sa.Text(), server_default="[]", nullable=False),
        sa.Column("session", sa.Text(), server_default="", nullable=False),
        sa.Column("agent", sa.Text(), server_default="", nullable=False),
        sa.Column("parent", sa.Text(), server_default="", nullable=False),
        sa.Column("kind", sa.Text(), server_default="", nullable=False),
        sa.Column("client", sa.Text(), server_default="", nullable=False),
        sa.Column("endpoint", sa.Text(), server_default="", nullable=False),
        sa.Column("stream", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("asked", sa.Text(), server_default="", nullable=False),
        sa.Column("alias", sa.Text(), server_default="", nullable=False),
        sa.Column("deployment", sa.Text(), server_default="", nullable=False),
        sa.Column("provider", sa.Text(), server_default="", nullable=False),
        sa.Column("model", sa.Text(), server_default="", nullable=False),
        sa.Column("status", sa.Integer(), server_default="0", nullable=False),
        sa.Column("outcome", sa.Text(), server_default="", nullable=False),
        sa.Column("input", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cache_read", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cache_write", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cache_write_1h", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reasoning", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cost", sa.BigInteger(), nullable=True),
        sa.Column("saved", sa.BigInteger(), nullable=True),
        sa.Column("estimated", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("bill", sa.Text(), server_default="{}", nullable=False),
        sa.Column("first_byte", sa.BigInteger(), nullable=True),
        sa.Column("duration", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("attempts", sa.Text(), server_default="[]", nullable=False),
        sa.Column("losses", sa.Text(), server_default="[]", nullable=False),
        sa.Column("why", sa.Text(), server_default="[]", nullable=False),
        sa.Column("prefix", sa.Text(), server_default="{}", nullable=False),
        sa.Column("error", sa.Text(), server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("llmroute_calls_at", "llmroute_calls", ["at"], unique=False)
    op.create_index("llmroute_calls_key", "llmroute_calls", ["key", "at"], unique=False)
    op.create_index("llmroute_calls_session", "llmroute_calls", ["session", "at"], unique=False)
    op.create_table(
        "llmroute_changes",
        sa.Column("id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "llmroute_days",
        sa.Column("day", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("team", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("deployment", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("calls", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("errors", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("unpriced", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("input", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("output", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cache_read", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cache_write", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("cost", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("saved", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("day", "key", "owner", "team", "alias", "deployment", "model"),
    )
    op.create_index("llmroute_days_key", "llmroute_days", ["key", "day"], unique=False)
    op.create_table(
        "llmroute_leases",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("budget_id", sa.String(length=64), nullable=False),
        sa.Column("window", sa.BigInteger(), nullable=False),
        sa.Column("holder", sa.String(length=64), nullable=False),
        sa.Column("amount", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("expires", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("llmroute_leases_expires", "llmroute_leases", ["expires"], unique=False)
    op.create_index(
        "llmroute_leases_window", "llmroute_leases", ["budget_id", "window"], unique=False
    )
    op.create_table(
        "llmroute_pauses",
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=True),
        sa.Column("reason", sa.Text(), server_default="", nullable=False),
        sa.Column("actor", sa.Text(), server_default="", nullable=False),
        sa.Column("ended", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("subject"),
    )
    op.create_table(
        "llmroute_spend",
        sa.Column("budget_id", sa.String(length=64), nullable=False),
        sa.Column("window", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("spent", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("leased", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("budget_id", "window"),
    )
    op.create_table(
        "llmroute_teams",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("aliases", sa.Text(), server_default="[]", nullable=False),
        sa.Column("tags", sa.Text(), server_default="[]", nullable=False),
        sa.Column("limits", sa.Text(), server_default="{}", nullable=False),
        sa.Column("details", sa.Text(), server_default="{}", nullable=False),
        sa.Column("blocked", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("created", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("name"),
    )
    op.create_table(
        "llmroute_keys",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("hint", sa.Text(), server_default="", nullable=False),
        sa.Column("previous_digest", sa.String(length=64), nullable=True),
        sa.Column("previous_until", sa.BigInteger(), nullable=True),
        sa.Column("team_id", sa.String(length=64), nullable=True),
        sa.Column("owner", sa.Text(), server_default="", nullable=False),
        sa.Column("aliases", sa.Text(), server_default="[]", nullable=False),
        sa.Column("tags", sa.Text(), server_default="[]", nullable=False),
        sa.Column("limits", sa.Text(), server_default="{}", nullable=False),
        sa.Column("details", sa.Text(), server_default="{}", nullable=False),
        sa.Column("trusted", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("blocked", sa.Boolean(), server_default="0", nullable=False),
        sa.Column("expires", sa.BigInteger(), nullable=True),
        sa.Column("created", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("created_by", sa.Text(), server_default="", nullable=False),
        sa.Column("revision", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("deleted", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(
            ["team_id"],
            ["llmroute_teams.id"],
        ),
        sa.PrimaryKeyConstraint("id"),
        sa.UniqueConstraint("digest"),
        sa.UniqueConstraint("name"),
        sa.UniqueConstraint("previous_digest"),
    )
    op.create_index("llmroute_keys_revision", "llmroute_keys", ["revision"], unique=False)
    op.create_index("llmroute_keys_team", "llmroute_keys", ["team_id"], unique=False)
