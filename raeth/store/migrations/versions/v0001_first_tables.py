"""The first tables. Forward only, as every version is: what would go back is a copy of the database."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

big = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
words = sa.String().with_variant(sa.String(collation="C"), "postgresql")


def when(condition: str) -> dict[str, Any]:
    return {"sqlite_where": sa.text(condition), "postgresql_where": sa.text(condition)}


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", big, autoincrement=False, nullable=False),
        sa.Column("email_digest", words, nullable=False),
        sa.Column("created_ts", big, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )

    op.create_table(
        "admin_actions",
        sa.Column("seq", big, autoincrement=False, nullable=False),
        sa.Column("ts", big, nullable=False),
        sa.Column("action", words, nullable=False),
        sa.Column("actor", words, nullable=False),
        sa.Column("reason", words, nullable=True),
        sa.Column("target", big, nullable=True),
        sa.Column("key_id", words, nullable=True),
        sa.Column("amount_cents", big, nullable=True),
        sa.Column("refused", words, nullable=True),
        sa.PrimaryKeyConstraint("seq"),
    )

    op.create_table(
        "agents",
        sa.Column("id", big, autoincrement=False, nullable=False),
        sa.Column("account", big, nullable=False),
        sa.Column("name", words, nullable=False),
        sa.Column("created_ts", big, nullable=False),
        sa.Column("suspended", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )

    op.create_index("ix_agents_account", "agents", ["account"])

    op.create_table(
        "api_keys",
        sa.Column("key_id", words, nullable=False),
        sa.Column("agent", big, nullable=False),
        sa.Column("digest", words, nullable=False),
        sa.Column("name", words, nullable=False),
        sa.Column("scopes", words, nullable=False),
        sa.Column("expires_real_ms", big, nullable=True),
        sa.Column("allowed_ips", words, nullable=False),
        sa.Column("created_ts", big, nullable=False),
        sa.Column("revoked_ts", big, nullable=True),
        sa.Column("revoked_by", words, nullable=True),
        sa.PrimaryKeyConstraint("key_id"),
    )

    op.create_index("ix_api_keys_agent", "api_keys", ["agent"])

    op.create_table(
        "configurations",
        sa.Column("seq", big, autoincrement=False, nullable=False),
        sa.Column("ts", big, nullable=False),
        sa.Column("engine_version", sa.Integer(), nullable=False),
        sa.Column("settings", words, nullable=False),
        sa.PrimaryKeyConstraint("seq"),
    )

    op.create_table(
        "fills",
        sa.Column("order_id", big, autoincrement=False, nullable=False),
        sa.Column("trade_id", big, autoincrement=False, nullable=False),
        sa.Column("market", big, nullable=False),
        sa.Column("agent", big, nullable=False),
        sa.Column("side", sa.Integer(), nullable=False),
        sa.Column("price", sa.Integer(), nullable=False),
        sa.Column("qty", big, nullable=False),
        sa.Column("liquidity", words, nullable=False),
        sa.Column("fee_cents", big, nullable=False),
        sa.Column("ts", big, nullable=False),
        sa.PrimaryKeyConstraint("order_id", "trade_id"),
        sqlite_with_rowid=False,
    )

    op.create_index("ix_fills_agent", "fills", ["agent", "trade_id"])
    op.create_index("ix_fills_market", "fills", ["market", "trade_id"], **when("liquidity = 'TAKER'"))

    op.create_table(
        "identities",
        sa.Column("account", big, autoincrement=False, nullable=False),
        sa.Column("email", words, nullable=False),
        sa.Column("password_hash", words, nullable=True),
        sa.PrimaryKeyConstraint("account"),
    )

    op.create_index("ix_identities_email", "identities", ["email"], unique=True)

    op.create_table(
        "ledger",
        sa.Column("wallet", big, autoincrement=False, nullable=False),
        sa.Column("seq", big, autoincrement=False, nullable=False),
        sa.Column("n", sa.Integer(), nullable=False),
        sa.Column("account", big, nullable=False),
        sa.Column("kind", words, nullable=False),
        sa.Column("amount_cents", big, nullable=False),
        sa.Column("balance_after_cents", big, nullable=False),
        sa.Column("market", big, nullable=True),
        sa.Column("ts", big, nullable=False),
        sa.PrimaryKeyConstraint("wallet", "seq", "n"),
        sqlite_with_rowid=False,
    )

    op.create_table(
        "markets",
        sa.Column("id", big, autoincrement=False, nullable=False),
        sa.Column("symbol", words, nullable=False),
        sa.Column("slug", words, nullable=False),
        sa.Column("configuration", big, nullable=False),
        sa.Column("status", words, nullable=False),
        sa.Column("open_at", big, nullable=False),
        sa.Column("close_at", big, nullable=False),
        sa.Column("listed_ts", big, nullable=False),
        sa.Column("halted", sa.Boolean(), nullable=False),
        sa.Column("open_price_cents", big, nullable=True),
        sa.Column("open_source", words, nullable=True),
        sa.Column("close_price_cents", big, nullable=True),
        sa.Column("close_source", words, nullable=True),
        sa.Column("outcome", words, nullable=True),
        sa.Column("reason", words, nullable=True),
        sa.Column("resolved_ts", big, nullable=True),
        sa.Column("last_price", sa.Integer(), nullable=True),
        sa.Column("volume", big, nullable=False),
        sa.Column("trades", big, nullable=False),
        sa.Column("open_interest", big, nullable=True),
        sa.Column("fees_cents", big, nullable=False),
        sa.Column("seq", big, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )

    op.create_index("ix_markets_close", "markets", ["close_at", "id"])
    op.create_index("ix_markets_symbol", "markets", ["symbol"])

    op.create_table(
        "orders",
        sa.Column("id", big, autoincrement=False, nullable=False),
        sa.Column("agent", big, nullable=False),
        sa.Column("account", big, nullable=False),
        sa.Column("market", big, nullable=False),
        sa.Column("side", sa.Integer(), nullable=False),
        sa.Column("type", words, nullable=False),
        sa.Column("tif", words, nullable=False),
        sa.Column("price", big, nullable=True),
        sa.Column("qty", big, nullable=False),
        sa.Column("remaining", big, nullable=False),
        sa.Column("reduce_only", sa.Boolean(), nullable=False),
        sa.Column("stp", words, nullable=False),
        sa.Column("client_order_id", words, nullable=True),
        sa.Column("quote_id", words, nullable=True),
        sa.Column("expires_at", big, nullable=True),
        sa.Column("created_ts", big, nullable=False),
        sa.Column("updated_ts", big, nullable=False),
        sa.Column("seq", big, nullable=False),
        sa.Column("status", words, nullable=False),
        sa.Column("filled", big, nullable=False),
        sa.Column("notional", big, nullable=False),
        sa.Column("fee_cents", big, nullable=False),
        sa.Column("reject_reason", words, nullable=True),
        sa.Column("reject_details", words, nullable=True),
        sa.Column("cancel_reason", words, nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )

    op.create_index("ix_orders_agent", "orders", ["agent", "id"])
    op.create_index(
        "ix_orders_client_id", "orders", ["agent", "client_order_id"], **when("client_order_id IS NOT NULL")
    )

    op.create_table(
        "prints",
        sa.Column("boundary", big, autoincrement=False, nullable=False),
        sa.Column("price_cents", big, nullable=True),
        sa.Column("source_ts", big, nullable=True),
        sa.Column("source", words, nullable=False),
        sa.Column("rule", words, nullable=False),
        sa.Column("reason", words, nullable=True),
        sa.Column("inputs", words, nullable=False),
        sa.Column("seq", big, nullable=False),
        sa.Column("ts", big, nullable=False),
        sa.Column("opens", big, nullable=True),
        sa.Column("closes", big, nullable=True),
        sa.PrimaryKeyConstraint("boundary"),
    )

    op.create_table(
        "reference_ticks",
        sa.Column("ts", big, autoincrement=False, nullable=False),
        sa.Column("seq", big, autoincrement=False, nullable=False),
        sa.Column("price_cents", big, nullable=False),
        sa.Column("source_ts", big, nullable=False),
        sa.Column("source", words, nullable=False),
        sa.PrimaryKeyConstraint("ts", "seq"),
        sqlite_with_rowid=False,
    )

    op.create_table(
        "secrets",
        sa.Column("name", words, nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )

    op.create_table(
        "sessions",
        sa.Column("token_hash", words, nullable=False),
        sa.Column("account", big, nullable=False),
        sa.Column("expires_real_ms", big, nullable=False),
        sa.PrimaryKeyConstraint("token_hash"),
    )

    op.create_table(
        "tickets",
        sa.Column("ticket_hash", words, nullable=False),
        sa.Column("agent", big, nullable=False),
        sa.Column("key_id", words, nullable=False),
        sa.Column("expires_real_ms", big, nullable=False),
        sa.Column("claim", words, nullable=True),
        sa.PrimaryKeyConstraint("ticket_hash"),
    )

    op.create_table(
        "transfers",
        sa.Column("id", big, autoincrement=False, nullable=False),
        sa.Column("account", big, nullable=False),
        sa.Column("source", big, nullable=False),
        sa.Column("target", big, nullable=False),
        sa.Column("amount_cents", big, nullable=False),
        sa.Column("client_transfer_id", words, nullable=True),
        sa.Column("ts", big, nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )

    op.create_index("ix_transfers_account", "transfers", ["account", "id"])
