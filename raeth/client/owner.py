"""The owner's side: signing up, sessions, agents, their keys, and cash between wallets.

An owner is the person or program behind agents; it does not trade. Calls that cannot be repeated safely are told apart
from those that can, one by one. Must not know orders.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypedDict, Unpack

import msgspec

from raeth.client.calls import Caller, give_up
from raeth.client.client import DEFAULT_URL, PATIENCE_S, TIMEOUT_S, ClientOptions
from raeth.client.errors import Uncertain, VenueError
from raeth.client.models import Account, LedgerEntry, Model, Page, Position
from raeth.client.retry import Lost
from raeth.client.transport import Request, Transport, decode, quoted

if TYPE_CHECKING:
    import httpx2

Scope = Literal["read", "trade", "cancel"]
MASTER = "master"


class SignedUp(Model, frozen=True, kw_only=True):
    """A new account with its first agent. `api_key` is shown this once; its text is kept out of `repr`."""

    account_id: str
    agent_id: str
    agent_name: str
    api_key: str
    scopes: tuple[str, ...]
    testnet_cash_cents: int

    def __repr__(self) -> str:
        return f"SignedUp(agent_name={self.agent_name!r}, agent_id={self.agent_id!r}, api_key='…')"


class Session(Model, frozen=True, kw_only=True):
    account_id: str
    session_token: str
    expires_at: str

    def __repr__(self) -> str:
        return f"Session(account_id={self.account_id!r}, session_token='…')"


class Agent(Model, frozen=True, kw_only=True):
    """One agent of the account."""

    agent_id: str
    name: str
    created_at: str
    suspended: bool
    cash_cents: int
    locked_cents: int
    free_cash_cents: int
    keys: int


class Wallet(Model, frozen=True, kw_only=True):
    cash_cents: int


class Me(Model, frozen=True, kw_only=True):
    """The account: its master wallet and its agents."""

    account_id: str
    email: str | None
    created_at: str
    master: Wallet
    agents: tuple[Agent, ...]
    seq: int


class Key(Model, frozen=True, kw_only=True):
    """A live API key, without its secret."""

    key_id: str
    agent_id: str
    name: str
    scopes: tuple[str, ...]
    expires_at: str | None
    allowed_ips: tuple[str, ...]
    created_at: str


class NewKey(Key, frozen=True, kw_only=True):
    """A key that was just issued; `api_key` is shown this once. Its text is kept out of `repr`."""

    api_key: str

    def __repr__(self) -> str:
        return f"NewKey(name={self.name!r}, key_id={self.key_id!r}, api_key='…')"


class TransferDone(Model, frozen=True, kw_only=True):
    transfer_id: str
    source: str = msgspec.field(name="from")
    to: str
    amount_cents: int
    client_transfer_id: str | None
    ts: str
    seq: int
    replayed: bool = False


class OwnerOptions(TypedDict, total=False):
    """What an owner may be given besides address and session: see `AsyncClient`."""

    timeout_s: float
    patience_s: float
    transport: httpx2.AsyncBaseTransport | None


class AsyncOwner(Caller):
    """One account on one venue, by the token of a session. Get one with `AsyncOwner.login`.

    The time bounds are those of `AsyncClient`. Use it as an async context manager, or call `aclose()`.
    """

    def __init__(
        self,
        url: str | None,
        session_token: str | None,
        *,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
        transport: httpx2.AsyncBaseTransport | None = None,
    ) -> None:
        url = url or os.environ.get("RAETH_URL") or DEFAULT_URL
        super().__init__(Transport(url, session_token, timeout_s, transport), patience_s)
        self.session_token = session_token
        self.account_id: str | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close all connections; the session lives on until `logout` or its end."""
        await self._transport.aclose()

    @classmethod
    async def login(cls, url: str | None, email: str, password: str, **options: Unpack[OwnerOptions]) -> Self:
        """Begin a session. Raises VenueError INVALID_CREDENTIALS. (A repeated login is just another session.)"""
        async with cls(url, None, **options) as nobody:
            body = {"email": email, "password": password}
            session = await nobody._ask_freely(Session, Request("POST", "/auth/login", body))
        owner = cls(url, session.session_token, **options)
        owner.account_id = session.account_id
        return owner

    async def logout(self) -> None:
        """End this session. Idempotent."""
        call = self._call(Request("POST", "/auth/logout"))
        try:
            await call.answer()
        except (VenueError, Lost) as failure:
            if isinstance(failure, VenueError) and failure.http == 401:
                return
            give_up(call, failure, resolve=self.logout)

    async def me(self) -> Me:
        return await self._read(Me, "/me")

    async def agents(self, *, limit: int | None = None, cursor: str | None = None) -> Page[Agent]:
        """Newest first."""
        return await self._read(Page[Agent], "/me/agents", limit=limit, cursor=cursor)

    async def create_agent(self, name: str) -> Agent:
        """Another agent, with no cash and no key yet. Raises VenueError AGENT_NAME_TAKEN, VALIDATION_FAILED.

        When an answer was lost and the name turns out to be taken by an agent of this account, that one is returned.
        """
        return await self._create_agent(name, False)

    async def _create_agent(self, name: str, in_doubt: bool) -> Agent:
        call = self._call(Request("POST", "/me/agents", {"name": name}))
        call.in_doubt = in_doubt
        try:
            return decode(Agent, await call.answer())
        except (VenueError, Lost) as failure:
            if isinstance(failure, VenueError) and failure.code == "AGENT_NAME_TAKEN" and call.in_doubt:
                own = [agent for agent in (await self.me()).agents if agent.name.lower() == name.lower()]
                if own:
                    return own[0]
            give_up(call, failure, resolve=lambda: self._create_agent(name, True))

    async def keys(self, agent_id: str, *, limit: int | None = None, cursor: str | None = None) -> Page[Key]:
        """The agent's live keys, newest first."""
        return await self._read(Page[Key], f"/me/agents/{quoted(agent_id)}/keys", limit=limit, cursor=cursor)

    async def create_key(
        self,
        agent_id: str,
        name: str,
        scopes: Sequence[Scope] = ("read", "trade"),
        *,
        expires_at_ms: int | None = None,
        allowed_ips: Sequence[str] = (),
    ) -> NewKey:
        """Issue an API key; its text is shown this once. `expires_at_ms`: epoch milliseconds, real time.

        Repeated after a lost answer it issues another key. Nobody ever had the first one's secret; `keys()` shows it.
        """
        body: dict[str, Any] = {"name": name, "scopes": list(scopes)}
        if expires_at_ms is not None:
            body["expires_at_ms"] = expires_at_ms
        if allowed_ips:
            body["allowed_ips"] = list(allowed_ips)
        return await self._ask(NewKey, Request("POST", f"/me/agents/{quoted(agent_id)}/keys", body))

    async def rotate_key(self, agent_id: str, key_id: str) -> NewKey:
        """Replace a key by a new one with the same rights; the old one ends at once.

        Raises Uncertain when the answer was lost and the old key is gone: the new one's text cannot be had any more, so
        issue another with `create_key`.
        """
        path = f"/me/agents/{quoted(agent_id)}/keys/{quoted(key_id)}/rotate"
        call = self._call(Request("POST", path))
        try:
            return decode(NewKey, await call.answer())
        except (VenueError, Lost) as failure:
            if isinstance(failure, VenueError) and failure.code == "NOT_FOUND" and call.in_doubt:
                raise Uncertain("the key was replaced, but the answer with the new one got lost") from failure
            give_up(call, failure)

    async def delete_key(self, agent_id: str, key_id: str) -> None:
        """Revoke a key, from the next request on. Raises VenueError NOT_FOUND for one that is not live."""
        await self._delete_key(agent_id, key_id, False)

    async def _delete_key(self, agent_id: str, key_id: str, in_doubt: bool) -> None:
        call = self._call(Request("DELETE", f"/me/agents/{quoted(agent_id)}/keys/{quoted(key_id)}"))
        call.in_doubt = in_doubt
        try:
            await call.answer()
        except (VenueError, Lost) as failure:
            if isinstance(failure, VenueError) and failure.code == "NOT_FOUND" and call.in_doubt:
                return
            give_up(call, failure, resolve=lambda: self._delete_key(agent_id, key_id, True))

    async def transfer(
        self, source: str, to: str, amount_cents: int, client_transfer_id: str | None = None
    ) -> TransferDone:
        """Move free cash between `"master"` and agents (by id) of the account, at most once however often it is sent.

        Raises VenueError INSUFFICIENT_BALANCE, EXCHANGE_FROZEN, IDEMPOTENCY_CONFLICT; Uncertain, which can `resolve()`
        by sending the same transfer once more.
        """
        key = client_transfer_id or f"t-{secrets.token_hex(12)}"
        body = {"from": source, "to": to, "amount_cents": amount_cents, "client_transfer_id": key}
        return await self._ask(
            TransferDone, Request("POST", "/me/transfers", body), lambda: self.transfer(source, to, amount_cents, key)
        )

    # ---- an agent's books, read by its owner ----

    async def account(self, agent_id: str) -> Account:
        return await self._read(Account, "/account", agent_id=agent_id)

    async def positions(self, agent_id: str) -> Page[Position]:
        return await self._read(Page[Position], "/positions", agent_id=agent_id)

    async def ledger(self, agent_id: str, *, limit: int | None = None, cursor: str | None = None) -> Page[LedgerEntry]:
        return await self._read(Page[LedgerEntry], "/ledger", agent_id=agent_id, limit=limit, cursor=cursor)


