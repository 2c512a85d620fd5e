/** What a position costs and pays, before and after an order. Whole cents; prices of YES. */

import type { OrderBody, Position, Preview } from "../venue/wire";

export interface Payoff {
  if_yes_cents: number;
  if_no_cents: number;
}

/** What the window pays in all once the order has traded: what fills now at its prices, what would rest at its own. */
export function payoffAfter(position: Position | null, preview: Preview, body: OrderBody): Payoff {
  const sign = body.side === "BUY" ? 1 : -1;
  const filled = preview.fills.reduce((sum, each) => sum + each.qty, 0);
  const cost = preview.fills.reduce((sum, each) => sum + each.qty * each.price, 0);
  const resting = rests(body) ? body.qty - filled : 0;
  const net = (position?.net_qty ?? 0) + sign * (filled + resting);
  const flow =
    (position?.cash_flow_cents ?? 0) - sign * (cost + resting * (body.price ?? 0)) - Math.max(0, preview.fee_cents);
  return { if_yes_cents: flow + 100 * net, if_no_cents: flow };
}

/** Whether what is not taken at once stays in the book. */
export function rests(body: OrderBody): boolean {
  return body.type === "LIMIT" && (body.tif === undefined || body.tif === "GTC" || body.tif === "POST_ONLY");
}

/** What the contracts held have cost, fees included: of YES its price, of NO what is not received for the YES sold. */
export function costOf(position: Position): number {
  const { net_qty: net, cash_flow_cents: flow } = position;
  return net >= 0 ? -flow : -100 * net - flow;
}
