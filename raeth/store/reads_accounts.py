"""Reads of agents, keys and operator actions, and look-ups in the private tables.

Must not know how secrets are hashed or compared: it is given digests and hands out digests.
"""

from __future__ import annotations

from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Select, Table, select

from raeth.store.cursors import Keyset
from raeth.store.reader import LIMIT_MAX, Reader
from raeth.store.rows import ActionRow, AgentRow, IdentityRow, KeyRow, Page, SessionRow, TicketRow
from raeth.store.tables import Base

AGENTS: Final = Base.metadata.tables["agents"]
KEYS: Final = Base.metadata.tables["api_keys"]
ACTIONS: Final = Base.metadata.tables["admin_actions"]
IDENTITIES: Final = Base.metadata.tables["identities"]
SESSIONS: Final = Base.metadata.tables["sessions"]
TICKETS: Final = Base.metadata.tables["tickets"]
SECRETS: Final = Base.metadata.tables["secrets"]

_strings = msgspec.json.Decoder(tuple[str, ...]).decode


class AccountReads(Reader):
    async def list_agents(self, account: int) -> list[AgentRow]:
        """The agents of an account, oldest first (there is a cap on them)."""
        rows = await self._all(_select(AGENTS, AgentRow._fields, AGENTS.c.account == account).order_by(AGENTS.c.id))
        return [AgentRow(*row) for row in rows]

    async def list_keys(self, agent: int, *, limit: int = LIMIT_MAX) -> list[KeyRow]:
        """The keys of an agent, newest first, revoked ones included."""
        statement = _select(KEYS, KeyRow._fields, KEYS.c.agent == agent)
        rows = await self._all(statement.order_by(KEYS.c.created_ts.desc(), KEYS.c.key_id).limit(limit))
        keys = (KeyRow(*row) for row in rows)
        return [
            key._replace(scopes=_strings(str(key.scopes)), allowed_ips=_strings(str(key.allowed_ips))) for key in keys
        ]

    async def key_digest(self, key_id: str) -> str | None:
        """The digest of any key that ever was: the engine forgets those that were revoked."""
        row = await self._first(_select(KEYS, ("digest",), KEYS.c.key_id == key_id))
        return None if row is None else str(row[0])

    async def list_admin_actions(self, *, before: Keyset | None = None, limit: int = 50) -> Page[ActionRow]:
        """What operators asked for, newest first. Keyset `(seq,)`."""
        assert 1 <= limit <= LIMIT_MAX
        statement = _select(ACTIONS, ActionRow._fields)
        if before is not None:
            statement = statement.where(ACTIONS.c.seq < before[0])
        rows = await self._all(statement.order_by(ACTIONS.c.seq.desc()).limit(limit + 1))
        items = [ActionRow(*row) for row in rows[:limit]]
        return Page(items, (items[-1].seq,) if len(rows) > limit else None)

    async def identity_by_email(self, email: str) -> IdentityRow | None:
        """`email` normalised, as it was stored."""
        row = await self._first(_select(IDENTITIES, IdentityRow._fields, IDENTITIES.c.email == email), private=True)
        return None if row is None else IdentityRow(*row)

    async def identity_by_account(self, account: int) -> IdentityRow | None:
        row = await self._first(_select(IDENTITIES, IdentityRow._fields, IDENTITIES.c.account == account), private=True)
        return None if row is None else IdentityRow(*row)

    async def session(self, token_hash: str) -> SessionRow | None:
        """Expired ones too, until they are swept: the caller has the clock."""
        row = await self._first(
            _select(SESSIONS, SessionRow._fields, SESSIONS.c.token_hash == token_hash), private=True
        )
        return None if row is None else SessionRow(*row)

    async def ticket(self, ticket_hash: str) -> TicketRow | None:
        row = await self._first(_select(TICKETS, TicketRow._fields, TICKETS.c.ticket_hash == ticket_hash), private=True)
        return None if row is None else TicketRow(*row)

    async def secret(self, name: str) -> bytes | None:
        row = await self._first(_select(SECRETS, ("value",), SECRETS.c.name == name), private=True)
        return None if row is None else bytes(row[0])


def _select(table: Table, names: tuple[str, ...], *conditions: ColumnElement[bool]) -> Select[tuple[object, ...]]:
    return select(*(table.c[name] for name in names)).where(*conditions)
