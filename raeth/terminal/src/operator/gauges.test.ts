import { expect, test } from "vitest";
import type { AdminState, Health } from "../venue/wire";
import { type Gauge, gauges } from "./gauges";
import { span, stamp } from "./stamp";

const health: Health = {
  status: "ok",
  service: "raeth",
  now: "2026-11-20T10:30:00.000Z",
  version: "0.1.0",
  persistence: { backend: "sqlite", mode: "ok", queue_depth: 0, last_error: null },
  reference: {
    symbol: "BTC-USD",
    price_cents: 9_500_000,
    source_ts: null,
    age_ms: 120,
    status: "LIVE",
    source: "simulated",
    synthetic: true,
  },
  frozen: false,
  seq: 5_079,
  node: { name: "n1", roles: ["series"], clock_ahead_ms: 0 },
};
const state: AdminState = {
  frozen: false,
  reason: null,
  accounts: 2,
  agents: 3,
  suspended_agents: 0,
  keys: 3,
  open_orders: 4,
  markets: [],
  money: { granted_cents: 300, agents_cash_cents: 200, accounts_cash_cents: 90, fees_cents: 10, conserved: true },
  persistence: health.persistence,
  now: health.now,
  seq: 5_079,
};
const good = { health, heard: true, refused: null, state, version: null, nowMs: 0 };
const named = (list: Gauge[], name: string) => list.find((each) => each.name === name);

test("a venue that is well has no gauge that says otherwise", () => {
  expect(gauges(good).every(({ tone }) => tone === "good" || tone === "plain")).toBe(true);
});

test.each([
  ["retrying", "warn"],
  ["backpressured", "bad"],
  ["stopped", "bad"],
])("a journal that is %s shows", (mode, tone) => {
  const sick = { ...health, persistence: { ...health.persistence, mode, last_error: "disk full" } };
  expect(named(gauges({ ...good, health: sick }), "Journal")).toMatchObject({ tone, note: "sqlite: disk full" });
});

test("a price that is stale or gone shows, and its age", () => {
  const at = (status: "STALE" | "DOWN", age_ms: number | null) =>
    named(gauges({ ...good, health: { ...health, reference: { ...health.reference, status, age_ms } } }), "Reference");
  expect(at("STALE", 4_200)).toMatchObject({ tone: "warn", value: "Stale" });
  expect(at("STALE", 4_200)?.note).toContain("4 s old");
  expect(at("DOWN", null)).toMatchObject({ tone: "bad", value: "Down" });
});

test("books that do not balance and a venue that is not heard show", () => {
  const off = { ...state, money: { ...state.money, conserved: false } };
  expect(named(gauges({ ...good, state: off }), "Money")).toMatchObject({ tone: "bad", value: "Does not balance" });
  expect(gauges({ ...good, health: null, refused: undefined, state: null }).map(({ tone }) => tone)).toEqual([
    "bad",
    "warn",
  ]);
  const old = gauges({ ...good, heard: false });
  expect(old.slice(0, 2).map(({ value }) => value)).toEqual(["Not heard", "Not heard"]);
  expect(named(gauges({ ...good, refused: "EXCHANGE_FROZEN" }), "Orders")).toMatchObject({ tone: "bad" });
});

test("the day is told where it is not today's", () => {
  const now = Date.parse("2026-11-20T12:00:00Z");
  expect(stamp("2026-11-20T10:30:00.123Z", now)).toBe("10:30:00 UTC");
  expect(stamp("2026-11-19T10:30:00.123Z", now)).toBe("2026-11-19 10:30:00 UTC");
});

test.each([
  [-5, "0 s"],
  [59_999, "59 s"],
  [60_000, "1 min"],
  [3_900_000, "1 h 05 min"],
  [97_200_000, "1 d 3 h"],
])("%d ms is %s", (ms, text) => {
  expect(span(ms)).toBe(text);
});
