/**
 * What a channel amounts to by now, from its snapshot and all that came after: so that somebody who begins to listen
 * to a channel that is heard already gets a snapshot at once, and nobody else notices. Knows no connection.
 */

import { Book } from "./book";
import type { BookData, Market, MarketChange, MarketsSnapshot, Notice, Trade } from "./wire";

/** As many as a snapshot of the venue has. */
const TRADES = 50;

export interface Memory {
  snapshot(data: unknown): void;
  change(data: unknown): void;
  /** The `data` that a snapshot would have now. Only after there was one. */
  now(): unknown;
}

/** The memory of a channel by its name; null where only the venue can tell what it amounts to. */
export function memoryOf(name: string): Memory | null {
  if (name.startsWith("book.")) return new BookMemory();
  if (name.startsWith("trades.")) return new TradesMemory();
  if (name === "markets") return new MarketsMemory();
  if (name === "venue") return new NoticeMemory();
  if (name === "feed.btc" || name === "leaderboard") return new LastMemory();
  return null;
}

class BookMemory implements Memory {
  #book = new Book();
  #marketId = "";

  snapshot(data: unknown): void {
    this.#marketId = (data as BookData).market_id;
    this.#book.replace(data as BookData);
  }

  change(data: unknown): void {
    this.#book.change(data as BookData);
  }

  now(): BookData {
    return { market_id: this.#marketId, ...this.#book.sorted() };
  }
}

class TradesMemory implements Memory {
  #first: object = {};
  #trades: Trade[] = [];

  snapshot(data: unknown): void {
    this.#first = data as object;
    this.#trades = [...(data as { trades: Trade[] }).trades];
  }

  change(data: unknown): void {
    this.#trades.unshift(data as Trade);
    if (this.#trades.length > TRADES) this.#trades.length = TRADES;
  }

  now(): unknown {
    return { ...this.#first, trades: [...this.#trades] };
  }
}

class MarketsMemory implements Memory {
  #live = new Map<string, Market>();

  snapshot(data: unknown): void {
    this.#live = new Map((data as MarketsSnapshot).items.map((market) => [market.id, market]));
  }

  change(data: unknown): void {
    const { market } = data as MarketChange;
    if (market.status === "RESOLVED" || market.status === "VOID") this.#live.delete(market.id);
    else this.#live.set(market.id, market);
  }

  now(): MarketsSnapshot {
    return { items: [...this.#live.values()] };
  }
}

class NoticeMemory implements Memory {
  #state: unknown = {};

  snapshot(data: unknown): void {
    this.#state = data;
  }

  change(data: unknown): void {
    const { event, reason } = data as Notice;
    if (event === "FROZEN") this.#state = { frozen: true, reason };
    else if (event === "UNFROZEN") this.#state = { frozen: false, reason: null };
  }

  now(): unknown {
    return this.#state;
  }
}

/** Every message is the whole of it. */
class LastMemory implements Memory {
  #data: unknown = null;

  snapshot(data: unknown): void {
    this.#data = data;
  }

  change(data: unknown): void {
    this.#data = data;
  }

  now(): unknown {
    return this.#data;
  }
}
