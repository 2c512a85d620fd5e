import { expect, test } from "vitest";
import type { Market } from "../venue/wire";
import { neighbours, question } from "./words";

function market(open: string, close: string): Market {
  const window_ms = Date.parse(close) - Date.parse(open);
  return { series: "BTC-1M", open_at: open, close_at: close, rules: { window_ms } } as Market;
}

test("the windows before and after are named by their close, as the venue names them", () => {
  expect(neighbours(market("2026-12-31T23:59:00.000Z", "2027-01-01T00:00:00.000Z"))).toEqual({
    before: "BTC-1M-20261231T2359Z",
    after: "BTC-1M-20270101T0001Z",
  });
  expect(neighbours(market("2026-01-01T00:00:05.000Z", "2026-01-01T00:00:10.000Z"))).toEqual({
    before: "BTC-1M-20260101T000005Z",
    after: "BTC-1M-20260101T000015Z",
  });
  expect(neighbours(market("2026-01-01T00:00:00.500Z", "2026-01-01T00:00:02.000Z"))).toEqual({
    before: "BTC-1M-20260101T000000500Z",
    after: "BTC-1M-20260101T000003500Z",
  });
});

test("the question says seconds where the windows need them", () => {
  expect(question(market("2026-01-01T00:00:00.000Z", "2026-01-01T00:01:00.000Z"))).toBe(
    "Was Bitcoin higher at 00:01 than at 00:00 UTC on 2026-01-01?",
  );
  expect(question(market("2026-01-01T00:00:05.000Z", "2026-01-01T00:00:10.000Z"))).toContain(
    "at 00:00:10 than at 00:00:05",
  );
});
