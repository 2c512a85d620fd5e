/** What the chart shows, worked out: ranges, lines with gaps, marks of windows. Pure; times are venue milliseconds. */

import type { Market, Outcome } from "../venue/wire";
import { fairValue, Volatility } from "./fair";
import { outcome } from "./window";

export type Span = "1" | "3" | "15";

export interface Range {
  min: number;
  max: number;
}

export interface Spot {
  ts: number;
  price_cents: number;
}

/** Room ahead of the close of the window that is open. */
const AHEAD_MS = 4_000;

/**
 * The time that is shown. A minute stands still around its window while the line runs through it; longer spans move
 * with `now`, always with a whole window of room ahead, so that the close is in view and nothing jumps at a boundary.
 */
export function timeRange(span: Span, now: number, window: { open: number; close: number } | null): Range {
  const windowMs = window ? window.close - window.open : 60_000;
  if (span === "1") {
    const open = window ? window.open : Math.floor(now / windowMs) * windowMs;
    return { min: open - windowMs / 6, max: open + windowMs + AHEAD_MS };
  }
  return { min: now - Number(span) * 60_000, max: now + windowMs + AHEAD_MS };
}

/** The first index whose `ts` is not before `from`. */
export function firstAt(spots: readonly Spot[], from: number): number {
  let low = 0;
  let high = spots.length;
  while (low < high) {
    const mid = (low + high) >> 1;
    if ((spots[mid]?.ts ?? 0) < from) low = mid + 1;
    else high = mid;
  }
  return low;
}

/** All prices between, and the strike, with air around; at least a hundredth of a per cent high. */
export function priceRange(spots: readonly Spot[], from: number, to: number, strike: number | null): Range | null {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  // The price in force at the left edge counts too.
  for (let i = Math.max(0, firstAt(spots, from) - 1); i < spots.length; i++) {
    const spot = spots[i];
    if (!spot || spot.ts > to) break;
    if (spot.price_cents < min) min = spot.price_cents;
    if (spot.price_cents > max) max = spot.price_cents;
  }
  if (strike !== null) {
    min = Math.min(min, strike);
    max = Math.max(max, strike);
  }
  if (min > max) return null;
  const least = Math.max(200, max * 1e-4);
  const air = Math.max((max - min) * 0.14, (least - (max - min)) / 2);
  return { min: min - air, max: max + air };
}

/**
 * From one range towards another: at once where it must grow to hold what is there, gently where it may shrink. A range
 * that is as good as there is left as it is, the same object.
 */
export function eased(now: Range | null, target: Range, dtMs: number): Range {
  if (!now || target.min > now.max || target.max < now.min) return target;
  const near = (target.max - target.min) * 0.004;
  const [down, up] = [target.min - now.min, target.max - now.max];
  if (Math.abs(down) < near && Math.abs(up) < near) return now;
  const grow = 1 - Math.exp(-dtMs / 90);
  const shrink = 1 - Math.exp(-dtMs / 700);
  return {
    min: Math.abs(down) < near ? now.min : now.min + down * (down < 0 ? grow : shrink),
    max: Math.abs(up) < near ? now.max : now.max + up * (up > 0 ? grow : shrink),
  };
}

export interface Mark {
  at: number;
  outcome: Outcome | null;
  /** What stands there: a window that is over, that settles, or the close that is to come. */
  kind: "ended" | "settling" | "ahead";
}

/** The boundaries in view, each the close of a window. */
export function marks(windows: Iterable<Market>, range: Range): Mark[] {
  const made: Mark[] = [];
  for (const market of windows) {
    if (market.status === "PENDING") continue;
    const at = Date.parse(market.close_at);
    if (at < range.min || at > range.max) continue;
    const what = outcome(market);
    made.push({ at, outcome: what, kind: market.status === "OPEN" ? "ahead" : what ? "ended" : "settling" });
  }
  return made.sort((a, b) => a.at - b.at);
}

/** A window as the chart needs it. */
export interface Frame {
  open: number;
  close: number;
  strike: number | null;
  live: boolean;
}

/** Windows that have begun, oldest first. */
export function frames(windows: Iterable<Market>): Frame[] {
  const made: Frame[] = [];
  for (const market of windows) {
    if (market.status === "PENDING") continue;
    made.push({
      open: Date.parse(market.open_at),
      close: Date.parse(market.close_at),
      strike: market.reference.open_price_cents,
      live: market.status === "OPEN",
    });
  }
  return made.sort((a, b) => a.open - b.open);
}

