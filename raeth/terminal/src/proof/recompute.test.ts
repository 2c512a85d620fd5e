import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Print, PrintInput, Settlement } from "../venue/wire";
import { converted, isOutlier, medianCents, recompute, recomputePrint, ruleOf, withPrices } from "./recompute";

const RULE =
  "median of venues: each venue's last price at or before the time, at most 3000 ms old, within 50 bps of the median, at least 3 venues";
const LAST = "last price at or before the boundary by source time, at most 5000 ms old";
const OPEN_AT = Date.parse("2026-01-01T00:00:00.000Z");
const CLOSE_AT = OPEN_AT + 60_000;
const WINDOW = { openAtMs: OPEN_AT, closeAtMs: CLOSE_AT, printMaxAgeMs: 5_000 };

type Made = [price: number | null, ageMs: number, more?: Partial<PrintInput>];

/** A print as a venue would have it that used these inputs, gave this price, and says so. */
function print(boundary: number, made: Made[], priceCents: number | null, ageMs: number | null, more = {}): Print {
  return {
    boundary: new Date(boundary).toISOString(),
    price_cents: priceCents,
    source_ts: ageMs === null ? null : new Date(boundary - ageMs).toISOString(),
    age_ms: ageMs,
    source: "live",
    rule: RULE,
    reason: null,
    inputs: made.map(([price_cents, age, input], n) => ({
      venue: `v${n + 1}`,
      price_cents,
      source_ts: new Date(boundary - age).toISOString(),
      used: true,
      why: "used",
      quote_price_cents: null,
      rate_e8: null,
      rate_source_ts: null,
      ...input,
    })),
    seq: 10,
    ts: new Date(boundary + 200).toISOString(),
    ...more,
  };
}

const unused = { used: false, why: "left out" };

function settlement(open: Print | null, close: Print | null, more: Partial<Settlement> = {}): Settlement {
  return {
    market_id: "m",
    symbol: "BTC-1M-20260101T0001Z",
    status: "RESOLVED",
    resolution: "YES",
    reason: "UP",
    outcome_rule: "",
    tie_rule: "VOID",
    print_rule: "",
    open_print: open,
    close_print: close,
    resolved_at: null,
    fees_cents: 0,
    seq: 11,
    ...more,
  };
}

const opened = (cents = 9_500_000) =>
  print(
    OPEN_AT,
    [
      [cents, 10],
      [cents, 20],
      [cents, 30],
    ],
    cents,
    10,
  );
const closed = (cents: number) =>
  print(
    CLOSE_AT,
    [
      [cents, 10],
      [cents, 20],
      [cents, 30],
    ],
    cents,
    10,
  );

// SYNTHETIC: of venues with the simulated reference, and with a recording of made-up numbers.
const fixtures = new URL("./fixtures/", import.meta.url);
for (const name of readdirSync(fixtures).filter((each) => each.endsWith(".json"))) {
  test(`a venue's own evidence, synthetic: ${name}`, () => {
    const { evidence, window } = JSON.parse(readFileSync(new URL(name, fixtures), "utf8"));
    const result = recompute(evidence, window);
    expect(result.agrees, JSON.stringify([result.checks, result.open?.checks, result.close?.checks])).toBe(true);
    expect(result.outcome).toBe(evidence.resolution);
    expect(result.partly).toBe(evidence.reason === "OPERATOR"); // why an operator did it, no number tells
    // and it is the numbers that decide: the other way round, it is noticed
    const lie = { ...evidence, resolution: evidence.resolution === "YES" ? "NO" : "YES", status: "RESOLVED" };
    expect(recompute(lie, window).agrees).toBe(false);
    const close = evidence.close_print;
    if (close?.price_cents) {
      const moved = { ...evidence, close_print: { ...close, price_cents: close.price_cents + 1 } };
      expect(recompute(moved, window).agrees).toBe(false);
    }
  });
}

test("the median is the middle one, or the floor of the mean of the middle two, in whatever order they come", () => {
  for (let n = 1; n <= 9; n++) {
    for (let tries = 0; tries < 50; tries++) {
      const prices = Array.from({ length: n }, () => 1 + Math.floor(Math.random() * 1e12));
      const got = medianCents(prices);
      const below = prices.filter((each) => each <= got).length;
      const above = prices.filter((each) => each >= got).length;
      if (n % 2) expect([prices.includes(got), below >= (n + 1) / 2, above >= (n + 1) / 2]).toEqual([true, true, true]);
      else {
        const ordered = prices.map(BigInt).sort((a, b) => (a < b ? -1 : 1));
        const [a = 0n, b = 0n] = [ordered[n / 2 - 1], ordered[n / 2]];
        expect(BigInt(got)).toBe((a + b) / 2n);
      }
    }
  }
  expect(medianCents([3, 4])).toBe(3);
});

