/** An order book from a snapshot and what changed since: a delta carries the new total at a price, and 0 removes it. */

import type { BookData, Level } from "./wire";

export class Book {
  readonly bids = new Map<number, Level>();
  readonly asks = new Map<number, Level>();

  replace(data: BookData): void {
    this.bids.clear();
    this.asks.clear();
    this.change(data);
  }

  change(data: BookData): void {
    put(this.bids, data.bids);
    put(this.asks, data.asks);
  }

  /** Best first: the highest bid, the lowest ask. */
  sorted(): { bids: Level[]; asks: Level[] } {
    return {
      bids: [...this.bids.values()].sort((a, b) => b[0] - a[0]),
      asks: [...this.asks.values()].sort((a, b) => a[0] - b[0]),
    };
  }
}

function put(side: Map<number, Level>, levels: readonly Level[]): void {
  for (const level of levels) {
    if (level[1] > 0) side.set(level[0], level);
    else side.delete(level[0]);
  }
}
