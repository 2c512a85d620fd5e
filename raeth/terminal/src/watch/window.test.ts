import { expect, test } from "vitest";
import type { Market } from "../venue/wire";
import {
  distanceText,
  elapsed,
  isNews,
  leftMs,
  moveCents,
  outcomeText,
  phase,
  previous,
  question,
  spoken,
  tally,
} from "./window";

const OPEN = Date.parse("2026-11-20T10:30:00.000Z");

function market(change: Partial<Market> = {}, strike: number | null = 9501486, close: number | null = null): Market {
  return {
    id: "m",
    symbol: "BTC-1M-20261120T1031Z",
    series: "BTC-1M",
    status: "OPEN",
    open_at: "2026-11-20T10:30:00.000Z",
    close_at: "2026-11-20T10:31:00.000Z",
    resolution: null,
    reference: { open_price_cents: strike, close_price_cents: close, source: "simulated" },
    ...change,
  } as Market;
}

test("the question, with and without a strike", () => {
  expect(question(market())).toBe("Bitcoin above $95,014.86 at 10:31 UTC?");
  expect(question(market({}, null))).toBe("Bitcoin above its opening price at 10:31 UTC?");
  expect(question(market({ status: "PENDING" }, null))).toBe("Bitcoin up or down at 10:31 UTC?");
  expect(question(null)).toBe("Bitcoin, up or down?");
});

test("where a window stands and what is left of it", () => {
  expect(phase(null, OPEN)).toBe("waiting");
  expect(phase(market({ status: "PENDING" }), OPEN - 1)).toBe("PENDING");
  expect(phase(market(), OPEN + 59_999)).toBe("OPEN");
  expect(phase(market(), OPEN + 60_000)).toBe("closing");
  expect(leftMs(market(), OPEN + 18_000)).toBe(42_000);
  expect(leftMs(market({ status: "PENDING" }), OPEN - 5_000)).toBe(5_000);
  expect(leftMs(market(), OPEN + 61_000)).toBe(0);
  expect([elapsed(market(), OPEN - 1), elapsed(market(), OPEN + 15_000), elapsed(market(), OPEN + 99_000)]).toEqual([
    0, 0.25, 1,
  ]);
});

test("what came of it", () => {
  const yes = market({ status: "RESOLVED", resolution: "YES" }, 9501486, 9502720);
  expect(outcomeText(yes)).toBe("▲ YES +$12.34");
  expect(outcomeText(market({ status: "RESOLVED", resolution: "NO" }, 9501486, 9501400))).toBe("▼ NO −$0.86");
  expect(outcomeText(market({ status: "VOID", resolution: "VOID" }, null))).toBe("∅ VOID");
  expect(outcomeText(market({ status: "EXPIRED" }))).toBe("settling …");
  expect(moveCents(market())).toBeNull();
  expect([isNews(yes, OPEN + 59_000), isNews(yes, OPEN + 61_000), isNews(yes, OPEN + 75_000)]).toEqual([
    false,
    true,
    false,
  ]);
});

test("the last windows, counted without those that are settling", () => {
  const ended = [
    market({ id: "5", status: "EXPIRED" }),
    market({ id: "4", status: "RESOLVED", resolution: "YES" }),
    market({ id: "3", status: "VOID", resolution: "VOID" }),
    market({ id: "2", status: "RESOLVED", resolution: "NO" }),
    market({ id: "1", status: "RESOLVED", resolution: "YES" }),
  ];
  expect(tally(ended, 3)).toEqual({ yes: 1, no: 1, void: 1, of: 3 });
  expect(tally(ended, 50)).toEqual({ yes: 2, no: 1, void: 1, of: 4 });
  expect(tally([], 5).of).toBe(0);
  expect(previous(ended, 3).map(({ id }) => id)).toEqual(["3", "4", "5"]);
});

test("the distance and the spoken sentence", () => {
  expect([distanceText(1234), distanceText(-86), distanceText(0)]).toEqual(["▲ +$12.34", "▼ −$0.86", "= $0.00"]);
  expect(spoken(market(), 9502720, 55, 47, OPEN + 18_000)).toBe(
    "Bitcoin above $95,014.86 at 10:31 UTC? 42 seconds left. The price is $95,027.20, $12.34 above the strike. Yes costs 55 cents. No costs 47 cents.",
  );
  expect(spoken(market({ status: "PENDING" }, null), null, null, null, OPEN - 7_500)).toBe(
    "The next window opens in 8 seconds.",
  );
});