test("the band is exact where doubles are not", () => {
  expect(isOutlier(10_050, 10_000, 50)).toBe(false);
  expect(isOutlier(10_051, 10_000, 50)).toBe(true);
  expect(isOutlier(9_949, 10_000, 50)).toBe(true);
  const median = 999_999_999_800;
  const edge = median + (median / 10_000) * 50;
  expect(isOutlier(edge, median, 50)).toBe(false);
  expect(isOutlier(edge + 1, median, 50)).toBe(true);
});

test("USDT becomes dollars, rounded down", () => {
  expect(converted(9_500_001, 99_991_234)).toBe(9_499_168);
  expect(converted(900_000_000_001, 99_999_999)).toBe(899_999_991_000);
  const usdt = { quote_price_cents: 9_501_000, rate_e8: 99_990_000, rate_source_ts: null };
  const good = print(
    OPEN_AT,
    [
      [9_500_000, 1],
      [9_500_100, 2],
      [9_500_049, 3, usdt],
    ],
    9_500_049,
    1,
  );
  expect(recomputePrint(good, 5_000).checks.every((check) => check.agrees)).toBe(true);
  const bad = print(
    OPEN_AT,
    [
      [9_500_000, 1],
      [9_500_100, 2],
      [9_500_050, 3, usdt],
    ],
    9_500_050,
    1,
  );
  expect(
    recomputePrint(bad, 5_000)
      .checks.filter((check) => !check.agrees)
      .map((check) => check.what),
  ).toEqual(["USDT prices in dollars"]);
});

test("a price too far from the median is left out, and one too old, and one from after the time", () => {
  const outlier = print(
    OPEN_AT,
    [
      [9_500_000, 5],
      [9_500_200, 6],
      [9_500_400, 7],
      [9_700_000, 1, unused],
    ],
    9_500_200,
    5,
  );
  let result = recomputePrint(outlier, 5_000);
  expect(result.firstMedian).toBe(9_500_300);
  expect(result.counted).toEqual([9_500_000, 9_500_200, 9_500_400]);
  expect(result.checks.every((check) => check.agrees)).toBe(true);
  const stale = print(
    OPEN_AT,
    [
      [9_500_000, 3_000],
      [9_500_200, 6],
      [9_500_400, 7],
      [9_400_000, 3_001, unused],
    ],
    9_500_200,
    6,
  );
  result = recomputePrint(stale, 5_000);
  expect(result.inputs.map((each) => each.counts)).toEqual([true, true, true, false]);
  expect(result.checks.every((check) => check.agrees)).toBe(true);
  const late = print(
    OPEN_AT,
    [
      [9_500_000, 5],
      [9_500_200, -1],
      [9_500_400, 7],
      [9_500_600, 8],
    ],
    9_500_300,
    5,
  );
  result = recomputePrint(late, 5_000);
  expect(result.inputs[1]?.why).toBe("after the time");
  expect(result.checks.some((check) => check.agrees === false)).toBe(true);
});

test("an even number of inputs", () => {
  const even = print(
    OPEN_AT,
    [
      [9_500_001, 5],
      [9_500_000, 6],
      [9_500_000, 7],
      [9_500_001, 8],
    ],
    9_500_000,
    5,
  );
  expect(recomputePrint(even, 5_000).priceCents).toBe(9_500_000);
});

test("too few venues are no price, and who prints one all the same is caught", () => {
  const few: Made[] = [
    [9_500_000, 5],
    [9_500_200, 6],
    [null, 7, unused],
  ];
  const none = print(CLOSE_AT, few, null, null, { reason: "no_quorum" });
  const evidence = settlement(opened(), none, { status: "VOID", resolution: "VOID", reason: "NO_CLOSE_PRINT" });
  const result = recompute(evidence, WINDOW);
  expect([result.agrees, result.partly, result.outcome]).toEqual([true, true, "VOID"]);
  const invented = recompute(settlement(opened(), print(CLOSE_AT, few, 9_500_100, 5)), WINDOW);
  expect(invented.agrees).toBe(false);
});

