"""A walk through everything the venue can be asked, one corner after the other: synthetic, written by hand.

The seeded workloads beside it mix and repeat; this one makes sure that nothing is left out.
"""

from __future__ import annotations

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.types import BUY, ENGINE_VERSION, FOK, IOC, POST_ONLY, SELL, Input, KeySpec, Settings
from tests.engine.venue import BTC, MINUTE, OPEN_AT, Venue, key_spec

Commands = list[tuple[int, cmd.Command]]


def tour() -> Commands:
    venue = Venue(
        agents=4,
        opened=False,
        open_orders_per_market=6,
        cooldown_rejects=4,
        position_cap=500,
        faucet_account_cap_cents=20_000,
        agents_per_account=3,
        keys_per_agent=3,
    )
    _keys(venue)
    _wallets(venue)
    venue.open()
    _orders(venue)
    _self_trades(venue)
    _reduce_only(venue)
    _batches(venue)
    _quotes(venue)
    _amends(venue)
    _cancels(venue)
    _declines(venue)
    _operating(venue)
    _windows(venue)
    return venue.journal


def deadman() -> Commands:
    """Dead-man timers of both scopes: armed, renewed, shortened, disarmed, fired, moved, and at the edge of each."""
    venue = Venue(agents=3)
    a, b, c = venue.agents
    _call(venue, a, 5_000, None)
    for agent in venue.agents:
        venue.buy(agent, 40, 3)
        venue.sell(agent, 60, 3)
    venue.at(venue.ts + 3_000)
    _call(venue, a, 2_000, None)
    _call(venue, b, 2_500, venue.live.id)
    venue.buy(b, 39, 1, expires_at=venue.ts + 2_500)
    venue.at(venue.ts + 1_999)
    _call(venue, a, 60_000, None)
    _call(venue, a, 1_000, None)
    venue.at(venue.ts + 1_000)
    _call(venue, a, 1_000, None)
    _call(venue, a, 0, None)
    _call(venue, a, 0, venue.pending.id)
    _call(venue, c, 1_000, 7)
    _call(venue, c, 0, 7)
    _wrong_calls(venue)
    # Out of reach: less than a gap moves them only with a Resurface, a gap by itself.
    _call(venue, c, 4_000, None)
    _call(venue, c, 3_000, venue.live.id)
    venue.apply(cmd.Resurface())
    venue.ts += 2_000
    venue.apply(cmd.Resurface())
    venue.at(venue.ts + 1_000)
    venue.ts += venue.rules.gap_ms + 1
    venue.buy(b, 41, 1)
    venue.stroll(venue.ts + 5_000)
    venue.apply(cmd.Resurface())
    _over_a_boundary(venue)
    return venue.journal


def _wrong_calls(venue: Venue) -> None:
    a, b, _ = venue.agents
    venue.apply(cmd.CallDeadman(a, venue.key(b), 1_000))
    venue.apply(cmd.CallDeadman(a, "key-none", 1_000))
    venue.apply(cmd.IssueKey(_account(venue, a), a, key_spec("key-read", ("read",))))
    venue.apply(cmd.IssueKey(_account(venue, a), a, key_spec("key-cancel", ("cancel",))))
    venue.apply(cmd.CallDeadman(a, "key-read", 1_000))
    venue.apply(cmd.CallDeadman(a, "key-cancel", 1_000))
    venue.apply(cmd.Freeze("op", "drill"))
    venue.apply(cmd.SuspendAgent("op", b, "noise"))
    _call(venue, b, 1_000, None)
    venue.apply(cmd.Unfreeze("op", None))
    venue.apply(cmd.ReinstateAgent("op", b, None))


