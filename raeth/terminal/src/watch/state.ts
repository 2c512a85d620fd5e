/** What several parts of the page look at, worked out from what the stream tells, and the guide that is read now and then. */

import { computed, effect, signal, untracked } from "@preact/signals";
import { clock } from "../venue/clock";
import { call, VenueError } from "../venue/http";
import { current, ended, markets, nowS, PAST_MS, prices, priceVersion, reference, view, watched } from "../venue/live";
import type { AgentContext } from "../venue/wire";
import { fairOfPast, frames, type Said, Sayings, type Span } from "./chart-model";
import { fairValue, percentOfYear, perSqrtSecond, type Volatility } from "./fair";
import type { Framing } from "./ladder-model";
import { isNews, phase } from "./window";

/** How often the guide is read: an address has 600 reads a minute for all the tabs behind it. */
const GUIDE_EVERY_MS = 5_000;
/** A guide older than this is no longer used. */
const GUIDE_GOOD_MS = 20_000;

export const framing = signal<Framing>("YES");
export const span = signal<Span>("3");

export const spot = computed(() => reference.value?.price_cents ?? null);
export const strike = computed(() => current.value?.reference.open_price_cents ?? null);
export const bestBid = computed(() =>
  view.value.known ? (view.value.bids[0]?.[0] ?? null) : (watched.value?.best_bid ?? null),
);
export const bestAsk = computed(() =>
  view.value.known ? (view.value.asks[0]?.[0] ?? null) : (watched.value?.best_ask ?? null),
);
export const where = computed(() => phase(watched.value, nowS.value * 1_000));

/** The window that ended last; `news` for as long as that is worth holding up. */
export const lastEnded = computed(() => {
  const market = ended.value[0] ?? null;
  return { market, news: market !== null && isNews(market, nowS.value * 1_000) };
});

interface Guide {
  marketId: string;
  perSqrtS: number | null;
  /** Contracts traded, all trades up to `ts` included. */
  volume: number;
  ts: string;
  readAt: number;
}

const guide = signal<Guide | null>(null);
/** σ as the page itself reckons it, for when the venue's is not there. */
let own: Volatility | null = null;

/** σ over one second; null where nobody can tell. */
export function sigma(): number | null {
  const told = guide.peek();
  if (told?.perSqrtS && performance.now() - told.readAt < GUIDE_GOOD_MS) return told.perSqrtS;
  return own?.perSqrtS ?? null;
}

/** σ in whole per cent a year, for people. */
export const sigmaPercent = computed(() => {
  void nowS.value;
  const perSqrtS = sigma();
  return perSqrtS === null ? null : Math.round(percentOfYear(perSqrtS));
});

/** Fair value of YES in cents, now. */
export const fairNow = computed(() => {
  const market = current.value;
  const price = spot.value;
  void nowS.value;
  void guide.value;
  const perSqrtS = sigma();
  if (!market || price === null || perSqrtS === null) return null;
  const strikeCents = market.reference.open_price_cents;
  return strikeCents === null
    ? null
    : fairValue(price, strikeCents, Date.parse(market.close_at) - clock.now(), perSqrtS);
});

/** Contracts traded in the window that is watched. */
export const volume = computed(() => {
  const market = watched.value;
  if (!market) return null;
  const told = guide.value?.marketId === market.id ? guide.value : null;
  let known = told?.volume ?? 0;
  let heard = 0;
  for (const trade of view.value.trades) {
    heard += trade.qty;
    if (told && trade.ts > told.ts) known += trade.qty;
  }
  return Math.max(known, heard);
});

export const sayings = new Sayings(PAST_MS);

function say(): void {
  const point = prices.at(-1);
  const market = current.peek();
  if (!point) return;
  own?.observe(point.ts, point.price_cents);
  if (!market) return;
  const [open, close] = [Date.parse(market.open_at), Date.parse(market.close_at)];
  if (point.ts < open || point.ts >= close) return;
  const strikeCents = market.reference.open_price_cents;
  const perSqrtS = sigma();
  const said: Said = {
    ts: point.ts,
    window: open,
    fair:
      strikeCents === null || perSqrtS === null
        ? null
        : fairValue(point.price_cents, strikeCents, close - point.ts, perSqrtS),
    bid: bestBid.peek(),
    ask: bestAsk.peek(),
  };
  sayings.add(said);
}

function fill(): void {
  const past = fairOfPast(prices, frames(markets.peek().values()));
  own = past.volatility;
  sayings.fill(past.said);
}

/** Keep all this going; ends with what is returned. */
export function beginWatching(): () => void {
  let over = false;
  let wait: ReturnType<typeof setTimeout> | null = null;
  let first = Number.POSITIVE_INFINITY;
  const ends = [
    // Windows become known, and the past is read again after a break: both tell more of the past.
    effect(() => {
      void markets.value;
      untracked(fill);
    }),
    effect(() => {
      void priceVersion.value;
      untracked(() => {
        const begins = prices[0]?.ts ?? Number.POSITIVE_INFINITY;
        if (begins < first) fill();
        first = begins;
        say();
      });
    }),
  ];
  const read = async (): Promise<void> => {
    let pause = GUIDE_EVERY_MS;
    const market = current.peek();
    if (market && !document.hidden) {
      try {
        const context = await call<AgentContext>(`/markets/${market.id}/agent-context`);
        guide.value = {
          marketId: market.id,
          perSqrtS: context.volatility ? perSqrtSecond(context.volatility.annual_bps) : null,
          volume: context.market?.volume ?? 0,
          ts: context.server_time,
          readAt: performance.now(),
        };
      } catch (error) {
        // Nothing to tell: the page reckons on by itself, and asks again later.
        pause = Math.max(pause, error instanceof VenueError ? (error.retryAfterS ?? 10) * 1_000 : 10_000);
      }
    } else pause = 1_000;
    if (!over) wait = setTimeout(read, pause);
  };
  void read();
  return () => {
    over = true;
    if (wait) clearTimeout(wait);
    for (const end of ends) end();
  };
}