async def sign_up(url: str, email: str, agent_name: str, password: str | None, options: ClientOptions) -> SignedUp:
    """One call: account, agent, key, cash. See `AsyncClient.signup`.

    If the answer is lost and the account turns out to be there, its key is lost with it. With a password the owner logs
    in and issues another; without one that is Uncertain.
    """
    bounds: OwnerOptions = {
        "timeout_s": options.get("timeout_s", TIMEOUT_S),
        "patience_s": options.get("patience_s", PATIENCE_S),
        "transport": options.get("transport"),
    }
    body = {"email": email, "agent_name": agent_name}
    if password is not None:
        body["password"] = password
    async with AsyncOwner(url, None, **bounds) as nobody:
        call = nobody._call(Request("POST", "/auth/signup", body))
        try:
            return decode(SignedUp, await call.answer())
        except (VenueError, Lost) as failure:
            taken = isinstance(failure, VenueError) and failure.code in ("EMAIL_TAKEN", "AGENT_NAME_TAKEN")
            if not (taken and call.in_doubt):
                give_up(call, failure)
            if password is None:
                raise Uncertain("the account may have been made, but the answer with its key got lost") from failure
    return await _recovered(url, email, agent_name, password, bounds)


async def _recovered(url: str, email: str, agent_name: str, password: str, bounds: OwnerOptions) -> SignedUp:
    """The account whose first answer got lost, with a new key. Another's is VenueError INVALID_CREDENTIALS."""
    async with await AsyncOwner.login(url, email, password, **bounds) as owner:
        me = await owner.me()
        agent = next(agent for agent in me.agents if agent.name.lower() == agent_name.lower())
        key = await owner.create_key(agent.agent_id, "signup")
        return SignedUp(
            account_id=me.account_id,
            agent_id=agent.agent_id,
            agent_name=agent.name,
            api_key=key.api_key,
            scopes=key.scopes,
            testnet_cash_cents=agent.cash_cents,
        )