def _over_a_boundary(venue: Venue) -> None:
    """A timer of a market goes with it, one of the agent goes on; at the boundary itself the timer comes first."""
    a, b, c = venue.agents
    close_at = venue.live.close_at
    venue.stroll(close_at - 1_000)
    for agent in venue.agents:
        venue.buy(agent, 45, 2)
    _call(venue, a, 1_000, venue.live.id)
    _call(venue, b, 4_000, venue.live.id)
    _call(venue, c, 4_000, None)
    venue.at(close_at)
    venue.print(close_at, BTC + 5)
    venue.buy(c, 45, 2)
    venue.stroll(close_at + 4_000)
    # Away over a boundary: the windows are void, the timer is moved.
    venue.buy(c, 45, 2)
    _call(venue, c, 30_000, None)
    venue.ts += 90_000
    venue.apply(cmd.Tick())
    venue.stroll(venue.pending.open_at)
    venue.print(venue.ts, BTC)
    venue.buy(c, 45, 2)
    venue.stroll(venue.ts + 31_000)


def _call(venue: Venue, agent: int, timeout_ms: int, market: int | None) -> None:
    venue.apply(cmd.CallDeadman(agent, venue.key(agent), timeout_ms, market))


def _account(venue: Venue, agent: int) -> int:
    return venue.agent(agent).account.id


def _keys(venue: Venue) -> None:
    a, b, *_ = venue.agents
    mine = _account(venue, a)
    venue.apply(cmd.Signup("digest-0", "agent-new", key_spec("key-x")))
    venue.apply(cmd.Signup("digest-new", "AGENT-0", key_spec("key-x")))
    venue.apply(cmd.IssueKey(mine, a, key_spec("key-cancel", ("read", "cancel"))))
    venue.apply(cmd.IssueKey(mine, a, KeySpec("key-read", "00", "reader", ("read",), OPEN_AT, ("10.0.0.0/8",))))
    venue.apply(cmd.IssueKey(mine, a, key_spec("key-four")))
    venue.apply(cmd.IssueKey(mine, b, key_spec("key-four")))
    venue.apply(cmd.IssueKey(mine, 7, key_spec("key-four")))
    venue.apply(cmd.RotateKey(mine, a, "key-read", "key-read-2", "11"))
    venue.apply(cmd.RotateKey(mine, a, "key-read", "key-read-3", "11"))
    venue.apply(cmd.RevokeKey(mine, a, "key-read-2"))
    venue.apply(cmd.RevokeKey(mine, a, "key-read-2"))
    venue.apply(cmd.AdminRevokeKey("op", "key-nobody", None))
    venue.apply(cmd.IssueKey(mine, a, key_spec("key-bad")))
    venue.apply(cmd.AdminRevokeKey("op", "key-bad", "leaked"))
    venue.apply(cmd.Faucet(a, "key-bad"))
    venue.apply(cmd.Faucet(b, venue.key(a)))
    venue.apply(cmd.Faucet(a, "key-cancel"))
    venue.apply(cmd.CreateAgent(7, "nobody"))
    for name in ("agent-1", "second", "third", "fourth"):
        venue.apply(cmd.CreateAgent(mine, name))


def _wallets(venue: Venue) -> None:
    a, b, *_ = venue.agents
    mine = _account(venue, a)
    second = venue.agent(a).account.agents[1]
    venue.apply(cmd.Transfer(mine, a, mine, 5_000, "t1"))
    venue.apply(cmd.Transfer(mine, mine, second, 2_000, "t2"))
    venue.apply(cmd.Transfer(mine, second, a, 2_001))
    venue.apply(cmd.Transfer(mine, b, a, 1))
    venue.apply(cmd.Transfer(7, a, b, 1))
    venue.apply(cmd.Faucet(a, venue.key(a)))
    venue.apply(cmd.Faucet(a, venue.key(a)))
    venue.apply(cmd.GrantCash("op", b, 50_000, "prize"))
    venue.apply(cmd.GrantCash("op", 7, 50_000, "prize"))
    venue.buy(a, 50, 1)  # the window is only pre-listed
    # Another account's two faucet claims: the second reaches the cap, a third is too many.
    for _ in range(3):
        venue.apply(cmd.Faucet(b, venue.key(b)))
        venue.ts += 1


