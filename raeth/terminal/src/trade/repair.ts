/** From the numbers of a decline to what can be done about it with one click. */

import { count } from "../venue/format";
import type { RejectDetails } from "../venue/wire";
import { framed } from "./frame";
import { type Ticket, whole } from "./ticket";

export type Repair =
  | { kind: "change"; label: string; change: Partial<Ticket> }
  /** Nothing helps but time, `ms` of the venue's; then the same order may be sent again. */
  | { kind: "wait"; label: string; ms: number }
  | { kind: "faucet"; label: string }
  | { kind: "cancel-all"; label: string }
  | { kind: "window"; label: string };

/** Best first. Quantities that would be zero are no repair. */
export function repairs(code: string, details: RejectDetails | null, ticket: Ticket): Repair[] {
  const made = [...specific(code, details ?? { retryable: false }, ticket)];
  const wait = details?.retry_after_ms;
  if (wait && !made.some((each) => each.kind === "wait")) made.unshift({ kind: "wait", label: "Wait", ms: wait });
  return made;
}

function* specific(code: string, details: RejectDetails, ticket: Ticket): Generator<Repair> {
  const max = details.max_qty ?? 0;
  const price = ticket.type === "LIMIT" ? whole(ticket.price) : null;
  switch (code) {
    case "FAT_FINGER":
      if (details.price_min != null && details.price_max != null && price !== null)
        yield* nearest(details.price_min, details.price_max, ticket, price);
      if (max > 0) yield reduce(max);
      if (details.confirm_field)
        yield {
          kind: "change",
          label: details.mark_price != null ? "Confirm price" : "Confirm size",
          change: { confirm: true },
        };
      return;
    case "POSITION_CAP":
      if (max > 0) yield reduce(max);
      yield { kind: "cancel-all", label: "Cancel resting orders" };
      return;
    case "INSUFFICIENT_MARGIN":
      if (max > 0) yield reduce(max);
      yield { kind: "faucet", label: "Claim test cash" };
      return;
    case "NO_REFERENCE_PRICE":
    case "MARKET_NO_LIQUIDITY":
      yield { kind: "change", label: "Use a limit order", change: { type: "LIMIT", tif: "GTC" } };
      return;
    case "MARKET_CLOSED":
      yield { kind: "window", label: "Use the window that is open" };
      return;
    case "INVALID_QTY":
      if (details.min_qty != null)
        yield { kind: "change", label: `Use ${details.min_qty}`, change: { qty: String(details.min_qty) } };
      return;
    case "PRICE_OUT_OF_RANGE":
      if (details.price_min != null && details.price_max != null && price !== null)
        yield* nearest(details.price_min, details.price_max, ticket, price);
      return;
    case "ORDER_EXPIRED":
      yield { kind: "change", label: "Without expiry", change: { expiryS: "" } };
      return;
    case "REDUCE_ONLY_VIOLATION":
      if (max > 0) yield reduce(max);
      yield { kind: "change", label: "Without reduce-only", change: { reduceOnly: false } };
      return;
    case "POST_ONLY_WOULD_CROSS":
      if (details.best_non_crossing_price != null) {
        const use = framed(ticket.framing, details.best_non_crossing_price);
        yield { kind: "change", label: `Use ${use}¢`, change: { price: String(use) } };
      }
      yield { kind: "change", label: "Allow taking (GTC)", change: { tif: "GTC" } };
      return;
    case "FOK_NOT_FILLABLE":
      if (max > 0) yield reduce(max);
      yield { kind: "change", label: "Take what there is (IOC)", change: { tif: "IOC" } };
      return;
    case "OPEN_ORDERS_CAP":
      yield { kind: "cancel-all", label: "Cancel resting orders" };
  }
}

function reduce(max: number): Repair {
  return { kind: "change", label: `Reduce to ${count(max)}`, change: { qty: String(max) } };
}

/** The price of the chosen contract that is nearest to what was typed, in a band of YES prices. */
function* nearest(low: number, high: number, ticket: Ticket, price: number): Generator<Repair> {
  const yes = framed(ticket.framing, price);
  const use = framed(ticket.framing, Math.min(99, high, Math.max(1, low, yes)));
  if (use !== price) yield { kind: "change", label: `Use ${use}¢`, change: { price: String(use) } };
}
