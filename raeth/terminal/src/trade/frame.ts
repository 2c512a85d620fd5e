/**
 * One book, two ways to say it. The venue trades the YES contract alone: to buy NO at 40¢ is to sell YES at 60¢. Here
 * is what a person chose (which contract, buy or sell, at what price of that contract) and the same on the wire.
 */

import type { Level, Side } from "../venue/wire";

export type Framing = "YES" | "NO";

export const PAYOUT = 100;

/** The side of YES that `action` on the chosen contract is. It is its own inverse. */
export function sideOf(framing: Framing, action: Side): Side {
  if (framing === "YES") return action;
  return action === "BUY" ? "SELL" : "BUY";
}

/** A price of YES as one of the chosen contract, and the other way round. */
export function framed(framing: Framing, price: number): number {
  return framing === "YES" ? price : PAYOUT - price;
}

/** "Buy NO at 40¢"; without a price "Buy NO at market". */
export function wording(framing: Framing, action: Side, price: number | null, qty: number | null = null): string {
  const amount = qty === null ? "" : ` ${qty.toLocaleString("en-US")}`;
  return `${action === "BUY" ? "Buy" : "Sell"}${amount} ${framing} ${price === null ? "at market" : `at ${price}¢`}`;
}

/** The same order said with the other contract: "sell YES at 60¢". */
export function otherWording(framing: Framing, action: Side, price: number | null): string {
  const other: Framing = framing === "YES" ? "NO" : "YES";
  const text = wording(other, action === "BUY" ? "SELL" : "BUY", price === null ? null : PAYOUT - price);
  return text.charAt(0).toLowerCase() + text.slice(1);
}

export interface Rows {
  /** Best first. */
  bids: Level[];
  asks: Level[];
}

/** The book of the chosen contract: seen from NO, who bids for YES offers NO. */
export function framedBook(framing: Framing, book: Rows): Rows {
  if (framing === "YES") return book;
  const turn = (levels: readonly Level[]) => levels.map(([price, qty, n]): Level => [PAYOUT - price, qty, n]);
  return { bids: turn(book.asks), asks: turn(book.bids) };
}

/** What a holding is called: 12 → "12 YES", -12 → "12 NO", 0 → "flat". */
export function holding(net: number): string {
  if (net === 0) return "flat";
  return `${Math.abs(net).toLocaleString("en-US")} ${net > 0 ? "YES" : "NO"}`;
}

/** The mean price of `qty` contracts of the chosen kind, in tenths of a cent cut for reading: "54.3¢". */
export function averagePrice(framing: Framing, notionalCents: number, qty: number): string {
  if (qty === 0) return "–";
  const mean = framed(framing, notionalCents / qty);
  return `${Number.isInteger(mean) ? mean : mean.toFixed(1)}¢`;
}

/** The window's close, short: "BTC-1M-20261120T1031Z" → "10:31". */
export function windowName(symbol: string | null): string {
  const found = symbol?.match(/T(\d\d)(\d\d)(\d\d)?Z$/);
  return found ? `${found[1]}:${found[2]}${found[3] ? `:${found[3]}` : ""}` : (symbol ?? "–");
}
