/**
 * The outcome of a window, worked out again from the evidence alone: which inputs qualify, their median, the age of a
 * print, the comparison of two prints. Pure and in whole numbers, by the rules as they are published with each print;
 * it believes none of the venue's conclusions and compares every one of them with its own. Knows no page.
 */

import type { Outcome, Print, PrintInput, Settlement } from "../venue/wire";

const BPS = 10_000n;
const E8 = 100_000_000n;

/** How a print's price comes about, as its `rule` says. */
export type Rule =
  | {
      kind: "median";
      maxAgeMs: number;
      outlierBps: number;
      quorum: number;
      /** Not at the boundary but at this earlier time, the last that had enough venues. */
      asOfMs: number | null;
    }
  /** One series of prices, as in a recording, or the ticks of the journal: the last one counts. */
  | { kind: "last"; maxAgeMs: number; journal: boolean }
  /** The venue waited for as long as it may, and there was nothing. */
  | { kind: "none" }
  | { kind: "unknown" };

const MEDIAN =
  /^median of venues: each venue's last price at or before the time, at most (\d+) ms old, within (\d+) bps of the median, at least (\d+) venues(?:; no quorum at the boundary, so as of (\d+), the last time there was one)?$/;
const LAST = /^last price at or before the boundary by source time, at most (\d+) ms old$/;
const JOURNAL =
  /^last index tick in the journal at or before the boundary by source time, at most (\d+) ms old; whoever fed the index then is gone, and what it saw since with it$/;

export function ruleOf(text: string): Rule {
  const median = MEDIAN.exec(text);
  if (median) {
    const [, age, bps, quorum, asOf] = median;
    return {
      kind: "median",
      maxAgeMs: Number(age),
      outlierBps: Number(bps),
      quorum: Number(quorum),
      asOfMs: asOf === undefined ? null : Number(asOf),
    };
  }
  const last = LAST.exec(text) ?? JOURNAL.exec(text);
  if (last) return { kind: "last", maxAgeMs: Number(last[1]), journal: JOURNAL.test(text) };
  return text === "NO_PRINT" ? { kind: "none" } : { kind: "unknown" };
}

/** Something the venue says, what comes out here, and whether that is the same; null: it cannot be told from here. */
export interface Check {
  what: string;
  venue: string;
  here: string;
  agrees: boolean | null;
}

/** One input, judged. */
export interface Judged {
  input: PrintInput;
  /** At the time the rule looks at; null without a time. */
  ageMs: number | null;
  counts: boolean;
  why: string;
  /** Distance from the first median in hundredths of a basis point, rounded down; null where it was not compared. */
  offE2Bps: number | null;
  /** Whether the price in dollars follows from the price in USDT and the rate; null where there was no conversion. */
  conversion: { cents: number; agrees: boolean } | null;
  /** Whether the venue, too, used it, or left it out. */
  agrees: boolean;
}

export interface PrintResult {
  rule: Rule;
  /** The time the inputs are judged at. */
  atMs: number;
  inputs: Judged[];
  /** The median of the inputs that are young enough, before those too far from it are left out. */
  firstMedian: number | null;
  /** The prices that count, lowest first. */
  counted: number[];
  priceCents: number | null;
  sourceMs: number | null;
  ageMs: number | null;
  /** Why there is no price, in words. */
  noPrice: string | null;
  checks: Check[];
}

export interface Result {
  open: PrintResult | null;
  close: PrintResult | null;
  outcome: Outcome | null;
  /** How the outcome follows, in words. */
  why: string;
  checks: Check[];
  /** Every check that could be made agrees. */
  agrees: boolean;
  /** Some of what the venue says cannot be told from the evidence. */
  partly: boolean;
}

/** Middle of the prices; of an even number the mean of the middle two, rounded down. Not for an empty list. */
export function medianCents(prices: readonly number[]): number {
  const ordered = [...prices].sort((a, b) => a - b);
  const half = ordered.length >> 1;
  const upper = ordered[half] ?? 0;
  return ordered.length % 2 ? upper : Math.floor(((ordered[half - 1] ?? 0) + upper) / 2);
}

/** Further from the median than `bps` of it; exactly that far is still in. */
export function isOutlier(cents: number, median: number, bps: number): boolean {
  return BigInt(Math.abs(cents - median)) * BPS > BigInt(bps) * BigInt(median);
}

/** A price in USDT, in dollars, rounded down. */
export function converted(quoteCents: number, rateE8: number): number {
  return Number((BigInt(quoteCents) * BigInt(rateE8)) / E8);
}

