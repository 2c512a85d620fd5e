/** The best levels of the book in the chosen contract; a click on one puts its price into the ticket. */

import { computed } from "@preact/signals";
import type { JSX } from "preact";
import { Panel } from "../parts/parts";
import { price as cents, count } from "../venue/format";
import { view, watched } from "../venue/live";
import type { Level } from "../venue/wire";
import { framed, framedBook } from "./frame";
import { desk, markOf } from "./mine";
import { change, market, ticket } from "./state";

const DEPTH = 8;

/** Own resting quantity by price of YES, in the ticket's window. */
const own = computed(() => {
  const found = new Map<number, number>();
  const id = market.value?.id;
  for (const order of desk.value?.orders.values() ?? [])
    if (order.market_id === id && order.price !== null)
      found.set(order.price, (found.get(order.price) ?? 0) + order.remaining_qty);
  return found;
});

const rows = computed(() => {
  const shown = market.value && market.value.id === watched.value?.id ? view.value : { bids: [], asks: [] };
  const { bids, asks } = framedBook(ticket.value.framing, shown);
  const most = Math.max(1, ...bids.slice(0, DEPTH).map(qtyOf), ...asks.slice(0, DEPTH).map(qtyOf));
  return { bids: filled(bids), asks: filled(asks).reverse(), most, best: bids[0]?.[0], offer: asks[0]?.[0] };
});

function qtyOf(level: Level): number {
  return level[1];
}

/** Always as many rows, so that nothing moves when a level goes. */
function filled(levels: readonly Level[]): (Level | null)[] {
  return Array.from({ length: DEPTH }, (_, n) => levels[n] ?? null);
}

export function Ladder(): JSX.Element {
  const { bids, asks, most, best, offer } = rows.value;
  const framing = ticket.value.framing;
  const spread = best !== undefined && offer !== undefined ? offer - best : null;
  const mark = market.value ? markOf(market.value.id) : null;
  return (
    <Panel title={`Book of ${framing}`} class="trade-ladder" aside="a click fills the price">
      <div class="trade-ladder-head" aria-hidden="true">
        <span>Mine</span>
        <span>Price</span>
        <span>Size</span>
      </div>
      <fieldset class="trade-levels" aria-label="Asks">
        {asks.map((level, n) => (
          <Row key={`a${DEPTH - n}`} kind="ask" level={level} most={most} />
        ))}
      </fieldset>
      <p class="trade-spread number">
        <span>Mark {mark === null ? "–" : cents(framed(framing, mark))}</span>
        <span>Spread {spread === null ? "–" : cents(spread)}</span>
      </p>
      <fieldset class="trade-levels" aria-label="Bids">
        {bids.map((level, n) => (
          <Row key={`b${n + 1}`} kind="bid" level={level} most={most} />
        ))}
      </fieldset>
    </Panel>
  );
}

function Row(props: { kind: "bid" | "ask"; level: Level | null; most: number }): JSX.Element {
  const { kind, level, most } = props;
  if (!level) return <div class="trade-level trade-level-none" />;
  const [price, qty] = level;
  const mine = own.value.get(framed(ticket.value.framing, price)) ?? 0;
  return (
    <button
      type="button"
      class={`trade-level trade-level-${kind} number`}
      onClick={() => change({ type: "LIMIT", price: String(price) })}
    >
      <span class="trade-bar" style={{ transform: `scaleX(${qty / most})` }} />
      <span class="trade-mine">
        {mine > 0 && (
          <>
            <span aria-hidden="true">● </span>
            <span class="hidden">mine </span>
            {count(mine)}
          </>
        )}
      </span>
      <span class="trade-price">
        <span class="hidden">{kind === "bid" ? "bid " : "ask "}</span>
        {price}
        <span class="hidden"> cents, </span>
      </span>
      <span>
        {count(qty)}
        <span class="hidden"> contracts</span>
      </span>
    </button>
  );
}
