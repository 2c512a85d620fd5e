"""A crowd that trades at random through the sequencer: everything the venue can be asked, some of it at once.

It looks at the state to choose what interacts: prices near each other, orders that are open, agents of one account.
"""

from __future__ import annotations

import asyncio
from random import Random

from raeth.engine import commands as cmd
from raeth.engine.types import BUY, SELL, Order
from raeth.errors import RaethError
from tests.api.harness import STRIKE_CENTS, Desk, Trader

LAST_MS = 55_000
"""How far into a window the crowd trades before it goes on to the next."""


class Crowd:
    def __init__(self, desk: Desk, traders: list[Trader], seed: int) -> None:
        self.desk = desk
        self.traders = traders
        self.random = Random(seed)
        self.fair = 50
        self.names = 0

    async def trade(self, steps: int, at_once: int = 6) -> None:
        """So many rounds of up to `at_once` commands that meet in one batch."""
        for _ in range(steps):
            random = self.random
            self.fair = min(90, max(10, self.fair + random.randint(-2, 2)))
            commands = [self._command() for _ in range(random.randint(1, at_once))]
            await asyncio.gather(*map(self._submit, commands))
            roll = random.random()
            if roll < 0.5:
                self.desk.clock.advance(random.randint(1, 700))
            live = self.desk.sequencer.state.live
            if live is None or self.desk.clock.now_ms() >= live.open_at + LAST_MS or roll > 0.985:
                await self.next_window()
            elif roll > 0.95:
                await self.desk.tick(STRIKE_CENTS + random.randint(-500, 500))

    async def _submit(self, command: cmd.Command) -> None:
        try:
            await self.desk.sequencer.submit(command)
        except RaethError as refusal:
            raise AssertionError(f"{command}: {refusal.code}") from refusal

    async def next_window(self) -> None:
        """On to the boundary and past it, with every kind of print."""
        desk, random = self.desk, self.random
        pending = desk.sequencer.state.pending
        assert pending is not None
        await desk.advance(max(0, pending.open_at - desk.clock.now_ms()))
        if random.random() < 0.5:  # some try it in the window that is closed and has no print yet
            await asyncio.gather(*(self._submit(self._command()) for _ in range(4)))
        price = random.choice([STRIKE_CENTS, STRIKE_CENTS + 100, STRIKE_CENTS - 100, STRIKE_CENTS + 7, None])
        while desk.sequencer.state.unprinted:
            await desk.print(price)
        now = desk.clock.now_ms()
        try:
            await desk.tick()
        except AssertionError:
            if desk.sequencer.state.reference_ts <= now:
                raise
            # Two crowds move one clock: the other's tick was later, and came first.

    # ---- commands ----

    def _command(self) -> cmd.Command:
        random = self.random
        trader = random.choice(self.traders)
        kinds = [
            (self._place, 50),
            (self._amend, 14),
            (self._cancel, 7),
            (self._quotes, 8),
            (self._batch, 8),
            (self._cancel_many, 3),
            (self._money, 3),
            (self._operate, 2),
            (lambda _: cmd.Tick(), 2),
        ]
        chosen = random.choices([k for k, _ in kinds], [w for _, w in kinds])[0]
        return chosen(trader)

    @staticmethod
    def key(trader: Trader) -> str:
        return trader.key.split("_")[2]

    def _market(self) -> int:
        state = self.desk.sequencer.state
        if self.random.random() < 0.02:
            return 0
        if self.random.random() < 0.05 and state.markets:
            return self.random.choice(list(state.markets))
        return state.live.id if state.live is not None else next(iter(state.markets))

    def _own(self, trader: Trader) -> list[Order]:
        positions = self.desk.sequencer.state.agents[trader.agent].positions.values()
        return [order for position in positions for order in position.orders.values()]

    def _spec(self, market: int | None = None) -> cmd.OrderSpec:
        random = self.random
        side = random.choice((BUY, SELL))
        price = min(99, max(1, self.fair + random.randint(-4, 4)))
        kind, tif = random.choices(
            [("LIMIT", "GTC"), ("LIMIT", "IOC"), ("LIMIT", "FOK"), ("LIMIT", "POST_ONLY"), ("MARKET", "IOC")],
            [60, 8, 5, 15, 12],
        )[0]
        name = None
        if random.random() < 0.3:
            self.names += 1
            name = f"c{self.names}"
        now = self.desk.clock.now_ms()
        return cmd.OrderSpec(
            self._market() if market is None else market,
            side,
            kind,
            tif,
            price if kind == "LIMIT" else None,
            random.choice([1, 2, 3, 5, 8, 13, 40]) if random.random() > 0.01 else 0,
            reduce_only=random.random() < 0.2,
            client_order_id=name,
            expires_at=now + random.randint(0, 3_000) if random.random() < 0.1 else None,
            stp=random.choice(("CANCEL_MAKER", "CANCEL_TAKER", "CANCEL_BOTH")),
            confirm_fat_finger=True,
        )

    def _place(self, trader: Trader) -> cmd.Command:
        return cmd.PlaceOrder(trader.agent, self.key(trader), self._spec())

    def _batch(self, trader: Trader) -> cmd.Command:
        specs = tuple(self._spec() for _ in range(self.random.randint(1, 4)))
        return cmd.PlaceBatch(trader.agent, self.key(trader), specs, self.random.random() < 0.4)

    def _quotes(self, trader: Trader) -> cmd.Command:
        random = self.random
        bids = sorted(random.sample(range(max(1, self.fair - 6), self.fair), random.randint(0, 3)))
        asks = sorted(random.sample(range(self.fair + 1, self.fair + 7), random.randint(0, 3)))
        sizes = [1, 4, 9]
        return cmd.PutQuotes(
            trader.agent,
            self.key(trader),
            self._market(),
            random.choice(("q", "r")),
            tuple((price, random.choice(sizes)) for price in bids),
            tuple((price, random.choice(sizes)) for price in asks),
        )

    def _amend(self, trader: Trader) -> cmd.Command:
        random, own = self.random, self._own(trader)
        if not own:
            return self._place(trader)
        order = random.choice(own)
        assert order.price is not None
        price = None if random.random() < 0.5 else min(99, max(1, order.price + random.randint(-4, 4)))
        qty = None if price is not None and random.random() < 0.5 else max(1, order.qty + random.randint(-6, 6))
        return cmd.AmendOrder(trader.agent, self.key(trader), order.id, price, qty)

    def _cancel(self, trader: Trader) -> cmd.Command:
        own = self._own(trader)
        if not own:
            return self._place(trader)
        return cmd.CancelOrder(trader.agent, self.key(trader), self.random.choice(own).id)

    def _cancel_many(self, trader: Trader) -> cmd.Command:
        side = self.random.choice((None, BUY, SELL))
        return cmd.CancelOrders(trader.agent, self.key(trader), side=side)

    def _money(self, trader: Trader) -> cmd.Command:
        random = self.random
        if random.random() < 0.5:
            return cmd.GrantCash("ops", trader.agent, random.randint(1, 5_000), "more")
        return cmd.Transfer(trader.account, trader.agent, trader.account, random.randint(1, 500))

    def _operate(self, trader: Trader) -> cmd.Command:
        random, state = self.random, self.desk.sequencer.state
        if state.frozen:
            return cmd.Unfreeze("ops", None)
        suspended = [t for t in self.traders if state.agents[t.agent].suspended]
        if suspended:
            return cmd.ReinstateAgent("ops", suspended[0].agent, None)
        halted = [m for m in state.markets.values() if m.halted]
        if halted and random.random() < 0.7:
            return cmd.ResumeMarket("ops", halted[0].id, None)
        market = random.choice(list(state.markets))
        return random.choice(
            [
                cmd.Freeze("ops", "why"),
                cmd.HaltMarket("ops", market, "why"),
                cmd.SuspendAgent("ops", trader.agent, "why"),
                cmd.Broadcast("ops", "hello"),
                cmd.Disconnect(trader.agent),
                cmd.VoidMarket("ops", market, "why"),
            ]
        )
