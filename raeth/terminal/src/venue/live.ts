/**
 * What the page knows of the venue, as signals. Fed by the stream alone, but for the past of the price, which is read
 * once and again after a break. What changes many times a second is shown once a frame.
 */

import { computed, effect, signal } from "@preact/signals";
import { Book } from "./book";
import { clock } from "./clock";
import { call } from "./http";
import { Silence } from "./silence";
import { type Connection, Stream, streamUrl } from "./stream";
import type {
  BookData,
  Event,
  Level,
  Market,
  MarketChange,
  MarketsSnapshot,
  Notice,
  Page,
  Reference,
  Standing,
  Tick,
  Trade,
} from "./wire";

/** How far back the price is kept, venue milliseconds. */
export const PAST_MS = 15 * 60_000;
/** Ended windows that are kept for the rail. */
const ENDED_KEPT = 40;
const TRADES_KEPT = 200;
/** Without a word for so long, what is shown is old: two heartbeats did not come. */
export const OLD_MS = 10_500;

export const connection = signal<Connection>("connecting");
/** Seconds since the venue was heard last, by this machine's clock; 0 while it is heard. */
export const silentS = signal(0);
/** What is shown may no longer be so. */
export const old = computed(() => connection.value === "lost" || silentS.value * 1_000 >= OLD_MS);
export const frozen = signal<{ frozen: boolean; reason: string | null }>({ frozen: false, reason: null });
/** The operator's last message to all, until it is dismissed. */
export const broadcast = signal<string | null>(null);
export const reference = signal<Reference | null>(null);
/** All windows that are known, by id. */
export const markets = signal<ReadonlyMap<string, Market>>(new Map());
export const standings = signal<Standing[] | null>(null);
/** Venue time in whole seconds: for what only counts them. `clock.now()` is exact. */
export const nowS = signal(Math.floor(Date.now() / 1000));

export interface Point {
  ts: number;
  price_cents: number;
}

/** The reference price, oldest first. The array is one and the same and grows; `priceVersion` tells of it. */
export const prices: Point[] = [];
export const priceVersion = signal(0);

const byClose = computed(() =>
  [...markets.value.values()].sort((a, b) => (a.close_at < b.close_at ? -1 : a.close_at > b.close_at ? 1 : 0)),
);
export const current = computed(() => byClose.value.find((market) => market.status === "OPEN") ?? null);
export const next = computed(() => byClose.value.find((market) => market.status === "PENDING") ?? null);
/** Windows that are over, the newest first: EXPIRED, RESOLVED or VOID. */
export const ended = computed(() =>
  byClose.value.filter((market) => market.status !== "OPEN" && market.status !== "PENDING").reverse(),
);

export const stream = new Stream(streamUrl(), {
  stamp: (ts) => {
    clock.heard(ts);
    silentS.value = 0;
  },
  connection: (now) => {
    if (now === "live" && connection.peek() !== "live") {
      clock.reset();
      void readPast();
    }
    connection.value = now;
  },
  reset: () => {
    clock.reset();
    markets.value = new Map();
    prices.length = 0;
    priceVersion.value += 1;
    reference.value = null;
    standings.value = null;
    void readPast();
  },
});

const waiting = new Map<string, () => void>();
let asked = 0;
let askedHidden: ReturnType<typeof setTimeout> | null = null;

/** No frames are drawn in a hidden tab, but what it knows must neither stand still nor pile up. */
const HIDDEN_MS = 1_000;

/** Run `show` before the next frame is drawn, once, however often it is asked for under one name. */
export function onFrame(name: string, show: () => void): void {
  waiting.set(name, show);
  if (asked === 0) asked = requestAnimationFrame(run);
  if (askedHidden === null && document.visibilityState === "hidden") askedHidden = setTimeout(run, HIDDEN_MS);
}

function run(): void {
  cancelAnimationFrame(asked);
  if (askedHidden !== null) clearTimeout(askedHidden);
  asked = 0;
  askedHidden = null;
  const jobs = [...waiting.values()];
  waiting.clear();
  for (const job of jobs) {
    try {
      job();
    } catch (error) {
      console.error("what was to be shown could not be", error); // the others still can
    }
  }
}

const silence = new Silence();

function showReference(now: Reference): void {
  onFrame("reference", () => {
    reference.value = now;
  });
}

/** What the price is worth that no longer comes. */
async function askReference(): Promise<void> {
  try {
    showReference(await call<Reference>("/reference/btc"));
  } catch {
    // Whether the venue is there at all, the stream tells.
  }
}

/** Connect, and hear what every page needs. */
export function begin(): void {
  stream.subscribe<MarketsSnapshot | MarketChange>("markets", ({ data, seq }) => {
    if ("items" in data) {
      // A window that we hold for live and that is not in it has ended unheard: how, is in the list.
      if (forgetMissed(data.items, seq)) void readPast();
      keep(data.items);
    } else keep([data.market]);
  });
  stream.subscribe<Reference>("feed.btc", ({ type, data, ts }) => {
    if (data.price_cents !== null && type !== "snapshot")
      addPrice({ ts: Date.parse(ts), price_cents: data.price_cents });
    silence.heard();
    showReference(data);
  });
  stream.subscribe<Notice>("venue", ({ data }) => {
    if (data.frozen !== undefined) frozen.value = { frozen: data.frozen, reason: data.reason };
    else if (data.event === "FROZEN") frozen.value = { frozen: true, reason: data.reason };
    else if (data.event === "UNFROZEN") frozen.value = { frozen: false, reason: null };
    else if (data.event === "BROADCAST") broadcast.value = data.message ?? null;
  });
  stream.subscribe<{ items: Standing[] }>("leaderboard", ({ data }) => {
    standings.value = data.items;
  });
  stream.open();
  setInterval(tick, 250);
}

