"""From the SDK's models to the tools' answers: shorter, and with time relative to now.

Pure translation; must not know how anything is fetched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from raeth.client import models as m
from raeth.client.market_models import Standing
from raeth.mcp import results as r
from raeth.mcp.repair import explain
from raeth.mcp.text import harmless


def window(market: m.Market) -> r.Window:
    live = market.status in ("OPEN", "PENDING")
    length_s = (market.close_at_ms - market.open_at_ms) // 1000
    return r.Window(
        market=market.symbol,
        status=market.status,
        open_at=market.open_at,
        close_at=market.close_at,
        opens_in_s=max(0, market.seconds_to_close - length_s) if market.status == "PENDING" else None,
        closes_in_s=market.seconds_to_close if live else None,
        halted=market.halted,
        open_price_cents=market.reference.open_price_cents,
        close_price_cents=market.reference.close_price_cents,
        resolution=market.resolution,
        best_bid=market.best_bid,
        best_ask=market.best_ask,
        last_trade_price=market.last_trade_price,
        volume=market.volume,
    )


def levels(side: Iterable[m.Level], depth: int) -> list[r.Level]:
    return [r.Level(price=level.price, qty=level.qty) for level in list(side)[:depth]]


def book(market: m.Market, found: m.Book, depth: int) -> r.BookView:
    bid, ask = found.best_bid, found.best_ask
    return r.BookView(
        market=market.symbol,
        closes_in_s=market.seconds_to_close if market.status == "OPEN" else None,
        bids=levels(found.bids, depth),
        asks=levels(found.asks, depth),
        spread=None if bid is None or ask is None else ask.price - bid.price,
        seq=found.seq,
    )


def order(o: m.Order) -> r.OrderView:
    return r.OrderView(
        order_id=o.order_id,
        client_order_id=o.client_order_id,
        market=o.symbol,
        side=o.side,
        type=o.type,
        tif=o.tif,
        price=o.price,
        qty=o.qty,
        status=o.status,
        filled_qty=o.filled_qty,
        remaining_qty=o.remaining_qty,
        filled_notional_cents=o.filled_notional_cents,
        fee_cents=o.fee_cents,
        fills=[
            r.FillView(price=f.price, qty=f.qty, liquidity=f.liquidity, fee_cents=f.fee_cents) for f in o.fills[:FILLS]
        ],
        reject_reason=o.reject_reason,
        cancel_reason=o.cancel_reason,
        created_at=o.created_at,
    )


FILLS = 20
"""Fills shown of one order; the sums are of all of them."""


def position(p: m.Position) -> r.PositionView:
    return r.PositionView(
        market=p.symbol,
        net_qty=p.net_qty,
        payoff_if_yes_cents=p.payoff_if_yes_cents,
        payoff_if_no_cents=p.payoff_if_no_cents,
        locked_cents=p.locked_cents,
        mark_price=p.mark_price,
        unrealized_pnl_cents=p.unrealized_pnl_cents,
    )


def trade(t: m.Trade, now_ms: int) -> r.TradeView:
    return r.TradeView(
        price=t.price, qty=t.qty, taker_side=t.taker_side, at=t.ts, ago_s=max(0, (now_ms - t.ts_ms) // 1000)
    )


def reference(ref: m.Reference, strike_cents: int | None) -> r.ReferenceView:
    known = ref.price_cents is not None and strike_cents is not None
    return r.ReferenceView(
        status=ref.status,
        price_cents=ref.price_cents,
        age_ms=ref.age_ms,
        synthetic=ref.synthetic,
        above_open_cents=ref.price_cents - strike_cents if known else None,  # type: ignore[operator]
    )


LIMITS = ("max_order_qty", "max_order_notional_cents", "position_cap")


def context(c: m.AgentContext, following: str | None, depth: int) -> r.Context:
    now_ms = m.epoch_ms(c.server_time)
    market, own = c.market, c.own
    strike = None if market is None else market.reference.open_price_cents
    return r.Context(
        now=c.server_time,
        window=None if market is None else window(market),
        next_window=following,
        bids=[] if c.book is None else levels(c.book.bids, depth),
        asks=[] if c.book is None else levels(c.book.asks, depth),
        recent_trades=[trade(t, now_ms) for t in (c.recent_trades or ())[:10]],
        reference=None if c.reference is None else reference(c.reference, strike),
        fair_value=c.fair_value_cents,
        position=None if own is None or own.position is None else position(own.position),
        open_orders=[] if own is None else [order(o) for o in own.open_orders or ()],
        cash_cents=None if own is None else own.cash_cents,
        free_cash_cents=None if own is None else own.free_cash_cents,
        limits={} if market is None else {name: getattr(market.risk, name) for name in LIMITS},
        taker_fee_bps=None if market is None else market.fees.taker_rate_bps,
        frozen=c.frozen,
        reads_left_this_minute=None if own is None or own.budget is None else own.budget.remaining,
    )


def rank(standing: Standing) -> r.Rank:
    return r.Rank(
        rank=standing.rank,
        untrusted_text=r.TheirName(name=harmless(standing.name)),
        pnl_cents=standing.pnl_cents,
        drawdown_cents=standing.drawdown_cents,
        volume_contracts=standing.volume_contracts,
        windows=standing.windows,
        hit_rate_bps=standing.hit_rate_bps,
    )


def settlement(s: m.Settlement, own_cash_change_cents: int | None = None) -> r.SettlementView:
    return r.SettlementView(
        market=s.symbol,
        status=s.status,
        resolution=s.resolution,
        reason=s.reason,
        open_price_cents=None if s.open_print is None else s.open_print.price_cents,
        close_price_cents=None if s.close_print is None else s.close_print.price_cents,
        closed_at=None if s.close_print is None else s.close_print.boundary,
        own_cash_change_cents=own_cash_change_cents,
    )


def ended(market: m.Market) -> r.SettlementView:
    return r.SettlementView(
        market=market.symbol,
        status=market.status,
        resolution=market.resolution,
        open_price_cents=market.reference.open_price_cents,
        close_price_cents=market.reference.close_price_cents,
        closed_at=market.close_at,
    )


def fill(f: m.Fill) -> r.FillEntry:
    return r.FillEntry(
        market=f.symbol,
        side=f.side,
        price=f.price,
        qty=f.qty,
        liquidity=f.liquidity,
        fee_cents=f.fee_cents,
        order_id=f.order_id,
        at=f.ts,
    )


def ledger(entry: m.LedgerEntry) -> r.LedgerView:
    return r.LedgerView(
        kind=entry.kind,
        amount_cents=entry.amount_cents,
        balance_after_cents=entry.balance_after_cents,
        market=entry.market_id,
        at=entry.ts,
    )


def portfolio(account: m.Account, positions: Iterable[m.Position], orders: Iterable[m.Order]) -> r.Portfolio:
    return r.Portfolio(
        agent_id=account.agent_id,
        agent_name=account.agent_name,
        cash_cents=account.cash_cents,
        locked_cents=account.locked_cents,
        free_cash_cents=account.free_cash_cents,
        equity_cents=account.equity_cents,
        positions=[position(p) for p in positions],
        open_orders=[order(o) for o in orders],
        open_order_count=account.open_orders,
        frozen=account.frozen,
        suspended=account.suspended,
        seq=account.seq,
    )


def preview(p: m.Preview, market: m.Market, sent: dict[str, Any], other_market: str | None) -> r.PreviewResult:
    filled = sum(f.qty for f in p.fills)
    rests = p.accepted and sent.get("price") is not None and sent.get("tif") not in ("IOC", "FOK")
    repair = p.reject_details or m.Repair()
    return r.PreviewResult(
        would="ACCEPT" if p.accepted else "REJECT",
        market=market.symbol,
        closes_in_s=market.seconds_to_close if market.status == "OPEN" else None,
        fills=[r.FillView(price=f.price, qty=f.qty) for f in p.fills],
        filled_qty=filled,
        would_rest_qty=sent["qty"] - filled if rests else 0,
        fee_cents=p.fee_cents,
        required_cents=p.required_cents,
        free_cash_after_cents=p.free_cash_after_cents,
        position_after=p.position_after,
        worst_case_loss_cents=p.worst_case_loss_cents,
        decline=None if p.accepted else explain(p.reject_reason, p.reject_message, repair, sent, other_market),
    )


def placed(o: m.Order, sent: dict[str, Any], closes_in_s: int | None, other_market: str | None) -> r.PlacedOrder:
    decline = explain(o.reject_reason, o.reject_message, o.repair, sent, other_market) if o.is_rejected else None
    return r.PlacedOrder(
        status=o.status,
        order=order(o),
        market=o.symbol,
        closes_in_s=closes_in_s,
        replayed=o.replayed,
        decline=decline,
    )


def quote_level(o: m.Order) -> r.QuoteLevelResult:
    sent = {"market": o.symbol, "side": o.side, "qty": o.qty, "price": o.price, "tif": o.tif}
    decline = explain(o.reject_reason, o.reject_message, o.repair, sent) if o.is_rejected else None
    return r.QuoteLevelResult(
        side=o.side, price=o.price, qty=o.qty, status=o.status, order_id=o.order_id, decline=decline
    )


def cancelled(done: m.Cancelled) -> r.CancelResult:
    orders = [order(result) for result in done.results if isinstance(result, m.Order)]
    missed = [result for result in done.results if isinstance(result, m.NotCancelled)]
    return r.CancelResult(
        cancelled=done.cancelled,
        orders=orders,
        not_cancelled=[r.NotCancelled(order_id=result.order_id, code=result.code) for result in missed],
    )
