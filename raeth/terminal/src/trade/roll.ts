/** What happens to a ticket when its window gives way to the next one. */

import { windowName } from "./frame";

export interface Rolled {
  choice: "now" | "next";
  clearPrice: boolean;
  notice: string | null;
}

/** What becomes of the ticket when the open window gives way to another. A price for one window means nothing in the next. */
export function rolled(
  chosen: "now" | "next",
  before: { id: string; symbol: string },
  after: { id: string; symbol: string },
  price: string,
): Rolled {
  if (chosen === "next")
    return { choice: "now", clearPrice: false, notice: `The ${windowName(after.symbol)} window is open now.` };
  if (before.id === after.id) return { choice: chosen, clearPrice: false, notice: null };
  const closed = `The ${windowName(before.symbol)} window closed; the ticket is now for ${windowName(after.symbol)}.`;
  return price === ""
    ? { choice: chosen, clearPrice: false, notice: null }
    : { choice: chosen, clearPrice: true, notice: `${closed} Its price was cleared.` };
}
