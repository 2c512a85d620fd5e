import { expect, test } from "vitest";
import type { Market } from "../venue/wire";
import {
  eased,
  fairOfPast,
  firstAt,
  frames,
  marks,
  priceColumns,
  priceRange,
  Sayings,
  type Spot,
  timeRange,
  timeTicks,
} from "./chart-model";

const OPEN = Date.parse("2026-11-20T10:30:00.000Z");
const spots = (...pairs: [number, number][]): Spot[] => pairs.map(([ts, price_cents]) => ({ ts, price_cents }));

function market(minute: number, change: Partial<Market> = {}): Market {
  return {
    id: String(minute),
    status: "RESOLVED",
    resolution: "YES",
    open_at: new Date(OPEN + minute * 60_000).toISOString(),
    close_at: new Date(OPEN + (minute + 1) * 60_000).toISOString(),
    reference: { open_price_cents: 9_500_000, close_price_cents: 9_500_100, source: "s" },
    ...change,
  } as Market;
}

test("the close of the open window is in view at every moment and in every span", () => {
  const window = { open: OPEN, close: OPEN + 60_000 };
  for (const span of ["1", "3", "15"] as const) {
    for (let now = OPEN; now < OPEN + 60_000; now += 777) {
      const range = timeRange(span, now, window);
      expect(range.max).toBeGreaterThan(window.close);
      expect(range.min).toBeLessThan(now);
    }
  }
});

test("a longer span moves evenly over a boundary", () => {
  const before = timeRange("3", OPEN + 59_999, { open: OPEN, close: OPEN + 60_000 });
  const after = timeRange("3", OPEN + 60_001, { open: OPEN + 60_000, close: OPEN + 120_000 });
  expect(after.max - before.max).toBe(2);
});

test("finding where a time begins", () => {
  const some = spots([10, 1], [20, 2], [30, 3]);
  expect([0, 10, 11, 30, 31].map((ts) => firstAt(some, ts))).toEqual([0, 0, 1, 2, 3]);
});

test("the range holds every visible price and the strike, and never collapses", () => {
  const some = spots([0, 9_000_000], [10, 9_500_000], [20, 9_501_000], [30, 9_499_000]);
  const range = priceRange(some, 15, 30, 9_505_000);
  expect(range?.min).toBeLessThan(9_499_000);
  expect(range?.max).toBeGreaterThan(9_505_000);
  expect(range?.min).toBeGreaterThan(9_400_000);
  const flat = priceRange(spots([0, 9_500_000], [10, 9_500_000]), 0, 10, null);
  expect((flat?.max ?? 0) - (flat?.min ?? 0)).toBeGreaterThanOrEqual(900);
  expect(priceRange([], 0, 1, null)).toBeNull();
});

test("a range comes to rest at its target, and faster outwards than inwards", () => {
  const target = { min: 0, max: 100 };
  let now = { min: 40, max: 160 };
  const first = eased(now, target, 16);
  expect(40 - first.min).toBeGreaterThan(160 - first.max);
  for (let i = 0; i < 600; i++) now = eased(now, target, 16);
  expect(Math.abs(now.min - target.min)).toBeLessThan(0.5);
  expect(Math.abs(now.max - target.max)).toBeLessThan(0.5);
  expect(eased(now, target, 16)).toBe(now); // at rest nothing is to be drawn again
  expect(eased(null, target, 16)).toBe(target);
  expect(eased({ min: 500, max: 600 }, target, 16)).toBe(target);
});

test("marks: what is over, what settles, what is to come", () => {
  const windows = [
    market(1, { status: "OPEN", resolution: null }),
    market(0, { status: "EXPIRED", resolution: null }),
    market(-1, { resolution: "NO" }),
    market(-2, { status: "VOID", resolution: "VOID" }),
    market(-60),
    market(2, { status: "PENDING", resolution: null }),
  ];
  expect(marks(windows, { min: OPEN - 300_000, max: OPEN + 300_000 })).toEqual([
    { at: OPEN - 60_000, outcome: "VOID", kind: "ended" },
    { at: OPEN, outcome: "NO", kind: "ended" },
    { at: OPEN + 60_000, outcome: null, kind: "settling" },
    { at: OPEN + 120_000, outcome: null, kind: "ahead" },
  ]);
  expect(frames(windows).map(({ open, live }) => [open - OPEN, live])).toEqual([
    [-3_600_000, false],
    [-120_000, false],
    [-60_000, false],
    [0, false],
    [60_000, true],
  ]);
});

test("a line is broken where prices were missing", () => {
  const some = spots([1_000, 1], [1_250, 2], [9_000, 3], [9_250, 4]);
  expect(priceColumns(some, 0, 3_000)).toEqual([
    [1_000, 1_250, 4_250, 9_000, 9_250],
    [1, 2, null, 3, 4],
  ]);
  expect(priceColumns(some, 9_100, 3_000)[0]).toEqual([9_000, 9_250]); // the one before the edge too
});

test("what was said is kept for a while, in order, and broken between windows", () => {
  const sayings = new Sayings(10_000);
  for (let ts = 0; ts <= 100_000; ts += 500) {
    sayings.add({ ts, window: ts < 95_000 ? 0 : 1, fair: 50, bid: 49, ask: ts % 1000 ? null : 52 });
  }
  sayings.add({ ts: 3, window: 0, fair: 1, bid: 1, ask: 2 });
  expect(sayings.items.length).toBeLessThan(90);
  const [xs, fair, , ask, mid] = sayings.columns(94_000, 3_000);
  expect(xs.slice(0, 5)).toEqual([94_000, 94_500, 94_501, 95_000, 95_500]);
  expect(fair?.slice(0, 4)).toEqual([50, 50, null, 50]);
  expect([ask?.[0], ask?.[1], mid?.[0], mid?.[1]]).toEqual([52, null, 50.5, null]);
});

test("the past is filled in where nothing was heard", () => {
  const sayings = new Sayings(10_000);
  sayings.add({ ts: 5, window: 0, fair: 40, bid: 39, ask: 41 });
  sayings.add({ ts: 9, window: 0, fair: 42, bid: 39, ask: 41 });
  sayings.fill([3, 5, 7].map((ts) => ({ ts, window: 0, fair: 1, bid: null, ask: null })));
  expect(sayings.items.map(({ ts, fair }) => [ts, fair])).toEqual([
    [3, 1],
    [5, 40],
    [7, 1],
    [9, 42],
  ]);
});

test("the fair value of the past begins with an estimate and ends on the side of the price", () => {
  const some: Spot[] = [];
  for (let s = -30; s < 60; s++) some.push({ ts: OPEN + s * 1_000, price_cents: 9_500_000 + (s % 3) * 400 + s * 60 });
  const { said } = fairOfPast(some, frames([market(0), market(-1, { reference: market(0).reference })]));
  expect(said[0]?.ts).toBe(OPEN - 20_000);
  expect(said.at(-1)?.fair).toBeGreaterThan(95);
  for (const { fair } of said) expect(fair).toBeLessThanOrEqual(100);
});

test("whole times on the axis, never crowded", () => {
  const range = { min: OPEN - 180_000, max: OPEN + 64_000 };
  const ticks = timeTicks(range, 900, 90);
  expect(ticks.length).toBeLessThanOrEqual(11);
  expect(ticks.every((at) => at % 30_000 === 0 && at >= range.min && at <= range.max)).toBe(true);
  expect(timeTicks(range, 300, 90).length).toBeLessThanOrEqual(3);
});
