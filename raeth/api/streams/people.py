"""Who has how many streams open, and the credentials that open one. Must not know channels or frames."""

from __future__ import annotations

import secrets
from collections import Counter
from typing import TYPE_CHECKING, Final

from raeth.api.access import Access, Budget
from raeth.api.budgets import bucket
from raeth.api.call import Call
from raeth.api.credentials import CREDENTIAL_MAX, TICKET, token_hash
from raeth.api.streams.subscriptions import Identity
from raeth.clock import real_now_ms
from raeth.engine.state import Key
from raeth.errors import Code, RaethError
from raeth.store.private import use_ticket

if TYPE_CHECKING:
    from raeth.api.venue import Venue

WAIT_MS: Final = 1_000
"""When to try again after one stream too many: as soon as one has ended."""


class Places:
    """Open streams, counted by agent, key and address (contract, section 12)."""

    def __init__(self, venue: Venue) -> None:
        self._limits = venue.settings.limits
        self._open: Counter[tuple[str, int | str]] = Counter()

    def take_address(self, address: str) -> None:
        """Raises RATE_LIMITED."""
        self._take((("address", bucket(address)), self._limits.sockets_per_address))

    def free_address(self, address: str) -> None:
        self._free(("address", bucket(address)))

    def take_agent(self, identity: Identity) -> None:
        """Raises RATE_LIMITED."""
        limits = self._limits
        agent, key = ("agent", identity.agent), ("key", identity.key_id)
        self._take((agent, limits.sockets_per_agent), (key, limits.sockets_per_key))

    def free_agent(self, identity: Identity) -> None:
        self._free(("agent", identity.agent), ("key", identity.key_id))

    def _take(self, *wanted: tuple[tuple[str, int | str], int]) -> None:
        for place, most in wanted:
            if self._open[place] >= most:
                details = {"connections": most, "per": place[0]}
                raise RaethError(Code.RATE_LIMITED, details=details, retry_after_ms=WAIT_MS)
        for place, _ in wanted:
            self._open[place] += 1

    def _free(self, *places: tuple[str, int | str]) -> None:
        for place in places:
            self._open[place] -= 1
            if not self._open[place]:
                del self._open[place]


async def identify(call: Call, ticket: str | None = None) -> Key | None:
    """The key a stream is opened with, by header or by ticket, or None. Costs a read. Raises AUTH_…, RATE_LIMITED."""
    door = call.venue.door
    if ticket is None:
        if not door.admit_now(call, Access.OPTIONAL_AGENT):
            await door.admit(call, Access.OPTIONAL_AGENT)
        await call.venue.budgets.spend(call, Budget.READ).agreed()
        return call.key
    key = await _by_ticket(call, ticket)
    call.key = key
    await call.venue.budgets.spend(call, Budget.READ).agreed()
    return key


def identity_of(key: Key) -> Identity:
    return Identity(key.agent.id, key.spec.key_id, key.spec.scopes)


async def identify_by_key(opened: Call, api_key: str) -> Key:
    """The key that was sent in a message over the stream `opened`, which stays as it is. Raises the AUTH_… codes,
    IP_NOT_ALLOWED, and FORBIDDEN for what is a credential but no agent's."""
    call = Call(opened.scope, opened.receive, opened.raw_send, opened.venue)
    call.raw_headers = {**opened.raw_headers, b"authorization": f"Bearer {api_key}".encode("utf-8", "replace")}
    if not call.venue.door.admit_now(call, Access.AGENT_ANY):
        await call.venue.door.admit(call, Access.AGENT_ANY)
    assert call.key is not None, "AGENT_ANY lets in keys only"
    return call.key


async def _by_ticket(call: Call, ticket: str) -> Key:
    """The key a ticket was made with; the ticket is used up. Raises AUTH_INVALID, AUTH_EXPIRED, AUTH_REVOKED, and
    IP_NOT_ALLOWED: a ticket reaches no further than its key."""
    venue = call.venue
    if not ticket.startswith(TICKET) or len(ticket) > CREDENTIAL_MAX:
        raise _failed(call, Code.AUTH_INVALID)
    hashed, claim = token_hash(ticket), secrets.token_hex(16)
    if await venue.store.ticket(hashed) is None:  # a guess must not cost the journal's writer anything
        raise _failed(call, Code.AUTH_INVALID)
    await venue.sequencer.write([use_ticket(hashed, claim)])
    row = await venue.store.ticket(hashed)
    if row is None or row.claim != claim:
        raise _failed(call, Code.AUTH_INVALID)
    if row.expires_real_ms <= real_now_ms():
        raise _failed(call, Code.AUTH_EXPIRED)
    state = await venue.sequencer.settled()
    key = state.keys.get(row.key_id)
    if key is None or key.agent.id != row.agent:
        raise _failed(call, Code.AUTH_REVOKED)
    if key.spec.expires_at is not None and key.spec.expires_at <= real_now_ms():
        raise _failed(call, Code.AUTH_EXPIRED)
    if not venue.door.from_allowed_address(call, key):
        raise _failed(call, Code.IP_NOT_ALLOWED)
    return key


def _failed(call: Call, code: Code) -> RaethError:
    call.venue.budgets.spend_failure(call)
    return RaethError(code)