/** A line as columns; where more than `gapMs` passed without a price it is broken. */
export function priceColumns(
  spots: readonly Spot[],
  from: number,
  gapMs: number,
): [xs: number[], ys: (number | null)[]] {
  const xs: number[] = [];
  const ys: (number | null)[] = [];
  let before: number | null = null;
  for (let i = Math.max(0, firstAt(spots, from) - 1); i < spots.length; i++) {
    const spot = spots[i];
    if (!spot) break;
    if (before !== null && spot.ts - before > gapMs) {
      xs.push(before + gapMs);
      ys.push(null);
    }
    xs.push(spot.ts);
    ys.push(spot.price_cents);
    before = spot.ts;
  }
  return [xs, ys];
}

/** What the market and the formula said at one time. */
export interface Said {
  ts: number;
  /** The open of the window it was said in; a line never goes from one window to the next. */
  window: number;
  fair: number | null;
  bid: number | null;
  ask: number | null;
}

/** Said in order of time, bounded in time. */
export class Sayings {
  readonly #keepMs: number;
  items: Said[] = [];

  constructor(keepMs: number) {
    this.#keepMs = keepMs;
  }

  add(said: Said): void {
    const last = this.items.at(-1);
    if (last && said.ts <= last.ts) return;
    this.items.push(said);
    // In pieces: not the whole array for each one.
    const first = this.items[0];
    if (first && first.ts < said.ts - this.#keepMs - 30_000) {
      this.items = this.items.filter(({ ts }) => ts >= said.ts - this.#keepMs);
    }
  }

  /** Put what the formula says of the past between what was heard; what was heard counts. */
  fill(past: readonly Said[]): void {
    const heard = new Set(this.items.map(({ ts }) => ts));
    this.items = [...this.items, ...past.filter(({ ts }) => !heard.has(ts))].sort((a, b) => a.ts - b.ts);
  }

  /** Columns of what is in view: times, fair value, bid, ask, mid; broken between windows and in silences. */
  columns(from: number, gapMs: number): Columns {
    const xs: number[] = [];
    const fair: (number | null)[] = [];
    const bid: (number | null)[] = [];
    const ask: (number | null)[] = [];
    const mid: (number | null)[] = [];
    let before: Said | null = null;
    for (const said of this.items) {
      if (said.ts < from) continue;
      if (before && (said.window !== before.window || said.ts - before.ts > gapMs)) {
        xs.push(before.ts + 1);
        for (const column of [fair, bid, ask, mid]) column.push(null);
      }
      xs.push(said.ts);
      fair.push(said.fair);
      bid.push(said.bid);
      ask.push(said.ask);
      mid.push(said.bid !== null && said.ask !== null ? (said.bid + said.ask) / 2 : null);
      before = said;
    }
    return [xs, fair, bid, ask, mid];
  }
}

type Column = (number | null)[];
export type Columns = [xs: number[], fair: Column, bid: Column, ask: Column, mid: Column];

/** What the formula says of prices that are past, with the volatility as it was then; it can go on with the next. */
export function fairOfPast(
  spots: readonly Spot[],
  windows: readonly Frame[],
): { said: Said[]; volatility: Volatility } {
  const volatility = new Volatility();
  const made: Said[] = [];
  let at = 0;
  for (const { ts, price_cents } of spots) {
    volatility.observe(ts, price_cents);
    while (at < windows.length && (windows[at]?.close ?? 0) <= ts) at += 1;
    const window = windows[at];
    const sigma = volatility.perSqrtS;
    if (!window || ts < window.open || window.strike === null || sigma === null) continue;
    const fair = fairValue(price_cents, window.strike, window.close - ts, sigma);
    made.push({ ts, window: window.open, fair, bid: null, ask: null });
  }
  return { said: made, volatility };
}

const STEPS_MS = [5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000];

/** Whole times for the axis, at most one every `room` of the width. */
export function timeTicks(range: Range, width: number, room: number): number[] {
  const most = Math.max(1, Math.floor(width / room));
  const step = STEPS_MS.find((each) => (range.max - range.min) / each <= most) ?? 900_000;
  const made: number[] = [];
  for (let at = Math.ceil(range.min / step) * step; at <= range.max; at += step) made.push(at);
  return made;
}
