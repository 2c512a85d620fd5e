/** The ladder as rows: best prices of both sides in YES or in NO, sizes added up from the best price outwards. */

import type { Level, Side } from "../venue/wire";

export type Framing = "YES" | "NO";

export interface Row {
  price: number;
  qty: number;
  /** Contracts at this price and all better ones. */
  total: number;
}

export interface Ladder {
  /** As drawn: the best ask last. Always `rows` long; null: nothing there. */
  asks: (Row | null)[];
  /** The best bid first. */
  bids: (Row | null)[];
  /** The greatest total of the rows, for the bars. */
  most: number;
  spread: number | null;
  /** In half cents a mid is exact: this is bid + ask. */
  twiceMid: number | null;
}

interface Sides {
  bids: readonly Level[];
  asks: readonly Level[];
}

/** A price of YES in the framing: NO costs what is left to 100. */
export function framedPrice(price: number, framing: Framing): number {
  return framing === "YES" ? price : 100 - price;
}

/** Who buys YES sells NO. */
export function framedSide(side: Side, framing: Framing): Side {
  if (framing === "YES") return side;
  return side === "BUY" ? "SELL" : "BUY";
}

/** What one contract costs to buy now, in YES or NO: the best offer of it; null: nobody offers. */
export function costOf(framing: Framing, bestBid: number | null, bestAsk: number | null): number | null {
  if (framing === "YES") return bestAsk;
  return bestBid === null ? null : 100 - bestBid;
}

/** The chance the market gives YES, in half per cent: bid + ask; null without both. */
export function twiceChance(bestBid: number | null, bestAsk: number | null): number | null {
  return bestBid === null || bestAsk === null ? null : bestBid + bestAsk;
}

/** Half cents as text: 109 → "54.5". */
export function halves(twice: number | null): string {
  if (twice === null) return "–";
  return twice % 2 ? `${(twice - 1) / 2}.5` : `${twice / 2}.0`;
}

export function ladder(book: Sides, framing: Framing, rows: number): Ladder {
  const yes = framing === "YES";
  const asks = added(yes ? book.asks : book.bids, framing, rows);
  const bids = added(yes ? book.bids : book.asks, framing, rows);
  const ask = asks[0] ?? null;
  const bid = bids[0] ?? null;
  return {
    asks: asks.reverse(),
    bids,
    most: Math.max(0, ...asks.map((row) => row?.total ?? 0), ...bids.map((row) => row?.total ?? 0)),
    spread: ask && bid ? ask.price - bid.price : null,
    twiceMid: ask && bid ? ask.price + bid.price : null,
  };
}

function added(levels: readonly Level[], framing: Framing, rows: number): (Row | null)[] {
  const made: (Row | null)[] = [];
  let total = 0;
  for (let i = 0; i < rows; i++) {
    const level = levels[i];
    if (!level) {
      made.push(null);
      continue;
    }
    total += level[1];
    made.push({ price: framedPrice(level[0], framing), qty: level[1], total });
  }
  return made;
}