def _orders(venue: Venue) -> None:
    a, b, c, d = venue.agents
    venue.ts += 100
    venue.buy(a, 50, 10, client_order_id="first")
    venue.buy(b, 50, 5)
    venue.buy(c, 51, 3, POST_ONLY)
    venue.sell(d, 50, 12, IOC)
    venue.sell(d, 50, 20)
    venue.buy(a, 49, 4, expires_at=venue.ts + 700)
    venue.buy(b, 50, 6)
    venue.buy(c, None, 5)
    venue.buy(c, None, 50, slippage_cap=0)
    venue.sell(d, 55, 8)
    venue.sell(d, 57, 8)
    venue.buy(c, None, 40, slippage_cap=1)
    venue.buy(a, 57, 5, FOK)
    venue.sell(b, None, 2, FOK)
    venue.buy(b, 57, 300, IOC)
    venue.at(venue.ts + 700)
    venue.index(BTC + 500)
    venue.index(BTC + 400, venue.ts - 5_000)
    for agent in venue.agents:
        venue.apply(cmd.CancelOrders(agent, venue.key(agent)))


def _self_trades(venue: Venue) -> None:
    a, b, *_ = venue.agents
    for stp in ("CANCEL_MAKER", "CANCEL_TAKER", "CANCEL_BOTH"):
        venue.ts += 50
        venue.sell(b, 60, 2)
        venue.sell(a, 60, 3)
        venue.sell(b, 61, 2)
        venue.buy(a, 61, 6, stp=stp)
        venue.buy(a, 61, 6, FOK, stp=stp)
        for agent in (a, b):
            venue.apply(cmd.CancelOrders(agent, venue.key(agent)))


def _reduce_only(venue: Venue) -> None:
    a, b, *_ = venue.agents
    venue.ts += 50
    lender = venue.join(cash=1_000_000)
    fresh = venue.join(cash=1_000_000)
    venue.sell(lender, 50, 20)
    venue.buy(fresh, 50, 20)
    venue.sell(fresh, 70, 12, reduce_only=True)
    venue.sell(fresh, 72, 8, reduce_only=True)
    venue.sell(fresh, 73, 1, reduce_only=True)
    venue.buy(lender, 45, 11)
    venue.sell(fresh, 45, 5, reduce_only=True)
    venue.sell(fresh, 45, 11)  # 9 left to reduce: the 8 go, the 12 are cut
    venue.buy(lender, 70, 30, IOC)
    for agent in (lender, fresh, a, b):
        venue.apply(cmd.CancelOrders(agent, venue.key(agent)))


def _batches(venue: Venue) -> None:
    a, b, *_ = venue.agents
    venue.ts += 50
    venue.sell(b, 52, 5)
    venue.sell(b, 53, 5)
    venue.buy(b, 48, 5)
    venue.batch(a, venue.spec(BUY, 52, 2), venue.spec(BUY, 40, 2), venue.spec(SELL, 48, 0))
    venue.batch(a, venue.spec(BUY, 53, 6), venue.spec(SELL, 48, 5), atomic=True)
    venue.batch(a, venue.spec(BUY, 53, 1), venue.spec(SELL, 48, 500), venue.spec(BUY, 53, 1), atomic=True)
    venue.batch(a, venue.spec(BUY, 53, 1, market=0), atomic=True)
    for agent in (a, b):
        venue.apply(cmd.CancelOrders(agent, venue.key(agent)))


def _quotes(venue: Venue) -> None:
    a, b, *_ = venue.agents
    venue.ts += 50
    venue.quote(a, [(48, 5), (47, 5)], [(52, 5), (53, 5)])
    venue.sell(b, 48, 2)
    venue.quote(a, [(48, 2), (46, 5)], [(52, 5), (53, 9)])
    venue.quote(a, [(52, 1)], [])
    venue.quote(a, [(40, 1)], [(60, 1)], "other")
    venue.apply(cmd.CancelOrders(a, venue.key(a), quote_id="other"))
    venue.quote(a, [], [])
    venue.quote(a, [(40, 1)], [], market=0)
    venue.quote(a, [], [], market=7 << 20)


