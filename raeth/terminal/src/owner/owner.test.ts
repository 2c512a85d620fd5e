import { expect, test } from "vitest";
import type { LedgerEntry } from "../venue/wire";
import { curveOf, gainOf, ledgerWords, rowKey, summary } from "./curve";
import { nameFault, networksOf, passwordFault } from "./keyform";
import { newId, Once } from "./once";

/** Rows as the venue lists them, newest first, from movements oldest first. */
function ledger(moves: [kind: LedgerEntry["kind"], cents: number, second: number][]): LedgerEntry[] {
  let balance = 0;
  return moves
    .map(([kind, amount_cents, second], n) => {
      balance += amount_cents;
      return {
        seq: n,
        ts: new Date(second * 1_000).toISOString(),
        kind,
        amount_cents,
        balance_after_cents: balance,
        market_id: kind === "SETTLEMENT" ? "m" : null,
      };
    })
    .reverse();
}

const rows = ledger([
  ["SIGNUP_GRANT", 100_000, 1],
  ["SETTLEMENT", -500, 60],
  ["SETTLEMENT", 700, 120],
  ["SETTLEMENT", 300, 120],
  ["TRANSFER", -20_000, 130],
]);

test("the curve rises in time, ends at the balance, and steps once for what happened at once", () => {
  const curve = curveOf(rows);
  expect(curve.ts).toEqual([1_000, 60_000, 120_000, 130_000]);
  expect(curve.cents).toEqual([100_000, 99_500, 100_500, 80_500]);
  expect(curve.settled).toEqual([null, -500, 1_000, null]);
  expect(curve.cents.at(-1)).toBe(rows[0]?.balance_after_cents);
  expect(curveOf([])).toEqual({ ts: [], cents: [], settled: [] });
});

test("what was brought and what was settled is the balance", () => {
  const sum = summary(rows);
  expect(sum).toEqual({
    settledCents: 500,
    won: 2,
    lost: 1,
    broughtCents: 80_000,
    highCents: 100_500,
    lowCents: 80_500,
  });
  expect((sum?.settledCents ?? 0) + (sum?.broughtCents ?? 0)).toBe(80_500);
  expect(summary([])).toBeNull();
});

test("the gain leaves out what was granted or moved", () => {
  const gain = gainOf(curveOf(rows));
  expect(gain.cents).toEqual([0, -500, 500, 500]);
  expect(gain.cents.at(-1)).toBe(summary(rows)?.settledCents);
});

test("rows as sentences", () => {
  const said = rows.map((row) => ledgerWords(row, row.market_id && "10:30–10:31"));
  expect(said).toEqual([
    "Transferred out",
    "Won in 10:30–10:31",
    "Won in 10:30–10:31",
    "Lost in 10:30–10:31",
    "Granted at sign-up",
  ]);
  expect(new Set(rows.map(rowKey)).size).toBe(rows.length);
});

test("one intent has one id until it is settled", () => {
  let made = 0;
  const once = new Once(() => `id${++made}`);
  expect(once.idFor("master", "a", 100)).toBe("id1");
  expect(once.idFor("master", "a", 100)).toBe("id1");
  expect(once.idFor("master", "a", 101)).toBe("id2");
  once.settled();
  expect(once.idFor("master", "a", 101)).toBe("id3");
  expect(once.idFor("a", "b c")).not.toBe(once.idFor("a b", "c"));
});

test("an id is one the venue takes", () => {
  const ids = Array.from({ length: 200 }, newId);
  expect(new Set(ids).size).toBe(200);
  for (const id of ids) expect(id).toMatch(/^[A-Za-z0-9_-]{22}$/);
});

test("names, passwords and networks", () => {
  for (const good of ["ada", "Ada-1", "0_x.y", "a".repeat(32)]) expect(nameFault(good)).toBeNull();
  for (const bad of ["", "ab", "-ada", "a b c", "adä", "a".repeat(33)]) expect(nameFault(bad)).not.toBeNull();
  expect(passwordFault("1234567")).not.toBeNull();
  expect(passwordFault("12345678")).toBeNull();
  expect(passwordFault("ü".repeat(513))).not.toBeNull();
  expect(networksOf(" 10.0.0.0/8,\n192.168.1.1; ::1 10.0.0.0/8 ")).toEqual(["10.0.0.0/8", "192.168.1.1", "::1"]);
  expect(networksOf(" \n")).toEqual([]);
});
