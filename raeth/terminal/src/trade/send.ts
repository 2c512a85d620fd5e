/**
 * Sending an order, and never losing sight of it: each goes out under an id of this page's, kept until its fate is
 * known, also over a reload of the tab. Where no answer came the venue is asked what became of that id.
 */

import { signal } from "@preact/signals";
import { VenueError } from "../venue/http";
import { agentKey } from "../venue/session";
import type { Order, OrderBody } from "../venue/wire";
import { asAgent, orderHeard } from "./mine";

export type Answer =
  | { state: "sending"; body: OrderBody }
  /** No answer came; the venue is asked what became of it. */
  | { state: "unknown"; body: OrderBody | null; clientId: string; gaveUp: boolean }
  /** `late`: found by its id, because the answer itself was lost. */
  | { state: "answered"; order: Order; late: boolean }
  | { state: "never"; clientId: string }
  | { state: "failed"; error: unknown; at: number };

export const answer = signal<Answer | null>(null);

/** An order that rests goes on living: what is said of it stays true. */
orderHeard.add((order) => {
  const now = answer.peek();
  if (now?.state === "answered" && now.order.order_id === order.order_id && order.seq >= now.order.seq)
    answer.value = { ...now, order };
});

const KEPT = "raeth-order-under-way";
/** Then it is for the person to ask again. */
const LOOKS = 20;

export function busy(): boolean {
  const now = answer.value;
  return now?.state === "sending" || (now?.state === "unknown" && !now.gaveUp);
}

/** Place `body`, which has its `client_order_id`. What came of it is in `answer`. */
export async function send(body: OrderBody): Promise<void> {
  if (busy()) return;
  const clientId = body.client_order_id ?? "";
  keep(clientId);
  answer.value = { state: "sending", body };
  try {
    const order = await asAgent<Order>("/orders", { method: "POST", body });
    keep(null);
    answer.value = { state: "answered", order, late: false };
  } catch (error) {
    if (isOpen(error)) await lookUp(clientId, body);
    else {
      keep(null);
      answer.value = { state: "failed", error, at: performance.now() };
    }
  }
}

/** Whether after this failure it is not known if the order was placed. */
export function isOpen(error: unknown): boolean {
  if (!(error instanceof VenueError)) return true;
  return (
    error.status === 0 || (error.status >= 500 && error.code !== "EXCHANGE_FROZEN" && error.code !== "SERVICE_DEGRADED")
  );
}

/** Find out what became of `clientId`. A 404 counts when it was said twice: the order may have been under way. */
export async function lookUp(
  clientId: string,
  body: OrderBody | null,
  pause: (ms: number) => Promise<void> = (ms) => new Promise((done) => setTimeout(done, ms)),
): Promise<void> {
  const key = agentKey.peek();
  answer.value = { state: "unknown", body, clientId, gaveUp: false };
  let missing = 0;
  for (let look = 0; look < LOOKS; look++) {
    await pause(look === 0 ? 300 : missing ? 2_000 : Math.min(5_000, 1_000 * look));
    if (agentKey.peek() !== key) return;
    try {
      const order = await asAgent<Order>(`/orders/by-client-id/${encodeURIComponent(clientId)}`);
      keep(null);
      answer.value = { state: "answered", order, late: true };
      return;
    } catch (error) {
      if (error instanceof VenueError && error.status === 404) missing += 1;
      else if (error instanceof VenueError && error.status === 401) return;
      if (missing >= 2) {
        keep(null);
        answer.value = { state: "never", clientId };
        return;
      }
    }
  }
  answer.value = { state: "unknown", body, clientId, gaveUp: true };
}

/** After a reload: was something under way when the page went? */
export function resume(): void {
  const clientId = kept();
  if (clientId && agentKey.peek() && !answer.peek()) void lookUp(clientId, null);
}

function keep(clientId: string | null): void {
  try {
    if (clientId) sessionStorage.setItem(KEPT, clientId);
    else sessionStorage.removeItem(KEPT);
  } catch {
    // Without storage only a reload in the very second of sending loses it.
  }
}

function kept(): string | null {
  try {
    return sessionStorage.getItem(KEPT);
  } catch {
    return null;
  }
}
