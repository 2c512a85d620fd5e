"""One storm from beginning to end: load and readers, faults meanwhile, and everything held against the journal."""

from __future__ import annotations

import asyncio
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from raeth.engine.snapshot import state_hash
from raeth.journal.base import SNAPSHOTS_KEPT
from tests.chaos import checks
from tests.chaos.faults import Chaos, now_ms
from tests.chaos.load import DRAIN_S, Ledger, Load, seeded
from tests.chaos.readers import EventStreamReader, MarketReader, PrivateReader, Wanderer
from tests.chaos.record import Database, Story
from tests.e2e.private_story import Compared
from tests.e2e.test_kill import check_nothing_doubled
from tests.e2e.venue import Host, VenueProcess

AGENTS = 4
REQUESTERS = 4
PIPELINES = 2
MARKET_READERS = 2
FIRST_ORDERS = 50
"""Answered before the first fault, so that the load is under way."""
LULL_S = 180.0
"""Between two bags of faults, until a window has settled: a bound for a venue that has died, on a busy machine."""
CHECK_S = 0.2


def chosen_seed() -> int:
    """A new one every time, unless the environment asks for an old one; shown either way."""
    seed = int(os.environ.get("RAETH_CHAOS_SEED") or random.SystemRandom().randrange(1_000_000))
    print(f"RAETH_CHAOS_SEED={seed}", flush=True)
    return seed


