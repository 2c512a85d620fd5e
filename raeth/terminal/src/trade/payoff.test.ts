import { expect, test } from "vitest";
import type { OrderBody, Position, Preview } from "../venue/wire";
import { costOf, payoffAfter, rests } from "./payoff";

const limit: OrderBody = { market_id: "m", side: "BUY", type: "LIMIT", tif: "GTC", price: 50, qty: 10 };
const preview = (fills: Preview["fills"], fee_cents = 0) => ({ fills, fee_cents }) as Preview;
const position = (net_qty: number, cash_flow_cents: number) => ({ net_qty, cash_flow_cents }) as Position;

test("what fills counts at its prices, what rests at the order's", () => {
  expect(payoffAfter(null, preview([{ price: 48, qty: 4 }], 7), limit)).toEqual({
    if_yes_cents: 1000 - 192 - 300 - 7,
    if_no_cents: -192 - 300 - 7,
  });
});

test("what does not rest is not counted", () => {
  const ioc = { ...limit, tif: "IOC" as const };
  expect(payoffAfter(null, preview([{ price: 48, qty: 4 }]), ioc)).toEqual({ if_yes_cents: 208, if_no_cents: -192 });
  expect(rests({ ...limit, type: "MARKET" })).toBe(false);
});

test("selling what is held closes both payoffs to one", () => {
  const after = payoffAfter(position(10, -400), preview([{ price: 55, qty: 10 }], 18), { ...limit, side: "SELL" });
  expect(after).toEqual({ if_yes_cents: 132, if_no_cents: 132 });
});

test("the cost of NO is what the YES sold falls short of its payout", () => {
  expect(costOf(position(10, -405))).toBe(405);
  expect(costOf(position(-10, 595))).toBe(405);
});
