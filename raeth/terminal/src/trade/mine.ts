/**
 * The agent this tab trades for, as a signal that its private channel keeps true. Where the channel cannot be had the
 * same is read every few seconds, and the page says so.
 */

import { computed, effect, signal } from "@preact/signals";
import { call, VenueError } from "../venue/http";
import { connection, markets, onFrame, stream, view, watched } from "../venue/live";
import { agentKey, forgetKey } from "../venue/session";
import type { Account, Event, Order, Page, Position, PrivateEvent, PrivateSnapshot } from "../venue/wire";
import { begun, corrected, type Desk, told, totals } from "./desk";
import { keyGone } from "./words";

/** Null: no key, or nothing is known yet. */
export const desk = signal<Desk | null>(null);
/** Why the page cannot say how things stand; null while it can. */
export const trouble = signal<string | null>(null);
/** The private channel was refused: everything is read every few seconds instead. */
export const polling = signal<string | null>(null);

const POLL_MS = 3_000;
/** How often the venue's own figures are compared with what follows from the events. */
const COMPARE_MS = 30_000;

/** A window's mark as the venue defines it: the floor of the middle of the touch, else the last trade. */
export function markOf(marketId: string): number | null {
  const { bids, asks, trades, known } = view.value;
  if (known && watched.value?.id === marketId) {
    const [bid, ask] = [bids[0], asks[0]];
    const mark = bid && ask ? Math.floor((bid[0] + ask[0]) / 2) : trades[0]?.price;
    if (mark !== undefined) return mark;
  }
  return markets.value.get(marketId)?.mark_price ?? desk.value?.positions.get(marketId)?.mark_price ?? null;
}

export const wallet = computed(() => (desk.value ? totals(desk.value, markOf) : null));

/** Of one window; null while there is none. */
export function positionIn(marketId: string | undefined): Position | null {
  return marketId ? (desk.value?.positions.get(marketId) ?? null) : null;
}

/** A call of the agent's. A key that the venue no longer takes is let go. */
export async function asAgent<T>(path: string, options: Parameters<typeof call>[1] = {}): Promise<T> {
  const key = agentKey.peek();
  try {
    return await call<T>(path, { ...options, bearer: key ?? "none" });
  } catch (error) {
    if (error instanceof VenueError && error.status === 401 && key && agentKey.peek() === key)
      forgetKey(keyGone(error.code));
    throw error;
  }
}

let latest: Desk | null = null;

function show(now: Desk | null): void {
  latest = now;
  onFrame("desk", () => {
    desk.value = latest;
  });
}

/** Ask how things stand, whatever was heard. */
export async function reconcile(all = false): Promise<void> {
  const key = agentKey.peek();
  if (!key) return;
  const [account, positions, open] = await Promise.all([
    asAgent<Account>("/account"),
    asAgent<Page<Position> & { seq: number }>("/positions"),
    all ? asAgent<Page<Order>>("/orders", { query: { status: ["OPEN", "PARTIALLY_FILLED"], limit: 250 } }) : null,
  ]);
  if (agentKey.peek() !== key) return;
  if (open && (!latest || latest.seq <= account.seq))
    show(begun({ account, positions: positions.items, orders: open.items }, positions.seq, latest));
  else if (latest) show(corrected(latest, account, positions.items, positions.seq));
}

effect(() => {
  const key = agentKey.value;
  latest = null;
  desk.value = null;
  trouble.value = null;
  polling.value = null;
  if (!key) return;
  const ends: (() => void)[] = [];
  let over = false;
  const later = (job: () => void, ms: number) => {
    const timer = setTimeout(job, ms);
    ends.push(() => clearTimeout(timer));
  };
  const begin = async () => {
    try {
      await reconcile(true);
    } catch (error) {
      if (over) return;
      trouble.value = error instanceof VenueError ? `${error.message} (${error.code})` : "The page could not read it.";
      if (error instanceof VenueError && error.status === 403) forgetKey(`${error.message} (${error.code})`);
      else if (!(error instanceof VenueError && error.status === 401)) later(begin, 2_000);
      return;
    }
    const id = latest?.account.agent_id;
    if (over || !id) return;
    trouble.value = null;
    stream.authenticate(key, (code) => {
      if (over) return;
      if (code.startsWith("AUTH_")) forgetKey(keyGone(code));
      else {
        polling.value = code;
        stream.authenticate(null);
      }
    });
    ends.push(stream.subscribe<PrivateSnapshot | PrivateEvent>(`private.${id}`, hear, { resumable: true }));
    const timer = setInterval(() => void compare(), POLL_MS);
    ends.push(() => clearInterval(timer));
  };
  void begin();
  return () => {
    over = true;
    for (const end of ends) end();
    stream.authenticate(null);
  };
});

/** Who wants to hear of each order as it changes. */
export const orderHeard = new Set<(order: Order) => void>();

function hear({ data, seq, ts }: Event<PrivateSnapshot | PrivateEvent>): void {
  if ("account" in data) show(begun(data, seq, latest));
  else if (latest) show(told(latest, data, seq, ts));
  if ("kind" in data && data.kind === "order") for (const each of orderHeard) each(data.order);
}

let compared = 0;

async function compare(): Promise<void> {
  const often = polling.peek() !== null || connection.peek() === "lost" || trouble.peek() !== null;
  if (document.visibilityState === "hidden") return;
  if (!often && performance.now() - compared < COMPARE_MS) return;
  compared = performance.now();
  try {
    await reconcile(often);
    trouble.value = null;
  } catch (error) {
    if (often && error instanceof VenueError) trouble.value = `${error.message} (${error.code})`;
  }
}