def _amends(venue: Venue) -> None:
    a, b, c, _ = venue.agents
    venue.ts += 50
    one, two = venue.buy(a, 45, 10), venue.buy(b, 45, 10)
    venue.amend(a, one, qty=8)
    venue.amend(a, one, qty=12)
    venue.sell(c, 45, 14)
    venue.amend(a, one, qty=2)
    venue.amend(a, one, price=44)
    venue.sell(c, 46, 3)
    venue.amend(a, one, price=46)
    venue.amend(a, one, price=100)
    venue.amend(b, one, price=40)
    venue.amend(b, two, qty=5)
    for agent in (a, b, c):
        venue.apply(cmd.CancelOrders(agent, venue.key(agent)))


def _cancels(venue: Venue) -> None:
    a, b, *_ = venue.agents
    venue.ts += 50
    orders = [venue.buy(a, 40 + n, 1, client_order_id=f"c{n}") for n in range(5)]
    other = venue.buy(b, 39, 1)
    venue.cancel(a, orders[0])
    venue.cancel(a, orders[0])
    venue.cancel(a, other)
    venue.apply(cmd.CancelOrder(a, "key-cancel", orders[1].id))
    venue.apply(cmd.CancelOrders(a, venue.key(a), orders=(orders[2].id, orders[0].id, other.id)))
    venue.apply(cmd.CancelOrders(a, venue.key(a), client_order_ids=("c3", "c9")))
    venue.apply(cmd.CancelOrders(a, venue.key(a), market=venue.live.id, side=SELL))
    venue.apply(cmd.Disconnect(a))
    venue.apply(cmd.Disconnect(7))
    venue.cancel(b, other)


def _declines(venue: Venue) -> None:
    _, _, poor, cautious = venue.agents
    venue.ts += 50
    venue.sell(cautious, 50, 1)
    venue.buy(poor, 49, 1)
    for order in (
        venue.spec(BUY, 50, 5_000),
        venue.spec(BUY, 95, 1),
        venue.spec(SELL, 1, 1, confirm_fat_finger=True),
        venue.spec(BUY, 49, 600),
        venue.spec(BUY, 49, 1, leverage_ok=False),
        venue.spec(BUY, 49, 1, margin_mode_ok=False),
        venue.spec(SELL, 60, 1, timestamp_ms=venue.ts - 2_000, recv_window_ms=1_000),
        venue.spec(SELL, 60, 1, expires_at=venue.ts),
        venue.spec(SELL, 49, 1, POST_ONLY),
        venue.spec(SELL, 49, 400, FOK),
        venue.spec(BUY, 49, 1),
    ):
        venue.place(poor, order)
    venue.ts += 100
    newcomer = venue.join()
    for order in (
        venue.spec(BUY, 0, 1),
        venue.spec(BUY, 49, -1),
        venue.spec(SELL, 51, 490, confirm_fat_finger=True),
        venue.spec(BUY, 49, 1, market=7 << 20),
    ):
        venue.place(newcomer, order)
    venue.apply(cmd.Transfer(_account(venue, newcomer), newcomer, _account(venue, newcomer), 99_000))
    venue.sell(newcomer, 60, 100)
    for price in range(30, 37):
        venue.buy(newcomer, price, 1)
    venue.stroll(venue.ts + venue.rules.reference_max_age_ms)
    venue.buy(newcomer, None, 1)
    venue.index()
    lonely = venue.join()
    for agent in (*venue.agents, newcomer):
        venue.apply(cmd.CancelOrders(agent, venue.key(agent)))
    venue.buy(lonely, None, 1)
    venue.stroll(venue.ts + venue.rules.cooldown_ms)