/** One print from its inputs. `printMaxAgeMs`: the market's own limit for the age of a print, where it is known. */
export function recomputePrint(print: Print, printMaxAgeMs: number | null): PrintResult {
  const rule = ruleOf(print.rule);
  const boundary = Date.parse(print.boundary);
  const atMs = rule.kind === "median" && rule.asOfMs !== null ? rule.asOfMs : boundary;
  const result: PrintResult = {
    rule,
    atMs,
    inputs: [],
    firstMedian: null,
    counted: [],
    priceCents: null,
    sourceMs: null,
    ageMs: null,
    noPrice: null,
    checks: [],
  };
  if (rule.kind === "unknown") {
    result.noPrice = "This page does not know this rule.";
    result.checks.push({ what: "Price", venue: dollars(print.price_cents), here: "rule not known", agrees: null });
    return result;
  }
  judge(result, print, rule);
  const used = result.inputs.filter((each) => each.counts);
  const needed = rule.kind === "median" ? rule.quorum : 1;
  if (used.length < needed) {
    result.noPrice =
      used.length === 0
        ? "No input qualifies."
        : `Only ${used.length} of the inputs qualify, and the rule needs ${needed}.`;
  } else {
    result.counted = used.map((each) => each.input.price_cents ?? 0).sort((a, b) => a - b);
    result.priceCents = medianCents(result.counted);
    result.sourceMs = Math.max(...used.map((each) => timeOf(each.input.source_ts) ?? 0));
    result.ageMs = boundary - result.sourceMs;
    const limit = printMaxAgeMs ?? Number.POSITIVE_INFINITY;
    if (result.ageMs < 0 || result.ageMs > limit) {
      result.noPrice =
        result.ageMs < 0
          ? "The price is from after the boundary."
          : `The price is ${result.ageMs} ms old at the boundary, and ${limit} ms are allowed.`;
      result.priceCents = null;
    }
  }
  compare(result, print, rule);
  return result;
}

function judge(result: PrintResult, print: Print, rule: Exclude<Rule, { kind: "unknown" }>): void {
  const maxAge = rule.kind === "none" ? 0 : rule.maxAgeMs;
  const young = (input: PrintInput) => {
    const at = timeOf(input.source_ts);
    return input.price_cents !== null && at !== null && at <= result.atMs && at >= result.atMs - maxAge;
  };
  const fresh = print.inputs.filter(young).map((input) => input.price_cents ?? 0);
  if (rule.kind === "median" && fresh.length) result.firstMedian = medianCents(fresh);
  for (const input of print.inputs) {
    const at = timeOf(input.source_ts);
    const ageMs = at === null ? null : result.atMs - at;
    const cents = input.price_cents;
    let why = "counts";
    let offE2Bps: number | null = null;
    if (cents === null || ageMs === null)
      why = input.quote_price_cents === null ? "no price" : "no rate to convert it by";
    else if (ageMs < 0) why = "after the time";
    else if (ageMs > maxAge) why = `older than ${maxAge} ms`;
    else if (rule.kind === "median" && result.firstMedian !== null) {
      const median = result.firstMedian;
      offE2Bps = Number((BigInt(Math.abs(cents - median)) * BPS * 100n) / BigInt(Math.max(1, median)));
      if (isOutlier(cents, median, rule.outlierBps)) why = `more than ${rule.outlierBps} bps from the median`;
    }
    const counts = why === "counts";
    const dollar =
      cents !== null && input.quote_price_cents !== null && input.rate_e8 !== null
        ? converted(input.quote_price_cents, input.rate_e8)
        : null;
    const conversion = dollar === null ? null : { cents: dollar, agrees: dollar === cents };
    result.inputs.push({ input, ageMs, counts, why, offE2Bps, conversion, agrees: counts === input.used });
  }
}

function compare(result: PrintResult, print: Print, rule: Rule): void {
  const { checks } = result;
  const wrong = result.inputs.filter((each) => !each.agrees).map((each) => each.input.venue);
  if (print.inputs.length) {
    checks.push({
      what: "Inputs that count",
      venue: `${print.inputs.filter((each) => each.used).length} of ${print.inputs.length}`,
      here: `${result.inputs.filter((each) => each.counts).length} of ${print.inputs.length}`,
      agrees: wrong.length === 0,
    });
  }
  const changed = result.inputs.filter((each) => each.conversion);
  if (changed.length) {
    checks.push({
      what: "USDT prices in dollars",
      venue: changed.map((each) => dollars(each.input.price_cents)).join(", "),
      here: changed.map((each) => dollars(each.conversion?.cents ?? null)).join(", "),
      agrees: changed.every((each) => each.conversion?.agrees),
    });
  }
  const none = print.price_cents === null;
  // Before it gives up a venue also tries the moments before the boundary; what there was then is not in the evidence.
  const elsewhere = none && rule.kind === "median" && print.reason !== "PRICE_TOO_OLD";
  checks.push({
    what: "Price",
    venue: dollars(print.price_cents),
    here: dollars(result.priceCents),
    agrees: result.priceCents === print.price_cents,
  });
  if (!none) {
    checks.push({
      what: "Its time",
      venue: print.source_ts ?? "none",
      here: result.sourceMs === null ? "none" : new Date(result.sourceMs).toISOString(),
      agrees: result.sourceMs !== null && result.sourceMs === timeOf(print.source_ts),
    });
    checks.push({
      what: "Its age at the boundary",
      venue: print.age_ms === null ? "none" : `${print.age_ms} ms`,
      here: result.ageMs === null ? "none" : `${result.ageMs} ms`,
      agrees: result.ageMs !== null && result.ageMs === print.age_ms,
    });
  }
  if (elsewhere) {
    checks.push({
      what: "No earlier moment had enough venues either",
      venue: "so it says",
      here: "not in the evidence",
      agrees: null,
    });
  }
  if (rule.kind === "median" && rule.asOfMs !== null) {
    checks.push({
      what: "Too few venues at the boundary itself",
      venue: `as of ${new Date(rule.asOfMs).toISOString()}`,
      here: rule.asOfMs > Date.parse(print.boundary) ? "after the boundary" : "not in the evidence",
      agrees: rule.asOfMs > Date.parse(print.boundary) ? false : null,
    });
  }
  if (rule.kind === "none" || (rule.kind === "last" && none && print.inputs.length === 0)) {
    checks.push({
      what: "There was nothing",
      venue: print.reason ?? "none",
      here: "not in the evidence",
      agrees: null,
    });
  }
}

