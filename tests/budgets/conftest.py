"""A server that speaks Redis for each file."""

from __future__ import annotations

from tests.budgets.redis import redis

__all__ = ["redis"]
