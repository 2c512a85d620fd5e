"""A whole venue in one process, over HTTP: journal and tables on disk, a clock that stands still, scripted prices.

Nothing of the venue is replaced: commands that a scheduler or a feed would send are sent by the test. Passwords are
hashed at the lowest cost, for a hash at full cost takes longer than most tests; processes of their own hash at full.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any

import httpx2
from argon2 import PasswordHasher, profiles

from raeth.api.app import create_app
from raeth.api.credentials import new_key
from raeth.api.venue import Venue
from raeth.clock import ManualClock
from raeth.config import FaucetSettings, LimitSettings
from raeth.config import Settings as Configuration
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.ids import to_uuid
from raeth.engine.invariants import check
from raeth.engine.state import Market
from raeth.engine.types import KeySpec, Settings
from raeth.idempotency import Outcome
from raeth.journal.sqlite import SqliteJournal
from raeth.reference.feed import StreamFeed
from raeth.reference.settings import ReferenceSettings
from raeth.reference.types import Reading, Tick
from raeth.sequencer import Sequencer
from raeth.store.migrate import upgrade
from raeth.store.projector import Projector
from raeth.store.queries import Store
from raeth.store.reader import sqlite_url

GENESIS_MS = 1_795_000_020_000 - 10_000
"""Ten seconds before a whole minute."""

PEPPER = b"p" * 32
ADMIN = "rk_admin_" + "a" * 32
STRIKE_CENTS = 9_500_000
ALL_SCOPES = ("read", "trade", "cancel")

RULES = Settings(reference_kind="scripted", gap_ms=3_600_000, print_grace_ms=30_000, faucet_account_cap_cents=20_000)
LIMITS = LimitSettings(
    writes_per_minute=100_000, cancels_per_minute=100_000, reads_per_minute=100_000, anonymous_reads_per_minute=100_000
)


class ScriptedReference:
    """A reference that says what the test told it."""

    name = "scripted"
    synthetic = True

    def __init__(self) -> None:
        self._feed = StreamFeed(self.name, "script", ReferenceSettings())

    def tick(self, price_cents: int, source_ts: int) -> None:
        self._feed.add(Tick("script", price_cents, source_ts, source_ts))

    def current(self, now_ms: int) -> Reading:
        return self._feed.current(now_ms)


class Trader:
    """One agent with its key."""

    def __init__(self, desk: Desk, agent: int, account: int, key: str, name: str) -> None:
        self.desk = desk
        self.agent = agent
        self.account = account
        self.key = key
        self.name = name
        self.uuid = to_uuid(desk.born, agent)

    async def call(self, method: str, path: str, **options: Any) -> httpx2.Response:
        headers = {"Authorization": f"Bearer {self.key}", **options.pop("headers", {})}
        return await self.desk.http.request(method, "/api/v1" + path, headers=headers, **options)

    async def ask(self, method: str, path: str, status: int = 200, **options: Any) -> Any:
        """The JSON of an answer that has this status."""
        response = await self.call(method, path, **options)
        assert response.status_code == status, f"{response.status_code}: {response.text}"
        return response.json()

    async def get(self, path: str, **params: Any) -> Any:
        return await self.ask("GET", path, params=params)

    async def place(self, side: str, price: int | None, qty: int, **fields: Any) -> Any:
        """A LIMIT order, or a MARKET one without a price, in the open market."""
        body: dict[str, Any] = {"market_id": self.desk.symbol, "side": side, "qty": qty}
        body |= {"type": "MARKET"} if price is None else {"type": "LIMIT", "price": price}
        return await self.ask("POST", "/orders", json=body | fields)

    async def declined(self, code: str, side: str, price: int | None, qty: int, **fields: Any) -> dict[str, Any]:
        """The repair numbers of an order that must be declined with `code`."""
        order = await self.place(side, price, qty, **fields)
        assert order["status"] == "REJECTED", order
        assert order["reject_reason"] == code, order
        assert order["filled_qty"] == order["remaining_qty"] == 0 and order["fills"] == []
        assert order["reject_message"]
        return order["reject_details"]

    async def refused(self, code: str, status: int, method: str, path: str, **options: Any) -> dict[str, Any]:
        """The flat body of a request that must fail with this code and status."""
        response = await self.call(method, path, **options)
        body = response.json()
        assert (response.status_code, body["code"]) == (status, code), response.text
        assert set(body) - {"details"} == {"code", "message", "request_id"}
        return body


class Desk:
    """The venue, its clock, and the ways to move it."""

    def __init__(self, venue: Venue, reference: ScriptedReference, clock: ManualClock, http: httpx2.AsyncClient):
        self.venue = venue
        self.reference = reference
        self.clock = clock
        self.http = http
        self.sequencer = venue.sequencer
        self.born = venue.sequencer.state.born
        self.last_print = STRIKE_CENTS

    @property
    def market(self) -> Market:
        live = self.sequencer.state.live
        assert live is not None, "no market is open"
        return live

    @property
    def symbol(self) -> str:
        return self.market.symbol

    @property
    def market_id(self) -> str:
        return to_uuid(self.born, self.market.id)

    async def submit(self, command: cmd.Command) -> Outcome:
        outcome = await self.sequencer.submit(command)
        assert outcome.refused() is None, outcome.refused()
        return outcome

    async def trader(self, name: str, cash_cents: int = 100_000, scopes: tuple[str, ...] = ALL_SCOPES) -> Trader:
        """A new account with one agent that has this much cash."""
        key = new_key(PEPPER)
        outcome = await self.submit(cmd.Signup(f"mail-{name}", name, KeySpec(key.key_id, key.digest, "k", scopes)))
        made = next(event for event in outcome.events if isinstance(event, ev.AgentCreated))
        trader = Trader(self, made.agent, made.account, key.text, name)
        if cash_cents > RULES.signup_grant_cents:
            await self.submit(cmd.GrantCash("ops", made.agent, cash_cents - RULES.signup_grant_cents, "test"))
        elif cash_cents < RULES.signup_grant_cents:
            surplus = RULES.signup_grant_cents - cash_cents
            await self.submit(cmd.Transfer(made.account, made.agent, made.account, surplus))
        return trader

    async def sibling(self, of: Trader, name: str, cash_cents: int = 10_000) -> Trader:
        """Another agent of the same account."""
        outcome = await self.submit(cmd.CreateAgent(of.account, name))
        made = next(event for event in outcome.events if isinstance(event, ev.AgentCreated))
        if cash_cents:
            await self.submit(cmd.GrantCash("ops", made.agent, cash_cents, "test"))
        return await self.with_key(Trader(self, made.agent, of.account, "", name), ALL_SCOPES)

    async def with_key(self, of: Trader, scopes: tuple[str, ...]) -> Trader:
        """The same agent with another key."""
        key = new_key(PEPPER)
        await self.submit(cmd.IssueKey(of.account, of.agent, KeySpec(key.key_id, key.digest, "k", scopes)))
        return Trader(self, of.agent, of.account, key.text, of.name)

    async def tick(self, price_cents: int = STRIKE_CENTS) -> None:
        """A move of the reference, now."""
        now = self.clock.now_ms()
        self.reference.tick(price_cents, now)
        await self.submit(cmd.IndexTick(price_cents, now, "scripted"))

    async def advance(self, by_ms: int) -> None:
        self.clock.advance(by_ms)
        await self.submit(cmd.Tick())

    async def print(self, price_cents: int | None = STRIKE_CENTS) -> None:
        """The print of the oldest boundary that has none."""
        boundary = next(iter(self.sequencer.state.unprinted))
        source_ts = None if price_cents is None else boundary - 250
        reason = "no_price" if price_cents is None else None
        await self.submit(cmd.Print(boundary, price_cents, source_ts, "scripted", "last price", reason, ()))

    async def next_window(self, price_cents: int | None = STRIKE_CENTS) -> None:
        """Go on to the boundary and print: the old window ends, the new one is open."""
        state = self.sequencer.state
        assert state.pending is not None
        await self.advance(state.pending.open_at - self.clock.now_ms())
        await self.print(price_cents)

    async def read(self, path: str, expect: int = 200, **params: Any) -> Any:
        """A public read without any credential."""
        response = await self.http.get("/api/v1" + path, params=params)
        assert response.status_code == expect, f"{response.status_code}: {response.text}"
        return response.json()

    def check(self) -> None:
        """Every invariant of money, and the journal's writer in good health."""
        check(self.sequencer.state)
        assert self.sequencer.health.mode == "ok"


