/**
 * An agent's own side of the venue, from the snapshot of its private channel and each event after it. Positions,
 * collateral and results follow from orders and fills by the venue's published rules, so nothing is asked for.
 */

import type {
  Account,
  Fill,
  LedgerEntry,
  Order,
  Outcome,
  Position,
  PrivateEvent,
  PrivateSnapshot,
} from "../venue/wire";

const RESULTS_KEPT = 50;

export interface Result {
  market_id: string;
  symbol: string | null;
  resolution: Outcome | null;
  amount_cents: number | null;
  ts: string;
}

export interface Desk {
  account: Account;
  /** What rests, by id. */
  orders: ReadonlyMap<string, Order>;
  positions: ReadonlyMap<string, Position>;
  /** Windows that ended while the page looked on, newest first. */
  results: readonly Result[];
  /** The last change that is in here. */
  seq: number;
  /** Up to here the positions hold every fill already, however often it is told. All else that is told is absolute. */
  base: number;
  /** Counts what changed orders or fills, so that a list knows when to be read again. */
  version: number;
}

export function begun(snapshot: PrivateSnapshot, seq: number, before: Desk | null = null): Desk {
  return {
    account: snapshot.account,
    orders: new Map(snapshot.orders.filter(rests).map((order) => [order.order_id, order])),
    positions: new Map(snapshot.positions.map((position) => [position.market_id, position])),
    results: before?.account.agent_id === snapshot.account.agent_id ? before.results : [],
    seq,
    base: seq,
    version: (before?.version ?? 0) + 1,
  };
}

export function told(desk: Desk, event: PrivateEvent, seq: number, ts: string): Desk {
  switch (event.kind) {
    case "order":
      return withOrder(desk, event.order, seq);
    case "fill":
      return withFill(desk, event.fill, seq);
    case "amend_rejected":
      return { ...desk, seq };
    case "cash":
      return withCash(desk, event.entry, seq);
    case "settled":
      return settled(desk, event.market_id, event.symbol, event.resolution, seq, ts);
    case "deadman": {
      const { deadman } = desk.account;
      const timer = { armed_until: event.armed_until, last_action: deadman.last_action };
      const others = deadman.markets.filter((each) => each.market_id !== event.market_id);
      const now =
        event.market_id === null
          ? { ...deadman, ...timer }
          : { ...deadman, markets: [...others, { ...timer, market_id: event.market_id, symbol: event.symbol ?? "" }] };
      return { ...desk, seq, account: { ...desk.account, deadman: now } };
    }
    case "agent":
      return { ...desk, seq, account: { ...desk.account, suspended: event.event === "SUSPENDED" } };
    default:
      return desk;
  }
}

/** The venue's own reading of account and positions, unless more has been heard since. */
export function corrected(desk: Desk, account: Account, positions: readonly Position[], seq: number): Desk {
  if (seq < desk.seq) return desk;
  return {
    ...desk,
    account: account.seq >= desk.seq ? account : desk.account,
    positions: new Map(positions.map((position) => [position.market_id, position])),
    base: seq,
  };
}

export interface Totals {
  cash_cents: number;
  locked_cents: number;
  free_cents: number;
  equity_cents: number;
  pending_cents: number;
}

/** The wallet as of now; `mark` gives a window's mark price, null where there is none. */
export function totals(desk: Desk, mark: (marketId: string) => number | null): Totals {
  let [locked, pending] = [0, 0];
  for (const position of desk.positions.values()) {
    locked += position.locked_cents;
    pending += unrealised(position, mark(position.market_id)) ?? 0;
  }
  const cash = desk.account.cash_cents;
  return {
    cash_cents: cash,
    locked_cents: locked,
    free_cents: cash - locked,
    equity_cents: cash + pending,
    pending_cents: pending,
  };
}

/** Cash flow plus the position at the mark; null where there is a position and no mark. */
export function unrealised(position: Position, mark: number | null): number | null {
  if (position.net_qty === 0) return position.cash_flow_cents;
  return mark === null ? null : position.cash_flow_cents + position.net_qty * mark;
}

