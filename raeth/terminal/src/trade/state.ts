/** What the ticket holds and which window it is for. Lives as long as the tab, so that a look at another page loses nothing. */

import { computed, effect, signal } from "@preact/signals";
import { current, next } from "../venue/live";
import type { Market } from "../venue/wire";
import { rolled } from "./roll";
import { changed, check, FRESH, type Ticket, turned } from "./ticket";

export const ticket = signal<Ticket>(FRESH);

/** The open window, or the one after it. */
export const choice = signal<"now" | "next">("now");

/** What the page did to the ticket by itself, until it is changed by hand. */
export const notice = signal<string | null>(null);

export const market = computed<Market | null>(() =>
  choice.value === "next" ? next.value : (current.value ?? next.value),
);

/** The order that the ticket amounts to. */
export const checked = computed(() => check(ticket.value, market.value));

export function change(part: Partial<Ticket>): void {
  notice.value = null;
  ticket.value = changed(ticket.value, part);
}

export function turn(framing: Ticket["framing"]): void {
  notice.value = null;
  ticket.value = turned(ticket.value, framing);
}

export function clear(): void {
  notice.value = null;
  const { framing, action } = ticket.value;
  ticket.value = { ...FRESH, framing, action };
}

let open: Market | null = null;

effect(() => {
  const now = current.value;
  if (!now) return;
  if (open && open.id !== now.id) {
    const { choice: to, clearPrice, notice: says } = rolled(choice.peek(), open, now, ticket.peek().price);
    choice.value = to;
    if (clearPrice) ticket.value = { ...ticket.peek(), price: "", confirm: false };
    if (says || clearPrice) notice.value = says;
  }
  open = now;
});
