/** What the order in the ticket would do, asked of the venue while it is being filled in. */

import { effect, signal } from "@preact/signals";
import { VenueError } from "../venue/http";
import { view } from "../venue/live";
import { agentKey } from "../venue/session";
import type { OrderBody, Preview } from "../venue/wire";
import { asAgent } from "./mine";
import { checked } from "./state";

const PAUSE_MS = 300;
/** The book moves many times a second: a preview is renewed no more often than this. */
const RENEW_MS = 2_000;

export interface Foretold {
  /** The body it is for, as text. */
  key: string;
  preview: Preview | null;
  error: VenueError | null;
}

export const foretold = signal<Foretold | null>(null);

const keyOf = (body: OrderBody) => JSON.stringify(body);

/** The preview of what the ticket holds now; null if there is none yet. */
export function currentPreview(): Foretold | null {
  const { body } = checked.value;
  return body && foretold.value?.key === keyOf(body) ? foretold.value : null;
}

let asked = "";

export async function askPreview(body: OrderBody): Promise<void> {
  const key = keyOf(body);
  asked = key;
  try {
    const preview = await asAgent<Preview>("/orders/preview", { method: "POST", body });
    if (asked === key) foretold.value = { key, preview, error: null };
  } catch (error) {
    if (asked === key && error instanceof VenueError) foretold.value = { key, preview: null, error };
  }
}

/** Keep the preview true until what is returned is called. */
export function keepPreview(): () => void {
  let touch = "";
  let last = 0;
  const endFirst = effect(() => {
    const { body } = checked.value;
    if (!body || !agentKey.value) {
      foretold.value = null;
      return;
    }
    const timer = setTimeout(() => {
      last = performance.now();
      void askPreview(body);
    }, PAUSE_MS);
    return () => clearTimeout(timer);
  });
  const timer = setInterval(() => {
    const { body } = checked.peek();
    const { bids, asks } = view.peek();
    const now = `${bids[0]} ${asks[0]}`;
    if (!body || !agentKey.peek() || now === touch || document.visibilityState === "hidden") return;
    if (performance.now() - last < RENEW_MS) return;
    touch = now;
    last = performance.now();
    void askPreview(body);
  }, 500);
  return () => {
    endFirst();
    clearInterval(timer);
  };
}

/** The largest quantity that the venue would take of this order, by its own previews; null where there is none. */
export async function largest(body: OrderBody, start: number): Promise<number | null> {
  let qty = start;
  for (let round = 0; round < 6 && qty > 0; round++) {
    const preview = await asAgent<Preview>("/orders/preview", { method: "POST", body: { ...body, qty } });
    if (preview.would === "ACCEPT") return qty;
    const max = preview.reject_details?.max_qty;
    if (max == null || max >= qty) return null;
    qty = max;
  }
  return null;
}