/** The worst outcome of a position with all that rests: max(0, −c + B, −c − 100·n + S). */
export function lockOf(net: number, cashFlow: number, orders: Iterable<Order>): number {
  let [bids, asks] = [0, 0];
  for (const order of orders) {
    const price = order.price ?? 0;
    if (order.side === "BUY") bids += price * order.remaining_qty;
    else asks += (100 - price) * order.remaining_qty;
  }
  return Math.max(0, bids - cashFlow, asks - cashFlow - 100 * net);
}

function rests(order: Order): boolean {
  return order.remaining_qty > 0 && (order.status === "OPEN" || order.status === "PARTIALLY_FILLED");
}

function withOrder(desk: Desk, order: Order, seq: number): Desk {
  if ((desk.orders.get(order.order_id)?.seq ?? 0) > order.seq) return desk;
  const orders = new Map(desk.orders);
  if (rests(order)) orders.set(order.order_id, order);
  else orders.delete(order.order_id);
  return relocked({ ...desk, orders, seq, version: desk.version + 1 }, order.market_id, order.symbol);
}

function withFill(desk: Desk, fill: Fill, seq: number): Desk {
  if (seq <= desk.base) return desk;
  const position = desk.positions.get(fill.market_id) ?? none(fill.market_id, fill.symbol);
  const sign = fill.side === "BUY" ? 1 : -1;
  const moved = {
    ...position,
    net_qty: position.net_qty + sign * fill.qty,
    cash_flow_cents: position.cash_flow_cents - sign * fill.price * fill.qty - fill.fee_cents,
  };
  const positions = new Map(desk.positions).set(fill.market_id, moved);
  return relocked({ ...desk, positions, seq, version: desk.version + 1 }, fill.market_id, fill.symbol);
}

function withCash(desk: Desk, entry: LedgerEntry, seq: number): Desk {
  const account = { ...desk.account, cash_cents: entry.balance_after_cents };
  if (entry.kind !== "SETTLEMENT" || !entry.market_id) return { ...desk, account, seq };
  const id = entry.market_id;
  const known = desk.results.find((each) => each.market_id === id);
  const result: Result = {
    market_id: id,
    symbol: known?.symbol ?? desk.positions.get(id)?.symbol ?? null,
    resolution: known?.resolution ?? null,
    amount_cents: (known?.amount_cents ?? 0) + entry.amount_cents,
    ts: entry.ts,
  };
  return { ...desk, account, seq, results: withResult(desk.results, result) };
}

function settled(desk: Desk, id: string, symbol: string, resolution: Outcome, seq: number, ts: string): Desk {
  const had = desk.positions.get(id);
  const known = desk.results.find((each) => each.market_id === id);
  const positions = new Map(desk.positions);
  positions.delete(id);
  const orders = new Map([...desk.orders].filter(([, order]) => order.market_id !== id));
  const results =
    had?.net_qty || had?.cash_flow_cents || known
      ? withResult(desk.results, { market_id: id, symbol, resolution, amount_cents: known?.amount_cents ?? null, ts })
      : desk.results;
  return { ...desk, positions, orders, results, seq, version: desk.version + (had ? 1 : 0) };
}

function withResult(results: readonly Result[], result: Result): Result[] {
  return [result, ...results.filter((each) => each.market_id !== result.market_id)].slice(0, RESULTS_KEPT);
}

function relocked(desk: Desk, marketId: string | null, symbol: string | null): Desk {
  if (!marketId) return desk;
  const own = [...desk.orders.values()].filter((order) => order.market_id === marketId);
  const position = desk.positions.get(marketId) ?? none(marketId, symbol ?? "");
  const positions = new Map(desk.positions);
  const { net_qty: net, cash_flow_cents: flow } = position;
  if (net === 0 && flow === 0 && own.length === 0) positions.delete(marketId);
  else
    positions.set(marketId, {
      ...position,
      payoff_if_yes_cents: flow + 100 * net,
      payoff_if_no_cents: flow,
      locked_cents: lockOf(net, flow, own),
    });
  return { ...desk, positions };
}

function none(marketId: string, symbol: string): Position {
  return {
    market_id: marketId,
    symbol,
    net_qty: 0,
    cash_flow_cents: 0,
    payoff_if_yes_cents: 0,
    payoff_if_no_cents: 0,
    locked_cents: 0,
    mark_price: null,
    unrealized_pnl_cents: 0,
  };
}
