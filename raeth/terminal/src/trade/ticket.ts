/** What somebody has filled in, as they typed it, and the order that comes of it. Judges the form alone. */

import type { Market, OrderBody, OrderType, Side, Tif } from "../venue/wire";
import { type Framing, framed, sideOf } from "./frame";

export interface Ticket {
  framing: Framing;
  action: Side;
  type: OrderType;
  tif: Tif;
  /** Of the chosen contract, as typed. */
  price: string;
  qty: string;
  /** MARKET only; "" for none. */
  slippage: string;
  reduceOnly: boolean;
  /** Seconds of venue time after sending; "" for none. */
  expiryS: string;
  /** The size or price is meant, however unusual. */
  confirm: boolean;
}

export type Problems = Partial<Record<"price" | "qty" | "slippage" | "expiryS" | "market", string>>;

export interface Checked {
  problems: Problems;
  /** null while there is a problem or something is missing. Without id and expiry: those are made in sending. */
  body: OrderBody | null;
  price: number | null;
  qty: number | null;
}

export const FRESH: Ticket = {
  framing: "YES",
  action: "BUY",
  type: "LIMIT",
  tif: "GTC",
  price: "",
  qty: "10",
  slippage: "",
  reduceOnly: false,
  expiryS: "",
  confirm: false,
};

/** What changes with a change: whoever meant one size or price did not mean another. */
export function changed(ticket: Ticket, part: Partial<Ticket>): Ticket {
  const touched = (["price", "qty", "type", "action", "framing"] as const).some(
    (name) => part[name] !== undefined && part[name] !== ticket[name],
  );
  const now = { ...ticket, ...(touched ? { confirm: false } : {}), ...part };
  if (now.type === "MARKET" && (now.tif === "POST_ONLY" || now.tif === "GTC")) now.tif = "IOC";
  if (now.type === "LIMIT" && ticket.type === "MARKET" && part.tif === undefined) now.tif = "GTC";
  return now;
}

/** The ticket for the other contract, at the same level of the book: 40¢ of YES are 60¢ of NO. */
export function turned(ticket: Ticket, framing: Framing): Ticket {
  if (framing === ticket.framing) return ticket;
  const price = whole(ticket.price);
  return { ...ticket, framing, confirm: false, price: price === null ? ticket.price : String(100 - price) };
}

/** A whole number as typed, or null. */
export function whole(text: string): number | null {
  const trimmed = text.trim();
  return /^-?\d{1,9}$/.test(trimmed) ? Number(trimmed) : null;
}

export function check(ticket: Ticket, market: Market | null): Checked {
  const problems: Problems = {};
  const { price_min: low, price_max: high } = market?.geometry ?? { price_min: 1, price_max: 99 };
  const price = ticket.type === "LIMIT" ? whole(ticket.price) : null;
  const qty = whole(ticket.qty);
  if (ticket.type === "LIMIT" && ticket.price.trim() !== "" && (price === null || price < low || price > high))
    problems.price = `A whole number of cents, ${low} to ${high}.`;
  if (ticket.qty.trim() !== "" && (qty === null || qty < 1)) problems.qty = "A whole number of contracts, 1 or more.";
  const slippage = ticket.type === "MARKET" && ticket.slippage.trim() !== "" ? whole(ticket.slippage) : null;
  if (ticket.type === "MARKET" && ticket.slippage.trim() !== "" && (slippage === null || slippage < 0))
    problems.slippage = "A whole number of cents, 0 or more.";
  const expiry = ticket.expiryS.trim() === "" ? null : whole(ticket.expiryS);
  if (ticket.expiryS.trim() !== "" && (expiry === null || expiry < 1)) problems.expiryS = "Whole seconds, 1 or more.";
  if (!market) problems.market = "There is no window.";
  const complete = qty !== null && (ticket.type === "MARKET" || price !== null);
  if (!market || !complete || Object.keys(problems).length) return { problems, body: null, price, qty };
  const body: OrderBody = {
    market_id: market.id,
    side: sideOf(ticket.framing, ticket.action),
    type: ticket.type,
    qty,
  };
  if (ticket.type === "LIMIT" && price !== null) {
    body.price = framed(ticket.framing, price);
    body.tif = ticket.tif;
  } else {
    if (ticket.tif === "FOK") body.tif = "FOK";
    if (slippage !== null) body.slippage_cap_cents = slippage;
  }
  if (ticket.reduceOnly) body.reduce_only = true;
  if (ticket.confirm) body.confirm_fat_finger = true;
  return { problems, body, price, qty };
}

/** The order as it is sent: with an id of its own, and the end that was chosen, counted from `venueNowMs`. */
export function toSend(body: OrderBody, ticket: Ticket, clientOrderId: string, venueNowMs: number): OrderBody {
  const seconds = whole(ticket.expiryS);
  return {
    ...body,
    client_order_id: clientOrderId,
    ...(seconds === null ? {} : { expires_at_ms: Math.round(venueNowMs) + seconds * 1000 }),
  };
}

/** One step up or down from what is typed; from nothing, `start`. Stays within the band. */
export function stepped(text: string, by: number, start: number | null, low = 1, high = 99): string {
  const now = whole(text);
  if (now === null) return String(Math.min(high, Math.max(low, start ?? 50)));
  return String(Math.min(high, Math.max(low, now + by)));
}

/** Each 36 characters, and unlike `crypto.randomUUID` also made where the page came over plain HTTP. */
export function newClientId(
  random: (bytes: Uint8Array<ArrayBuffer>) => Uint8Array = (b) => crypto.getRandomValues(b),
): string {
  const bytes = random(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}
