import { expect, test } from "vitest";
import type { Account, Fill, Order, PrivateEvent } from "../venue/wire";
import { begun, corrected, type Desk, lockOf, told, totals, unrealised } from "./desk";

const account = {
  agent_id: "a",
  cash_cents: 100_000,
  deadman: { armed_until: null, last_action: null, markets: [] },
  seq: 10,
} as unknown as Account;

function order(id: string, side: "BUY" | "SELL", price: number, remaining: number, seq: number, more = {}): Order {
  const status = remaining ? "OPEN" : "CANCELLED";
  return {
    order_id: id,
    market_id: "m",
    symbol: "S",
    side,
    price,
    remaining_qty: remaining,
    status,
    seq,
    ...more,
  } as Order;
}

function fill(side: "BUY" | "SELL", price: number, qty: number, fee = 0): PrivateEvent {
  return { kind: "fill", fill: { market_id: "m", symbol: "S", side, price, qty, fee_cents: fee } as Fill };
}

const start = (): Desk => begun({ account, positions: [], orders: [] }, 10);
const hear = (desk: Desk, event: PrivateEvent, seq: number) => told(desk, event, seq, "2026-11-20T10:31:00.000Z");

test("resting locks, fills move it into the position, both payoffs follow", () => {
  let desk = hear(start(), { kind: "order", order: order("1", "BUY", 40, 10, 11) }, 11);
  expect(totals(desk, () => null)).toMatchObject({ locked_cents: 400, free_cents: 99_600 });
  desk = hear(desk, fill("BUY", 40, 4), 12);
  desk = hear(desk, { kind: "order", order: order("1", "BUY", 40, 6, 12, { status: "PARTIALLY_FILLED" }) }, 12);
  const position = desk.positions.get("m");
  expect(position).toMatchObject({
    net_qty: 4,
    cash_flow_cents: -160,
    payoff_if_yes_cents: 240,
    payoff_if_no_cents: -160,
    locked_cents: 400,
  });
  expect(totals(desk, () => 55)).toMatchObject({ pending_cents: 60, equity_cents: 100_060 });
  desk = hear(desk, { kind: "order", order: order("1", "BUY", 40, 0, 13) }, 13);
  expect(desk.orders.size).toBe(0);
  expect(desk.positions.get("m")?.locked_cents).toBe(160);
});

test("without a mark a position is worth nobody knows what", () => {
  const desk = hear(start(), fill("BUY", 40, 4), 11);
  const position = desk.positions.get("m");
  if (!position) throw new Error("no position");
  expect(unrealised(position, null)).toBeNull();
  expect(unrealised(position, 0)).toBe(-160);
  expect(totals(desk, () => null).equity_cents).toBe(100_000);
});

test("a taker's fee and a maker's rebate are in the cash flow", () => {
  const taken = hear(start(), fill("SELL", 60, 10, 17), 11);
  expect(taken.positions.get("m")).toMatchObject({ net_qty: -10, payoff_if_no_cents: 583, payoff_if_yes_cents: -417 });
  expect(hear(start(), fill("BUY", 60, 10, -4), 11).positions.get("m")?.cash_flow_cents).toBe(-596);
});

test("cancelling the last order of a window without a trade leaves nothing behind", () => {
  const placed = hear(start(), { kind: "order", order: order("1", "SELL", 70, 5, 11) }, 11);
  expect(placed.positions.get("m")?.locked_cents).toBe(150);
  expect(hear(placed, { kind: "order", order: order("1", "SELL", 70, 0, 12) }, 12).positions.size).toBe(0);
});

test("two-sided quotes cost one side", () => {
  expect(lockOf(0, 0, [order("1", "BUY", 48, 10, 1), order("2", "SELL", 52, 10, 1)])).toBe(480);
  expect(lockOf(10, -480, [order("2", "SELL", 52, 10, 1)])).toBe(480);
});

test("a settlement moves cash, ends the position and is a result, in whichever order it is told", () => {
  const held = hear(start(), fill("BUY", 40, 10, 2), 11);
  const entry = {
    kind: "SETTLEMENT",
    amount_cents: 598,
    balance_after_cents: 100_598,
    market_id: "m",
    seq: 12,
    ts: "t",
  };
  const cash = { kind: "cash", entry } as PrivateEvent;
  const end: PrivateEvent = { kind: "settled", market_id: "m", symbol: "S", resolution: "YES" };
  for (const events of [
    [cash, end],
    [end, cash],
  ]) {
    const after = events.reduce((desk, event) => hear(desk, event, 12), held);
    expect(after.account.cash_cents).toBe(100_598);
    expect(after.positions.size).toBe(0);
    expect(after.results).toMatchObject([{ market_id: "m", symbol: "S", resolution: "YES", amount_cents: 598 }]);
  }
  const other: PrivateEvent = { kind: "settled", market_id: "x", symbol: "X", resolution: "NO" };
  expect(hear(held, other, 12).results).toEqual([]);
});

test("a fill that the positions hold already is not counted twice; an older order does not come back", () => {
  const desk = begun({ account, positions: [], orders: [order("1", "BUY", 40, 5, 20)] }, 20);
  expect(hear(desk, fill("BUY", 40, 5), 20)).toBe(desk);
  expect(hear(desk, { kind: "order", order: order("1", "BUY", 40, 10, 15) }, 15)).toBe(desk);
});

test("the venue's figures count unless more was heard since", () => {
  const desk = hear(start(), fill("BUY", 40, 10), 30);
  expect(corrected(desk, { ...account, seq: 29 }, [], 29)).toBe(desk);
  const now = corrected(desk, { ...account, cash_cents: 5, seq: 31 }, [], 31);
  expect([now.account.cash_cents, now.positions.size, now.base]).toEqual([5, 0, 31]);
});

test("a dead-man timer, of all windows and of one", () => {
  const armed = { kind: "deadman", event: "ARMED", symbol: null, armed_until: "T", cancelled: null } as const;
  expect(hear(start(), { ...armed, market_id: null }, 11).account.deadman.armed_until).toBe("T");
  const one = hear(start(), { ...armed, market_id: "m", symbol: "S" }, 11).account.deadman;
  expect([one.armed_until, one.markets.length]).toEqual([null, 1]);
});

test("what is remembered of a long day is bounded", () => {
  let desk = start();
  for (let n = 0; n < 300; n++) {
    const id = `m${n}`;
    const entry = { kind: "SETTLEMENT", amount_cents: 1, balance_after_cents: n, market_id: id, seq: n, ts: "t" };
    desk = hear(desk, { kind: "cash", entry } as PrivateEvent, 100 + n);
  }
  expect(desk.results.length).toBe(50);
});
