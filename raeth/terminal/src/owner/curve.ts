/** An agent's cash over time, from its ledger; and the ledger's rows as sentences. */

import type { LedgerEntry } from "../venue/wire";

export interface Curve {
  /** Epoch milliseconds, rising. */
  ts: number[];
  /** Balance from then on. */
  cents: number[];
  /** What settlements at that time brought, in sum; null where there was none. */
  settled: (number | null)[];
}

/** `rows` are newest first, as the venue lists them. What happened in one millisecond is one step. */
export function curveOf(rows: readonly LedgerEntry[]): Curve {
  const curve: Curve = { ts: [], cents: [], settled: [] };
  for (let n = rows.length - 1; n >= 0; n--) {
    const row = rows[n];
    if (!row) continue;
    const ts = Date.parse(row.ts);
    const last = curve.ts.length - 1;
    const settled = row.kind === "SETTLEMENT" ? row.amount_cents : null;
    if (last >= 0 && curve.ts[last] === ts) {
      curve.cents[last] = row.balance_after_cents;
      if (settled !== null) curve.settled[last] = (curve.settled[last] ?? 0) + settled;
    } else {
      curve.ts.push(ts);
      curve.cents.push(row.balance_after_cents);
      curve.settled.push(settled);
    }
  }
  return curve;
}

/** The same steps with only what settlements brought: cash that was granted or moved is no gain and no loss. */
export function gainOf(curve: Curve): Curve {
  let sum = 0;
  return { ...curve, cents: curve.settled.map((cents) => (sum += cents ?? 0)) };
}

export interface Summary {
  /** Of settlements. */
  settledCents: number;
  won: number;
  lost: number;
  /** Grants, faucet and transfers, in less out. */
  broughtCents: number;
  highCents: number;
  lowCents: number;
}

export function summary(rows: readonly LedgerEntry[]): Summary | null {
  const newest = rows[0];
  if (!newest) return null;
  const first = newest.balance_after_cents;
  const sum: Summary = { settledCents: 0, won: 0, lost: 0, broughtCents: 0, highCents: first, lowCents: first };
  for (const row of rows) {
    if (row.kind === "SETTLEMENT") {
      sum.settledCents += row.amount_cents;
      if (row.amount_cents > 0) sum.won += 1;
      else if (row.amount_cents < 0) sum.lost += 1;
    } else if (row.kind !== "FEES") sum.broughtCents += row.amount_cents;
    sum.highCents = Math.max(sum.highCents, row.balance_after_cents);
    sum.lowCents = Math.min(sum.lowCents, row.balance_after_cents);
  }
  return sum;
}

/** What a row was, without its amount. `window` is how people call the window it belongs to. */
export function ledgerWords(row: LedgerEntry, window: string | null): string {
  const where = window ? ` in ${window}` : "";
  switch (row.kind) {
    case "SIGNUP_GRANT":
      return "Granted at sign-up";
    case "FAUCET":
      return "From the faucet";
    case "GRANT":
      return "Granted by the operator";
    case "TRANSFER":
      return row.amount_cents < 0 ? "Transferred out" : "Transferred in";
    case "SETTLEMENT":
      return `${row.amount_cents > 0 ? "Won" : row.amount_cents < 0 ? "Lost" : "Came out even"}${where}`;
    case "FEES":
      return `Fees${where}`;
    default:
      return row.kind;
  }
}

/** One row is not told from another by its `seq` alone: one command can move cash twice. */
export function rowKey(row: LedgerEntry): string {
  return `${row.seq} ${row.kind} ${row.market_id ?? ""} ${row.balance_after_cents}`;
}
