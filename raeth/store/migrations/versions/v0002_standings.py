"""The leaderboard's tables. In a venue that has traded already, `raeth.store.refill` fills them from the journal."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
words = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def upgrade() -> None:
    op.create_table(
        "account_pairs",
        sa.Column("account", big, autoincrement=False, nullable=False),
        sa.Column("other", big, autoincrement=False, nullable=False),
        sa.Column("off_fair_cents", big, nullable=False),
        sa.Column("uncounted_cents", big, nullable=False),
        sa.Column("change_cents", big, nullable=False),
        sa.Column("market", big, nullable=False),
        sa.Column("seq", big, nullable=False),
        sa.PrimaryKeyConstraint("account", "other"),
        sqlite_with_rowid=False,
    )

    op.create_table(
        "fair_values",
        sa.Column("seq", big, autoincrement=False, nullable=False),
        sa.Column("ts", big, nullable=False),
        sa.Column("market", big, nullable=True),
        sa.Column("price_cents", big, nullable=False),
        sa.Column("fair", sa.Integer(), nullable=True),
        sa.Column("sampled_ts", big, nullable=False),
        sa.Column("sampled_price_cents", big, nullable=False),
        sa.Column("variance", big, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )

    op.create_table(
        "standings",
        sa.Column("account", big, autoincrement=False, nullable=False),
        sa.Column("agent", big, nullable=False),
        sa.Column("name", words, nullable=False),
        sa.Column("house", sa.Boolean(), nullable=False),
        sa.Column("granted_cents", big, nullable=False),
        sa.Column("pnl_cents", big, nullable=False),
        sa.Column("uncounted_cents", big, nullable=False),
        sa.Column("ranked_cents", big, nullable=False),
        sa.Column("peak_cents", big, nullable=False),
        sa.Column("drawdown_cents", big, nullable=False),
        sa.Column("volume", big, nullable=False),
        sa.Column("notional_cents", big, nullable=False),
        sa.Column("windows", big, nullable=False),
        sa.Column("decided", big, nullable=False),
        sa.Column("hits", big, nullable=False),
        sa.Column("last_market", big, nullable=True),
        sa.Column("updated_ts", big, nullable=False),
        sa.Column("seq", big, nullable=False),
        sa.PrimaryKeyConstraint("account"),
    )

    op.create_index(
        "ix_standings_rank",
        "standings",
        ["ranked_cents", "granted_cents", "account"],
        sqlite_where=sa.text("windows > 0"),
        postgresql_where=sa.text("windows > 0"),
    )

    op.create_table(
        "window_pairs",
        sa.Column("market", big, autoincrement=False, nullable=False),
        sa.Column("agent", big, autoincrement=False, nullable=False),
        sa.Column("other", big, autoincrement=False, nullable=False),
        sa.Column("qty", big, nullable=False),
        sa.Column("notional_cents", big, nullable=False),
        sa.Column("net", big, nullable=False),
        sa.Column("edge_cents", big, nullable=False),
        sa.Column("seq", big, nullable=False),
        sa.PrimaryKeyConstraint("market", "agent", "other"),
        sqlite_with_rowid=False,
    )

    op.create_table(
        "window_results",
        sa.Column("market", big, autoincrement=False, nullable=False),
        sa.Column("account", big, autoincrement=False, nullable=False),
        sa.Column("pnl_cents", big, nullable=False),
        sa.Column("uncounted_cents", big, nullable=False),
        sa.Column("volume", big, nullable=False),
        sa.Column("notional_cents", big, nullable=False),
        sa.Column("ts", big, nullable=False),
        sa.Column("seq", big, nullable=False),
        sa.PrimaryKeyConstraint("market", "account"),
        sqlite_with_rowid=False,
    )
