/** What the page does on a click or a key: send, ask first, repair, cancel all, claim test cash. */

import { signal } from "@preact/signals";
import { toast } from "../parts/parts";
import { clock } from "../venue/clock";
import { money } from "../venue/format";
import { VenueError } from "../venue/http";
import type { Order, OrderBody } from "../venue/wire";
import { asAgent, reconcile } from "./mine";
import { askPreview, currentPreview } from "./preview";
import type { Repair } from "./repair";
import { answer, busy, send } from "./send";
import { change, checked, choice, ticket } from "./state";
import { newClientId, toSend } from "./ticket";
import { failed } from "./words";

export type Ask = "first" | "always" | "never";

const ASK = "raeth-ask-before-sending";
const SENT = "raeth-order-sent";

/** When to ask before an order goes out; "first": before the first one of this tab. */
export const ask = signal<Ask>(stored("localStorage", ASK, ["first", "always", "never"], "first"));
/** The order that is asked about. */
export const asking = signal<OrderBody | null>(null);
export const askingCancelAll = signal(false);
export const showingKeys = signal(false);

export function setAsk(value: Ask): void {
  ask.value = value;
  store("localStorage", ASK, value);
}

/** The send button. */
export function trySend(): void {
  const { body } = checked.peek();
  if (!body || busy()) return;
  const first = stored("sessionStorage", SENT, ["yes"], "no") !== "yes";
  if (ask.value === "always" || (ask.value === "first" && first)) asking.value = body;
  else sendNow(body);
}

export function sendNow(body: OrderBody): void {
  asking.value = null;
  store("sessionStorage", SENT, "yes");
  void send(toSend(body, ticket.peek(), newClientId(), clock.now()));
}

/** Enter: see what it would do; once that is there, send it. */
export function enter(): void {
  const { body } = checked.peek();
  if (!body) return;
  if (currentPreview()) trySend();
  else void askPreview(body);
}

export function repair(what: Repair): void {
  switch (what.kind) {
    case "change":
      change(what.change);
      answer.value = null;
      return;
    case "window":
      choice.value = "now";
      answer.value = null;
      return;
    case "faucet":
      void claim();
      return;
    case "cancel-all":
      askingCancelAll.value = true;
      return;
    case "wait":
      trySend();
  }
}

/** Venue time, epoch milliseconds, before which the faucet gives nothing more; 0 where that is not known. */
export const nextClaim = signal(0);
export const claiming = signal(false);
/** Why the faucet gives nothing at all, ever again. */
export const faucetOver = signal<string | null>(null);

export async function claim(): Promise<void> {
  if (claiming.peek()) return;
  claiming.value = true;
  try {
    const got = await asAgent<{ amount_cents: number; next_claim_at: string }>("/faucet", { method: "POST" });
    nextClaim.value = Date.parse(got.next_claim_at);
    toast("good", `${money(got.amount_cents)} of test cash came in.`);
  } catch (error) {
    if (error instanceof VenueError && error.code === "FAUCET_COOLDOWN") {
      const at = (error.details as { next_claim_at?: number | string } | undefined)?.next_claim_at;
      const known = typeof at === "number" ? at : at ? Date.parse(at) : Number.NaN;
      nextClaim.value = Number.isFinite(known) ? known : clock.now() + (error.retryAfterS ?? 60) * 1000 * clock.rate;
      toast("info", "The faucet is not ready again yet.");
    } else if (error instanceof VenueError && ["FAUCET_CAP_REACHED", "FEATURE_DISABLED"].includes(error.code)) {
      faucetOver.value = error.message;
      toast("bad", `${error.message} (${error.code})`);
    } else report(error, "No cash was moved.");
  } finally {
    claiming.value = false;
  }
}

export async function cancel(order: Order): Promise<void> {
  try {
    await asAgent<Order>(`/orders/${order.order_id}`, { method: "DELETE" });
  } catch (error) {
    if (error instanceof VenueError && error.code === "ORDER_ALREADY_FILLED")
      toast("info", "Too late: it had filled already.");
    else if (error instanceof VenueError && error.code === "ORDER_NOT_OPEN") toast("info", "It had ended already.");
    else report(error, "The order still rests.");
    void reconcile(true).catch(() => {});
  }
}

/** Ends everything that rests; how many that were. Throws `VenueError`. */
export async function cancelAll(): Promise<number> {
  const done = await asAgent<{ cancelled: number }>("/orders/cancel", { method: "POST", body: {} });
  return done.cancelled;
}

/** Change an order's price (of YES) or its total quantity. What went wrong, in words, or null. */
export async function amend(order: Order, to: { price?: number; qty?: number }): Promise<string | null> {
  try {
    const now = await asAgent<Order>(`/orders/${order.order_id}`, { method: "PATCH", body: to });
    if (now.status !== "REJECTED") return null;
    return `${now.reject_message ?? "Declined."} (${now.reject_reason}) The order is as it was.`;
  } catch (error) {
    void reconcile(true).catch(() => {});
    const { text, code } = failed(error, "The order is as it was.");
    return `${text} (${code})`;
  }
}

export function report(error: unknown, nothing: string): void {
  const { title, text, code, requestId } = failed(error, nothing);
  toast("bad", `${title}: ${text} (${code}${requestId ? `, request ${requestId}` : ""})`, 10_000);
}

function stored<T extends string, U extends string>(
  where: "localStorage" | "sessionStorage",
  name: string,
  known: readonly T[],
  otherwise: U,
): T | U {
  try {
    const value = globalThis[where].getItem(name);
    return known.find((each) => each === value) ?? otherwise;
  } catch {
    return otherwise;
  }
}

function store(where: "localStorage" | "sessionStorage", name: string, value: string): void {
  try {
    globalThis[where].setItem(name, value);
  } catch {
    // It is asked once more, then.
  }
}
