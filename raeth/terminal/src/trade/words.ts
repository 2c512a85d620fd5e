/** What became of an order, and why a call failed, in plain words. */

import { price as cents, count, money } from "../venue/format";
import { VenueError } from "../venue/http";
import type { Order, Preview } from "../venue/wire";
import { averagePrice, type Framing, framed, sideOf } from "./frame";

export interface Said {
  kind: "good" | "info" | "bad";
  title: string;
  text: string;
}

const ENDED: Record<string, string> = {
  USER: "you cancelled it",
  IOC_REMAINDER: "there was no more to take at once",
  MARKET_CLOSED: "its window closed",
  SELF_TRADE: "it would have traded with an order of your own account",
  REDUCE_ONLY: "there was nothing left to reduce",
  DEAD_MAN: "the dead-man switch ran out",
  DISCONNECT: "its connection ended",
  REPLACED: "it was replaced",
  ADMIN: "the operator cancelled it",
};

/** Why an order ended, as words. */
export function whyEnded(order: Order): string {
  if (order.status === "EXPIRED") return "its time ran out";
  return order.cancel_reason ? (ENDED[order.cancel_reason] ?? order.cancel_reason) : "";
}

/** One word for a list. */
export function statusWord(order: Order): string {
  switch (order.status) {
    case "OPEN":
      return "Resting";
    case "PARTIALLY_FILLED":
      return "Partly filled";
    case "FILLED":
      return "Filled";
    case "REJECTED":
      return "Declined";
    case "EXPIRED":
      return order.filled_qty ? "Filled in part, expired" : "Expired";
    default:
      return order.filled_qty ? "Filled in part, ended" : "Cancelled";
  }
}

export function said(order: Order, framing: Framing): Said {
  const action = sideOf(framing, order.side);
  const did = action === "BUY" ? "Bought" : "Sold";
  const what = (qty: number) => `${count(qty)} ${framing}`;
  const at = order.price === null ? "at market" : `at ${cents(framed(framing, order.price))}`;
  const mean = averagePrice(framing, order.filled_notional_cents, order.filled_qty);
  const fee = order.fee_cents ? ` Fee ${money(order.fee_cents)}.` : "";
  const part = `${did} ${what(order.filled_qty)} at ${mean}`;
  switch (order.status) {
    case "FILLED":
      return { kind: "good", title: "Filled", text: `${part}.${fee}` };
    case "OPEN":
      return {
        kind: "good",
        title: "Resting",
        text: `${action === "BUY" ? "Buys" : "Sells"} ${what(order.qty)} ${at}.`,
      };
    case "PARTIALLY_FILLED":
      return {
        kind: "good",
        title: "Partly filled",
        text: `${part}; ${count(order.remaining_qty)} more rest ${at}.${fee}`,
      };
    case "REJECTED":
      return { kind: "bad", title: "Declined", text: order.reject_message ?? "The venue gave no reason." };
    default:
      if (order.filled_qty)
        return {
          kind: "info",
          title: "Filled in part",
          text: `${part} of ${count(order.qty)}; the rest ended: ${whyEnded(order)}.${fee}`,
        };
      return { kind: "info", title: "Not filled", text: `Nothing traded: ${whyEnded(order)}.` };
  }
}

/** What a failed call means for whoever made it. `done` says what was to be done: "Nothing was placed." */
export function failed(
  error: unknown,
  nothing = "Nothing was done.",
): Said & { code: string; requestId: string | null } {
  if (!(error instanceof VenueError))
    return { kind: "bad", title: "Failed", text: "Something went wrong in this page.", code: "PAGE", requestId: null };
  const { code, message, requestId } = error;
  const rest = { code, requestId };
  if (error.status === 0)
    return {
      kind: "bad",
      title: "No answer",
      text: "The venue did not answer. It may or may not have been done.",
      ...rest,
    };
  if (code === "EXCHANGE_FROZEN")
    return {
      kind: "bad",
      title: "Venue frozen",
      text: `New orders are declined for now; cancels go on. ${nothing}`,
      ...rest,
    };
  if (code === "RATE_LIMITED")
    return {
      kind: "bad",
      title: "Too many calls",
      text: `This agent's budget is used up for the moment. ${nothing}`,
      ...rest,
    };
  if (code === "SERVICE_DEGRADED")
    return {
      kind: "bad",
      title: "Venue cannot write",
      text: `The venue takes no orders for the moment. ${nothing}`,
      ...rest,
    };
  const fields = fieldNotes(error.details);
  return { kind: "bad", title: "Refused", text: `${message}${fields ? ` ${fields}` : ""} ${nothing}`, ...rest };
}

function fieldNotes(details: unknown): string {
  if (!Array.isArray(details)) return "";
  return details
    .slice(0, 3)
    .map((each) => (typeof each === "object" && each ? `${String(each.field)}: ${String(each.message)}.` : ""))
    .join(" ");
}

/** Why the page no longer has the key it had. */
export function keyGone(code: string): string {
  if (code === "AUTH_REVOKED") return "This key was revoked. Nothing more can be done with it.";
  if (code === "AUTH_EXPIRED") return "This key has expired.";
  if (code === "AUTH_INVALID") return "This venue does not know this key.";
  return `The venue no longer accepts this key (${code}).`;
}

/** What a preview says would happen, in one line. */
export function foretold(preview: Preview, qty: number, rests: boolean): string {
  if (preview.would === "REJECT") return preview.reject_message ?? "It would be declined.";
  const fills = preview.fills.reduce((sum, each) => sum + each.qty, 0);
  if (fills === 0) return rests ? "Nothing to take: it would rest." : "Nothing would trade.";
  if (fills >= qty) return "It would fill at once.";
  const rest = count(qty - fills);
  return rests
    ? `${count(fills)} fill at once, ${rest} would rest.`
    : `${count(fills)} fill at once, ${rest} would end.`;
}