/** The window that is open, or about to be; for whoever shows one. */
export const watched = computed(() => current.value ?? next.value);
const watchedId = computed(() => watched.value?.id ?? null);

export interface MarketView {
  bids: Level[];
  asks: Level[];
  /** Newest first. */
  trades: Trade[];
  /** False until the first snapshot of the book. */
  known: boolean;
}

const NOTHING: MarketView = { bids: [], asks: [], trades: [], known: false };

/** Book and trades of `watched`, whichever window that is by now. */
export const view = signal<MarketView>(NOTHING);

effect(() => {
  const id = watchedId.value;
  view.value = NOTHING;
  if (!id) return;
  return follow(id, (now) => {
    view.value = now;
  });
});

let followers = 0;

/** Follow one window's book and trades; `show` is called at most once a frame. Ends with what is returned. */
export function follow(marketId: string, show: (now: MarketView) => void): () => void {
  followers += 1;
  const name = `follower ${followers}`;
  const book = new Book();
  let trades: Trade[] = [];
  let known = false;
  let over = false;
  const changed = () =>
    onFrame(name, () => {
      if (!over) show({ ...book.sorted(), trades, known });
    });
  const ends = [
    stream.subscribe<BookData>(`book.${marketId}`, ({ type, data }) => {
      if (type === "snapshot") book.replace(data);
      else book.change(data);
      known = true;
      changed();
    }),
    stream.subscribe<{ trades: Trade[] } | Trade>(`trades.${marketId}`, (event: Event<{ trades: Trade[] } | Trade>) => {
      if ("trades" in event.data) trades = event.data.trades.slice(0, TRADES_KEPT);
      else trades = [event.data, ...trades].slice(0, TRADES_KEPT);
      changed();
    }),
  ];
  return () => {
    over = true;
    waiting.delete(name);
    for (const end of ends) end();
  };
}

function keep(items: readonly Market[]): void {
  const now = new Map(markets.peek());
  for (const market of items) {
    const known = now.get(market.id);
    if (!known || known.seq <= market.seq) now.set(market.id, market);
  }
  const over = [...now.values()].filter(({ status }) => status !== "OPEN" && status !== "PENDING");
  if (over.length > ENDED_KEPT) {
    over.sort((a, b) => (a.close_at < b.close_at ? -1 : 1));
    for (const market of over.slice(0, over.length - ENDED_KEPT)) now.delete(market.id);
  }
  markets.value = now;
}

function addPrice(point: Point): void {
  const last = prices.at(-1);
  if (last && point.ts <= last.ts) return;
  prices.push(point);
  trim(point.ts);
  onFrame("prices", () => {
    priceVersion.value += 1;
  });
}

function trim(now: number): void {
  // In pieces: to move the whole array for each point would be work that grows with what is kept.
  const first = prices[0];
  if (first && first.ts < now - PAST_MS - 30_000) {
    const from = prices.findIndex((each) => each.ts >= now - PAST_MS);
    prices.splice(0, Math.max(0, from));
  }
}

const PAST_AGAIN_MS = 5_000;
let reading = 0;
let readAgain: ReturnType<typeof setTimeout> | null = null;

/** What happened before the page was there, or while it heard nothing. Tried until it succeeds, while there is a venue. */
async function readPast(): Promise<void> {
  reading += 1;
  const own = reading;
  if (readAgain !== null) clearTimeout(readAgain);
  readAgain = null;
  try {
    const [past, listed] = await Promise.all([
      call<{ items: Tick[] }>("/reference/btc/history", { query: { seconds: PAST_MS / 1000 } }),
      call<Page<Market>>("/markets", { query: { limit: ENDED_KEPT } }),
    ]);
    if (own !== reading) return; // asked again since
    const last = past.items.at(-1);
    const after = last ? Date.parse(last.ts) : 0;
    const later = prices.filter((point) => point.ts > after);
    prices.length = 0;
    for (const each of past.items) prices.push({ ts: Date.parse(each.ts), price_cents: each.price_cents });
    prices.push(...later);
    priceVersion.value += 1;
    forgetMissed(listed.items, Math.max(0, ...listed.items.map((market) => market.seq)));
    keep(listed.items);
  } catch {
    // The stream tells what is now, and a new connection reads the past by itself.
    if (own === reading && connection.peek() === "live") readAgain = setTimeout(readPast, PAST_AGAIN_MS);
  }
}

/** Let go of windows that we hold for live and that a list as of `seq` no longer has as such; whether there were any. */
function forgetMissed(listed: readonly Market[], seq: number): boolean {
  const known = new Set(listed.map((market) => market.id));
  const now = new Map(markets.peek());
  for (const [id, market] of now) {
    const live = market.status !== "RESOLVED" && market.status !== "VOID";
    if (live && !known.has(id) && market.seq <= seq) now.delete(id);
  }
  if (now.size === markets.peek().size) return false;
  markets.value = now;
  return true;
}

function tick(): void {
  const seconds = Math.floor(clock.now() / 1000);
  if (seconds !== nowS.peek()) nowS.value = seconds;
  const silent = Math.floor(stream.silentMs / 1000);
  if (silent !== silentS.peek()) silentS.value = silent;
  if (connection.peek() === "live" && document.visibilityState === "visible" && silence.due()) void askReference();
}