export interface Window {
  openAtMs: number;
  closeAtMs: number;
  printMaxAgeMs: number;
}

/** The outcome, from the prints as they come out here. `window`: what the market says of itself. */
export function recompute(evidence: Settlement, window: Window | null): Result {
  const limit = window?.printMaxAgeMs ?? null;
  const open = evidence.open_print ? recomputePrint(evidence.open_print, limit) : null;
  const close = evidence.close_print ? recomputePrint(evidence.close_print, limit) : null;
  const checks: Check[] = [];
  if (window) {
    for (const [what, print, at] of [
      ["The open print is of the window's beginning", evidence.open_print, window.openAtMs],
      ["The close print is of the window's end", evidence.close_print, window.closeAtMs],
    ] as const) {
      if (!print) continue;
      const here = new Date(at).toISOString();
      checks.push({ what, venue: print.boundary, here, agrees: Date.parse(print.boundary) === at });
    }
  }
  const { outcome, why } = outcomeOf(evidence, open?.priceCents ?? null, close?.priceCents ?? null);
  const ended = evidence.status === "RESOLVED" || evidence.status === "VOID";
  if (ended) {
    const told = evidence.reason === "OPERATOR" || evidence.reason === "VENUE_DOWN";
    checks.push({
      what: "Outcome",
      venue: evidence.resolution ?? "none",
      here: told && outcome === "VOID" ? "VOID, as the venue says why" : (outcome ?? "none"),
      agrees: told ? (evidence.resolution === "VOID" ? null : false) : outcome === evidence.resolution,
    });
  }
  const all = [...checks, ...(open?.checks ?? []), ...(close?.checks ?? [])];
  return {
    open,
    close,
    outcome,
    why,
    checks,
    agrees: all.every((check) => check.agrees !== false),
    partly: all.some((check) => check.agrees === null),
  };
}

function outcomeOf(
  evidence: Settlement,
  open: number | null,
  close: number | null,
): { outcome: Outcome | null; why: string } {
  if (evidence.reason === "OPERATOR") return { outcome: "VOID", why: "An operator voided it; prints do not decide." };
  if (evidence.reason === "VENUE_DOWN") return { outcome: "VOID", why: "The venue was down at a boundary of it." };
  const ended = evidence.status === "RESOLVED" || evidence.status === "VOID";
  if (!ended && (!evidence.open_print || !evidence.close_print))
    return { outcome: null, why: "It is not decided yet." };
  if (open === null) return { outcome: "VOID", why: "There is no usable open print, so nothing to compare with." };
  if (close === null) return { outcome: "VOID", why: "There is no usable close print." };
  const numbers = `${dollars(close)} at the close, ${dollars(open)} at the open`;
  if (close > open) return { outcome: "YES", why: `${numbers}: above, by ${dollars(close - open)}.` };
  if (close < open) return { outcome: "NO", why: `${numbers}: below, by ${dollars(open - close)}.` };
  return { outcome: evidence.tie_rule, why: `${numbers}: equal, and for a tie the rule says ${evidence.tie_rule}.` };
}

/** The evidence with some prices changed, by print and venue: what an experiment works on. */
export function withPrices(evidence: Settlement, prices: ReadonlyMap<string, number>): Settlement {
  const changed = (which: "open" | "close", print: Print | null): Print | null =>
    print && {
      ...print,
      inputs: print.inputs.map((input) => {
        const cents = prices.get(`${which} ${input.venue}`);
        // A price that somebody made up was not converted from anything.
        return cents === undefined ? input : { ...input, price_cents: cents, quote_price_cents: null, rate_e8: null };
      }),
    };
  return {
    ...evidence,
    open_print: changed("open", evidence.open_print),
    close_print: changed("close", evidence.close_print),
  };
}

function timeOf(ts: string | null): number | null {
  return ts === null ? null : Date.parse(ts);
}

/** Cents as dollars, to the cent. */
export function dollars(cents: number | null): string {
  if (cents === null) return "no price";
  const whole = Math.trunc(cents / 100).toLocaleString("en-US");
  return `$${whole}.${String(Math.abs(cents % 100)).padStart(2, "0")}`;
}