async def empty_database(folder: Path) -> bytes:
    """A file with all tables and nothing in them; made once, for the migration takes longer than most tests."""
    if not _EMPTY:
        path = folder / "empty.db"
        journal = SqliteJournal(path)
        await journal.open()
        await journal.close()
        await asyncio.to_thread(upgrade, sqlite_url(path))
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        _EMPTY.append(path.read_bytes())
    return _EMPTY[0]


_EMPTY: list[bytes] = []


@asynccontextmanager
async def opened_desk(
    folder: Path,
    rules: Settings = RULES,
    limits: LimitSettings = LIMITS,
    faucet: FaucetSettings = FaucetSettings(),  # noqa: B008, it is frozen
) -> AsyncIterator[Desk]:
    """A venue whose first window has just opened with a strike and a fresh reference price."""
    clock, reference = ManualClock(GENESIS_MS), ScriptedReference()
    path = folder / "raeth.db"
    path.write_bytes(await empty_database(folder))
    journal = SqliteJournal(path)
    sequencer = Sequencer(journal, clock, rules, Projector())
    await sequencer.start()
    store = Store(sqlite_url(path), sequencer.tabled)
    settings = Configuration(data_dir=folder, limits=limits, faucet=faucet)
    venue = Venue(settings, sequencer, store, clock, reference, PEPPER, ADMIN)  # type: ignore[arg-type]
    venue.passwords._hasher = PasswordHasher.from_parameters(profiles.CHEAPEST)
    transport = httpx2.ASGITransport(app=create_app(venue))
    async with httpx2.AsyncClient(transport=transport, base_url="http://venue") as http:
        desk = Desk(venue, reference, clock, http)
        await desk.next_window()
        await desk.tick()
        try:
            yield desk
            desk.check()
        finally:
            await sequencer.stop()
            await store.close()