test("a print that is too old at the boundary is none", () => {
  const old = print(
    CLOSE_AT,
    [
      [9_500_000, 6_000],
      [9_500_001, 6_100],
      [9_500_002, 6_200],
    ],
    9_500_001,
    6_000,
    {
      rule: `${RULE}; no quorum at the boundary, so as of ${CLOSE_AT - 6_000}, the last time there was one`,
    },
  );
  expect(recomputePrint(old, 5_000).priceCents).toBeNull();
  expect(recomputePrint(old, 6_000).priceCents).toBe(9_500_001);
  expect(recompute(settlement(opened(), old), WINDOW).agrees).toBe(false);
});

test("as of a time before the boundary, ages count from then", () => {
  const at = CLOSE_AT - 1_500;
  const rule = `${RULE}; no quorum at the boundary, so as of ${at}, the last time there was one`;
  const early = print(
    CLOSE_AT,
    [
      [9_500_000, 1_500],
      [9_500_001, 4_400],
      [9_500_002, 4_500],
      [9_500_003, 4_501, unused],
    ],
    9_500_001,
    1_500,
    { rule },
  );
  const result = recomputePrint(early, 5_000);
  expect(result.inputs.map((each) => each.ageMs)).toEqual([0, 2_900, 3_000, 3_001]);
  expect(result.priceCents).toBe(9_500_001);
  expect(result.checks.some((check) => check.agrees === false)).toBe(false);
});

test("a tie follows the rule", () => {
  for (const tie of ["VOID", "YES", "NO"] as const) {
    const status = tie === "VOID" ? "VOID" : "RESOLVED";
    const more = { tie_rule: tie, resolution: tie, reason: "TIE", status } as const;
    const result = recompute(settlement(opened(), closed(9_500_000), more), WINDOW);
    expect([result.outcome, result.agrees]).toEqual([tie, true]);
  }
});

test("one cent decides, and the wrong outcome is caught", () => {
  expect(recompute(settlement(opened(), closed(9_500_001)), WINDOW)).toMatchObject({ outcome: "YES", agrees: true });
  expect(recompute(settlement(opened(), closed(9_499_999)), WINDOW)).toMatchObject({ outcome: "NO", agrees: false });
});

test("what an operator voided, or nobody watched, prints do not decide", () => {
  for (const reason of ["OPERATOR", "VENUE_DOWN"]) {
    const voided = settlement(opened(), null, { status: "VOID", resolution: "VOID", reason });
    expect(recompute(voided, WINDOW)).toMatchObject({ outcome: "VOID", agrees: true, partly: true });
    expect(recompute({ ...voided, resolution: "YES", status: "RESOLVED" }, WINDOW).agrees).toBe(false);
  }
});

test("a window without a usable open print is void", () => {
  const missing = print(OPEN_AT, [], null, null, { rule: "NO_PRINT", source: "none", reason: "GRACE_PASSED" });
  const voided = settlement(missing, closed(1), { status: "VOID", resolution: "VOID", reason: "OPEN_PRINT_UNUSABLE" });
  expect(recompute(voided, WINDOW)).toMatchObject({ outcome: "VOID", agrees: true, partly: true });
});

test("one series of prices, and the journal's own", () => {
  const one = print(CLOSE_AT, [[9_500_500, 900]], 9_500_500, 900, { rule: LAST, source: "replay:file.csv" });
  expect(recomputePrint(one, 5_000).checks.every((check) => check.agrees)).toBe(true);
  const journal = `last index tick in the journal at or before the boundary by source time, at most 5000 ms old; whoever fed the index then is gone, and what it saw since with it`;
  expect(ruleOf(journal)).toEqual({ kind: "last", maxAgeMs: 5_000, journal: true });
});

test("prints of other times than the window's are caught, and rules that are not known say so", () => {
  const elsewhere = recompute(settlement(opened(), closed(9_500_001)), { ...WINDOW, openAtMs: OPEN_AT - 60_000 });
  expect(elsewhere.agrees).toBe(false);
  const strange = recomputePrint({ ...opened(), rule: "as we please" }, 5_000);
  expect([strange.priceCents, strange.checks[0]?.agrees]).toEqual([null, null]);
});

test("a window that is not over has no outcome", () => {
  const open = settlement(opened(), null, { status: "OPEN", resolution: null, reason: null });
  expect(recompute(open, WINDOW)).toMatchObject({ outcome: null, agrees: true, partly: false });
});

test("an experiment changes its inputs and nothing else", () => {
  const evidence = settlement(opened(), closed(9_500_001));
  const changed = withPrices(
    evidence,
    new Map([
      ["close v1", 9_499_000],
      ["close v2", 9_499_000],
    ]),
  );
  expect(recompute(changed, WINDOW).outcome).toBe("NO");
  expect(recompute(evidence, WINDOW).outcome).toBe("YES");
});
