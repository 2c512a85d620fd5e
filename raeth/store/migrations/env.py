"""How alembic runs here: on the connection it is handed, in the one transaction that is open on it.

Must not know where the database is; `raeth.store.migrate` opens it.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy.sql.schema import SchemaItem

from raeth.store.tables import JOURNAL_TABLES, Base


def ours(_item: SchemaItem, name: str | None, kind: str, _reflected: bool, _compare_to: SchemaItem | None) -> bool:
    """Leave out the journal's own tables, which lie in the same database."""
    return not (kind == "table" and name in JOURNAL_TABLES)


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    include_object=ours,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
