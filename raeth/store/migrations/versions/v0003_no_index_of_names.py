"""An order is found by its client's key through the journal's keys, which know it already: no index of the tables'."""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_index("ix_orders_client_id", "orders")
