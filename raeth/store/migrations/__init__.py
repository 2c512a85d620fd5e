"""The versions of the tables, oldest first, and alembic's way to run them. A version, once released, never changes."""