def _operating(venue: Venue) -> None:
    a, b, *_ = venue.agents
    venue.index()
    order, quoted = venue.buy(a, 40, 5), venue.quote(b, [(39, 1)], [(61, 1)])
    assert isinstance(quoted[-1], ev.QuotesPut)
    venue.apply(cmd.Freeze("op", "drill"))
    _enter(venue, a)
    venue.amend(a, order, price=41)
    venue.amend(a, order, qty=4)
    venue.apply(cmd.Transfer(_account(venue, a), a, _account(venue, a), 1))
    venue.quote(b, [], [])
    venue.apply(cmd.Unfreeze("op", None))
    venue.apply(cmd.Broadcast("op", "drill over"))
    venue.apply(cmd.HaltMarket("op", venue.live.id, "look into it"))
    _enter(venue, a)
    venue.apply(cmd.ResumeMarket("op", venue.live.id, "looked"))
    venue.apply(cmd.HaltMarket("op", 7, "none"))
    venue.apply(cmd.ResumeMarket("op", 7, None))
    venue.apply(cmd.SuspendAgent("op", a, "noise"))
    _enter(venue, a)
    venue.apply(cmd.SuspendAgent("op", 7, "none"))
    venue.apply(cmd.ReinstateAgent("op", 7, None))
    venue.apply(cmd.ReinstateAgent("op", a, "calm"))
    venue.apply(cmd.VoidMarket("op", 7, "none"))


def _enter(venue: Venue, agent: int) -> None:
    """An order that may be refused altogether."""
    venue.apply(cmd.PlaceOrder(agent, venue.key(agent), venue.spec(BUY, 41, 1)))


def _windows(venue: Venue) -> None:
    """Up, down, ties of both rules, prints that are missing, old and late, an operator's void, a gap."""
    at = OPEN_AT
    evidence = (
        Input("a", BTC, at, True, "used", 9_900_000, 101_000_000, at - 3),
        Input("b", None, None, False, "no_tick"),
    )
    price = BTC
    for step, inputs in ((10, evidence), (-20, ()), (0, ())):
        _trade(venue, at)
        at += MINUTE
        price += step
        venue.stroll(at)
        venue.print(at, price, at - 250, inputs)
    venue.print(at, price)  # late
    # New rules hold from the next listed window on.
    venue.apply(cmd.Configure(ENGINE_VERSION, Settings(reference_kind="simulated", tie_rule="YES", taker_rate_bps=300)))
    venue.apply(cmd.Configure(ENGINE_VERSION, Settings(reference_kind="live")))
    for _ in range(3):
        _trade(venue, at)
        at += MINUTE
        venue.stroll(at)
        venue.print(at, price)
    _missing_prints(venue, at, price)


def _missing_prints(venue: Venue, at: int, price: int) -> None:
    a, b, *_ = venue.agents
    # No usable print: the window that closes is void, and so is the one that opens.
    for source_ts in (None, 0):
        _trade(venue, at)
        at += MINUTE
        venue.stroll(at)
        if source_ts is None:
            venue.apply(cmd.Print(at, None, None, "test", "LAST", "NO_TICK", ()))
        else:
            venue.print(at, price, at - 6_000)
        at += MINUTE
        venue.stroll(at)
        venue.print(at, price)
    # No print at all: the grace passes.
    _trade(venue, at)
    at += MINUTE
    venue.stroll(at + venue.rules.print_grace_ms + 1)
    at += MINUTE
    venue.stroll(at)
    venue.print(at, price)
    # An operator's voids, and resuming what has closed.
    _trade(venue, at)
    venue.apply(cmd.VoidMarket("op", venue.pending.id, "pre-listed"))
    venue.apply(cmd.VoidMarket("op", venue.live.id, "it never happened"))
    venue.stroll(venue.pending.open_at)
    venue.print(venue.ts, price)
    _trade(venue, venue.ts)
    venue.ts += 200_000
    venue.apply(cmd.Tick())  # nobody watched
    venue.stroll(venue.pending.open_at)
    venue.print(venue.ts, price)
    venue.buy(a, 50, 1)
    venue.sell(b, 50, 1)


def _trade(venue: Venue, at: int) -> None:
    """Something at stake in the window that opened at `at`, and something resting when it closes."""
    a, b, *_ = venue.agents
    if venue.ts < at + 1_000:
        venue.at(at + 1_000)
    venue.buy(a, 55, 7)
    venue.sell(b, 54, 5)
