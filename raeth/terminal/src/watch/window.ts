/** Windows in words: what is asked, where it stands, what came of it. Pure: the time is told, never read. */

import { clockTime, money } from "../venue/format";
import type { Market, Outcome } from "../venue/wire";

export type Phase = "waiting" | "PENDING" | "OPEN" | "closing";

/** How long an outcome is held up after its close, venue milliseconds: settling takes a second, at worst its grace. */
const SHOWN_MS = 12_000;

/** "10:31", the minute a window closes in. */
export function closeMinute(market: Market): string {
  return clockTime(market.close_at).slice(0, 5);
}

/** "BTC" of `BTC-1M-…` is Bitcoin; another series keeps its own name. */
export function subject(market: Market): string {
  return market.symbol.startsWith("BTC-") ? "Bitcoin" : (market.series ?? market.symbol);
}

/** What the window asks. */
export function question(market: Market | null): string {
  if (!market) return "Bitcoin, up or down?";
  const strike = market.reference.open_price_cents;
  const at = `at ${closeMinute(market)} UTC?`;
  if (strike !== null) return `${subject(market)} above ${money(strike)} ${at}`;
  return market.status === "OPEN"
    ? `${subject(market)} above its opening price ${at}`
    : `${subject(market)} up or down ${at}`;
}

/** Where a window stands at `now`: an open one whose close is past is closing, whether or not we were told. */
export function phase(market: Market | null, now: number): Phase {
  if (!market) return "waiting";
  if (market.status === "PENDING") return "PENDING";
  return now >= Date.parse(market.close_at) ? "closing" : "OPEN";
}

/** Milliseconds to the next thing that happens: its opening, or its close. */
export function leftMs(market: Market, now: number): number {
  return Math.max(0, Date.parse(market.status === "PENDING" ? market.open_at : market.close_at) - now);
}

/** How much of the window is over, 0–1. */
export function elapsed(market: Market, now: number): number {
  const from = Date.parse(market.open_at);
  const to = Date.parse(market.close_at);
  return to > from ? Math.min(1, Math.max(0, (now - from) / (to - from))) : 0;
}

/** From open to close in cents; null while either print is unknown. */
export function moveCents(market: Market): number | null {
  const { open_price_cents: from, close_price_cents: to } = market.reference;
  return from === null || to === null ? null : to - from;
}

/** What came of an ended window; null: it is settling. */
export function outcome(market: Market): Outcome | null {
  if (market.status === "VOID") return "VOID";
  return market.status === "RESOLVED" ? market.resolution : null;
}

export const GLYPH: Record<Outcome, string> = { YES: "▲", NO: "▼", VOID: "∅" };

/** Is the end of this window still news at `now`? */
export function isNews(market: Market, now: number): boolean {
  const since = now - Date.parse(market.close_at);
  return since >= 0 && since < SHOWN_MS;
}

/** An outcome in words: "▲ YES +$12.34". */
export function outcomeText(market: Market): string {
  const what = outcome(market);
  if (!what) return "settling …";
  const move = moveCents(market);
  return `${GLYPH[what]} ${what}${move === null ? "" : ` ${money(move, true)}`}`;
}

export interface Tally {
  yes: number;
  no: number;
  void: number;
  of: number;
}

/** Outcomes of the last `n` windows that have one; `ended` is newest first. */
export function tally(ended: readonly Market[], n: number): Tally {
  const counts: Tally = { yes: 0, no: 0, void: 0, of: 0 };
  for (const market of ended) {
    const what = outcome(market);
    if (!what) continue;
    if (counts.of === n) break;
    counts.of += 1;
    if (what === "YES") counts.yes += 1;
    else if (what === "NO") counts.no += 1;
    else counts.void += 1;
  }
  return counts;
}

/** The last `n` ended windows as they stand in the rail: the oldest first. */
export function previous(ended: readonly Market[], n: number): Market[] {
  return ended.slice(0, n).reverse();
}

/** The distance to the strike: "▲ +$12.34", "▼ −$3.00", "= $0.00". */
export function distanceText(cents: number): string {
  return cents === 0 ? "= $0.00" : `${cents > 0 ? "▲" : "▼"} ${money(cents, true)}`;
}

/** For those who hear the page: one sentence of what is going on. */
export function spoken(
  market: Market | null,
  price: number | null,
  yes: number | null,
  no: number | null,
  now: number,
): string {
  if (!market) return "Waiting for the venue.";
  const left = Math.ceil(leftMs(market, now) / 1000);
  if (market.status === "PENDING") return `The next window opens in ${left} seconds.`;
  const strike = market.reference.open_price_cents;
  const parts = [`${question(market)} ${left} seconds left.`];
  if (price !== null && strike !== null) {
    const off = price - strike;
    const where = off === 0 ? "exactly at" : `${money(Math.abs(off))} ${off > 0 ? "above" : "below"}`;
    parts.push(`The price is ${money(price)}, ${where} the strike.`);
  }
  if (yes !== null) parts.push(`Yes costs ${yes} cents.`);
  if (no !== null) parts.push(`No costs ${no} cents.`);
  return parts.join(" ");
}