class Storm:
    """`urls` are where clients find the venue, `database` is where its journal is read beside it."""

    def __init__(self, seed: int, urls: tuple[str, ...], database: Database, chaos: Chaos) -> None:
        self._seed, self._urls, self._database, self._chaos = seed, urls, database, chaos
        self.ledger = Ledger([], seeded(seed, "load"), urls=urls)
        self.private: list[PrivateReader | EventStreamReader] = []
        self.markets: list[MarketReader] = []
        self._compared: list[Compared] = []
        self._story = Story(database)
        self._snapshots: set[int] = set()
        self._stops = 0
        self._began_ms = self._over_ms = 0

    # ---- while it lasts ----

    async def rage(self, venue: VenueProcess, seconds: float, think_s: float) -> None:
        """Load, faults for at least so long, and the end of both: all is answered, and the readers know everything."""
        ledger = self.ledger
        ledger.agents = await asyncio.to_thread(lambda: [venue.signup(f"agent-{n}") for n in range(AGENTS)])
        self._place_readers()
        load = Load(ledger, requesters=REQUESTERS, pipelines=PIPELINES, think_s=think_s)
        wanderers: list[Wanderer] = [*self.private, *self.markets]
        readers = [asyncio.create_task(reader.wander()) for reader in wanderers]
        watching = asyncio.create_task(self._watch(load, readers))
        try:
            async with asyncio.timeout(DRAIN_S):
                await load.start()
                while ledger.acknowledged < FIRST_ORDERS:
                    self._alive(load, readers)
                    await asyncio.sleep(CHECK_S)
            await self._fail_with(watching, self._blow(seconds))
            watching.cancel()
            await load.drain()
            await self._hear_out(readers)
        finally:
            print(self._chaos.story(), flush=True)
            watching.cancel()
            for task in readers:
                task.cancel()
            await asyncio.gather(watching, *readers, return_exceptions=True)
            await load.close()

    def _place_readers(self) -> None:
        ledger, urls, seed = self.ledger, self._urls, self._seed
        for n, agent in enumerate(ledger.agents):
            self.private.append(PrivateReader(agent, urls, seeded(seed, f"private {n}")))
            self._compared.append(Compared(self.private[-1], f"agent-{n}"))
        self.private.append(EventStreamReader(ledger.agents[0], urls, seeded(seed, "events")))
        self._compared.append(Compared(self.private[-1], "agent-0"))
        for n in range(MARKET_READERS):
            self.markets.append(MarketReader(urls, seeded(seed, f"market {n}"), lambda: ledger.market))

    async def _blow(self, seconds: float) -> None:
        self._began_ms = now_ms()
        await self._chaos.run(seconds, self._until_settled)
        self._over_ms = now_ms()

    async def _until_settled(self) -> None:
        """Leave the venue alone until a window is printed and resolved, and an order more is answered."""
        settled, answered = self._settled(), self.ledger.acknowledged
        give_up = time.monotonic() + LULL_S
        while self._settled() == settled or self.ledger.acknowledged == answered:
            assert time.monotonic() < give_up, "the venue does not come back to life"
            await asyncio.sleep(CHECK_S)

    def _settled(self) -> int:
        """Windows that the best informed reader knows to have settled."""

        def count(reader: PrivateReader | EventStreamReader) -> int:
            told = (data for _, data in reader.events if data["kind"] == "settled")
            return sum(data["resolution"] != "VOID" for data in told)

        return max(count(reader) for reader in self.private)

    async def _fail_with(self, watching: asyncio.Task[None], work: Any) -> None:
        """Do the work, but no longer than everybody is well."""
        working = asyncio.ensure_future(work)
        try:
            await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
            if watching.done():
                watching.result()
            await working
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)

    async def _watch(self, load: Load, readers: list[asyncio.Task[None]]) -> None:
        while True:
            self._alive(load, readers)
            await asyncio.sleep(CHECK_S)

    def _alive(self, load: Load, readers: list[asyncio.Task[None]]) -> None:
        load.check()
        for task in readers:
            if task.done():
                task.result()
                raise AssertionError("a reader ended by itself")

    async def _hear_out(self, readers: list[asyncio.Task[None]]) -> None:
        """Every private channel up to the end of the load is, line by line, what the journal says."""
        head = await asyncio.to_thread(self._story.read)
        async with asyncio.TaskGroup() as group:
            checking = [group.create_task(self._heard_all(one, head)) for one in self._compared]
            while not all(task.done() for task in checking):
                await asyncio.wait({*checking, *readers}, timeout=CHECK_S, return_when=asyncio.FIRST_COMPLETED)
                for reader in readers:
                    if reader.done():
                        reader.result()

    async def _heard_all(self, one: Compared, head: int) -> None:
        try:
            await one.check(self._story, head, DRAIN_S)
        except TimeoutError:
            expected = [line for line in self._story.lines[one.name] if line[0] <= head]
            pairs = zip_longest(expected, one.follower.lines(0))
            place, pair = next((n, pair) for n, pair in enumerate(pairs) if pair[0] != pair[1])
            raise AssertionError(f"{one.name} was not told all: line {place} of {len(expected)}: {pair}") from None

    # ---- afterwards ----

    async def converged(self, name: str, healthy: Callable[[], dict[str, Any] | None]) -> None:
        """Until this node takes orders and knows all that is in the journal now, and more than the one that ended
        before it: a quiet venue still moves."""
        head = max(await asyncio.to_thread(self._story.read), *(seq + 1 for seq in self._snapshots), 0)

        def there() -> bool:
            health = healthy()
            return health is not None and health["persistence"]["mode"] == "ok" and health["seq"] >= head

        give_up = time.monotonic() + DRAIN_S
        while not await asyncio.to_thread(there):
            assert time.monotonic() < give_up, f"{name} does not come back: {healthy()}"
            await asyncio.sleep(CHECK_S)

    def check_doubles(self, venues: list[VenueProcess]) -> None:
        """Every order of every agent as the nodes' tables show them."""
        agents = self.ledger.agents
        self.ledger.agents = [agent.at(venues[n % len(venues)]) for n, agent in enumerate(agents)]
        check_nothing_doubled(self.ledger)

    def note_stop(self, name: str) -> None:
        """A node that ends leaves its state behind, which is to be compared."""
        found = set(self._database.snapshots())
        assert not self._snapshots or max(found) > max(self._snapshots), f"{name} left no state behind"
        self._snapshots |= found
        self._stops += 1

    def check(self, host: Host, *where: str) -> None:
        """When all nodes are gone: the journal, against everything."""
        done = host.run("audit", *where, "--json")
        assert done.returncode == 0, done.stdout + done.stderr
        report = json.loads(done.stdout)
        record = checks.executed(self._database, self.markets)
        checks.check_orders(self.ledger, record)
        heard = checks.check_trades(record, self.markets)
        ended, voids = checks.check_windows(record, self._chaos.trace)
        assert report["state_hash"] == state_hash(record.state), "the audit's state and ours"
        assert report["orders"] == record.orders == len(self.ledger.sent)
        assert self._database.tables_seq() == record.last_seq == report["commands"], "the tables are at the end"
        assert self._snapshots >= record.hashes.keys() and len(record.hashes) >= min(self._stops, SNAPSHOTS_KEPT)
        assert checks.settled(record, self._began_ms, self._over_ms) >= self._chaos.bags
        print("\n".join(f"void: {line}" for line in voids))
        self._tell(record.last_seq, record.trades, heard, dict(ended), len(record.hashes))

    def _tell(self, commands: int, trades: int, heard: int, windows: dict[str, int], states: int) -> None:
        ledger, faults = self.ledger, self._chaos.counts
        private = sum(len(reader.events) for reader in self.private)
        parted: Counter[str] = Counter()
        for reader in (*self.private, *self.markets):
            parted += reader.parted
        print(
            f"faults: {dict(faults)} in {(self._over_ms - self._began_ms) / 1000:.1f} s\n"
            f"orders: {ledger.acknowledged} acknowledged ({ledger.over_socket} on sockets), 0 lost, 0 doubled; "
            f"{ledger.repeated} answered again; {ledger.in_doubt} in doubt on sockets\n"
            f"requests: {dict(ledger.tries)}\n"
            f"journal: {commands} commands, {trades} trades; windows {windows}; {states} states compared\n"
            f"private channels: {private} events over {sum(reader.hops for reader in self.private)} stays; "
            f"public: {sum(len(reader.books) for reader in self.markets)} books and {heard} trades over "
            f"{sum(reader.hops for reader in self.markets)} stays; "
            f"parted: {dict(parted)}",
            flush=True,
        )
