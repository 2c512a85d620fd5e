/** What rests: cancel one, change one, cancel all. */

import { computed, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Button, Dialog, Empty, Panel, toast } from "../parts/parts";
import { ago, count } from "../venue/format";
import { nowS } from "../venue/live";
import type { Order } from "../venue/wire";
import { amend, askingCancelAll, cancel, cancelAll } from "./act";
import { framed, sideOf, windowName } from "./frame";
import { desk } from "./mine";
import { ticket } from "./state";
import { whole } from "./ticket";
import { failed } from "./words";

/** More are not drawn; all of them count, and all are cancelled. */
const SHOWN = 60;

const listed = computed(() =>
  [...(desk.value?.orders.values() ?? [])].sort((a, b) => (a.created_at < b.created_at ? 1 : -1)),
);

export function OpenOrders(): JSX.Element {
  const orders = listed.value;
  return (
    <Panel
      title={`Open orders ${orders.length ? `(${count(orders.length)})` : ""}`}
      class="trade-orders"
      aside={
        <Button
          class="trade-small-button"
          disabled={orders.length === 0}
          title="Shift+X"
          onClick={() => {
            askingCancelAll.value = true;
          }}
        >
          Cancel all
        </Button>
      }
    >
      {orders.length === 0 ? (
        <Empty>Nothing rests. A limit order that does not fill at once waits here.</Empty>
      ) : (
        <div class="scroll-x">
          <table class="trade-table">
            <thead>
              <tr>
                <th class="trade-wide">Window</th>
                <th>Order</th>
                <th class="number">Price</th>
                <th class="number">Left / of</th>
                <th class="number trade-wide">Age</th>
                <th>
                  <span class="hidden">Change</span>
                </th>
              </tr>
            </thead>
            <tbody>
              {orders.slice(0, SHOWN).map((order) => (
                <Row key={order.order_id} order={order} />
              ))}
            </tbody>
          </table>
          {orders.length > SHOWN && <p class="empty">{count(orders.length - SHOWN)} more are not shown.</p>}
        </div>
      )}
    </Panel>
  );
}

function Row({ order }: { order: Order }): JSX.Element {
  const editing = useSignal(false);
  const going = useSignal(false);
  const framing = ticket.value.framing;
  const action = sideOf(framing, order.side);
  const price = order.price === null ? null : framed(framing, order.price);
  const name = `${action === "BUY" ? "Buy" : "Sell"} ${framing}`;
  const stop = async () => {
    going.value = true;
    await cancel(order);
    going.value = false;
  };
  return (
    <>
      <tr data-order={order.order_id}>
        <td class="number trade-wide trade-left">{windowName(order.symbol)}</td>
        <td>
          <span class={action === "BUY" ? "up" : "down"}>{name}</span>
          {order.tif === "POST_ONLY" && <span class="trade-flag">post</span>}
          {order.reduce_only && <span class="trade-flag">reduce</span>}
        </td>
        <td class="number">{price === null ? "–" : `${price}¢`}</td>
        <td class="number">
          {count(order.remaining_qty)}
          <span class="soft"> / {count(order.qty)}</span>
        </td>
        <td class="number soft trade-wide">{ago(nowS.value * 1000 - Date.parse(order.created_at))}</td>
        <td class="trade-acts">
          <Button
            class="trade-small-button"
            aria-expanded={editing.value}
            aria-label={`Edit ${name} at ${price} cents`}
            onClick={() => {
              editing.value = !editing.value;
            }}
          >
            Edit
          </Button>
          <Button
            class="trade-small-button"
            busy={going.value}
            aria-label={`Cancel ${name} at ${price} cents`}
            onClick={stop}
          >
            Cancel
          </Button>
        </td>
      </tr>
      {editing.value && (
        <tr class="trade-edit-row">
          <td colSpan={6}>
            <Edit
              order={order}
              onDone={() => {
                editing.value = false;
              }}
            />
          </td>
        </tr>
      )}
    </>
  );
}

function Edit({ order, onDone }: { order: Order; onDone: () => void }): JSX.Element {
  const framing = ticket.value.framing;
  const price = useSignal(order.price === null ? "" : String(framed(framing, order.price)));
  const qty = useSignal(String(order.qty));
  const wrong = useSignal<string | null>(null);
  const busy = useSignal(false);
  const first = useRef<HTMLInputElement>(null);
  useEffect(() => first.current?.select(), []);
  const save = async (event: Event) => {
    event.preventDefault();
    const [p, q] = [whole(price.value), whole(qty.value)];
    if (p === null || p < 1 || p > 99 || q === null || q < 1) {
      wrong.value = "The price is a whole number of cents, 1 to 99; the quantity one of contracts.";
      return;
    }
    const to: { price?: number; qty?: number } = {};
    if (framed(framing, p) !== order.price) to.price = framed(framing, p);
    if (q !== order.qty) to.qty = q;
    if (to.price === undefined && to.qty === undefined) return onDone();
    busy.value = true;
    wrong.value = await amend(order, to);
    busy.value = false;
    if (wrong.value === null) onDone();
  };
  const keeps = whole(price.value) === (order.price === null ? null : framed(framing, order.price));
  const less = (whole(qty.value) ?? 0) <= order.qty;
  return (
    <form class="trade-edit" onSubmit={save} onKeyDown={(event) => event.key === "Escape" && onDone()}>
      <label>
        Price of {framing}
        <input
          ref={first}
          class="number"
          inputMode="numeric"
          value={price.value}
          onInput={(event) => {
            price.value = event.currentTarget.value;
          }}
        />
      </label>
      <label>
        Total quantity
        <input
          class="number"
          inputMode="numeric"
          value={qty.value}
          onInput={(event) => {
            qty.value = event.currentTarget.value;
          }}
        />
      </label>
      <Button kind="main" type="submit" busy={busy.value}>
        Save
      </Button>
      <Button onClick={onDone}>Leave it</Button>
      <p class="trade-note">
        {order.filled_qty > 0 && `${count(order.filled_qty)} have filled. `}
        {keeps && less ? "Keeps its place in the queue." : "Goes to the back of the queue."}
      </p>
      {wrong.value && (
        <p class="trade-wrong" role="alert">
          {wrong.value}
        </p>
      )}
    </form>
  );
}

export function CancelAllDialog(): JSX.Element | null {
  const busy = useSignal(false);
  const wrong = useSignal<string | null>(null);
  if (!askingCancelAll.value) return null;
  const close = () => {
    askingCancelAll.value = false;
    wrong.value = null;
  };
  const go = async () => {
    busy.value = true;
    try {
      const ended = await cancelAll();
      toast("good", ended === 0 ? "Nothing was resting." : `${count(ended)} cancelled.`);
      close();
    } catch (error) {
      const { text, code } = failed(error, "");
      wrong.value = `${text.trim()} (${code}) It is safe to try again.`;
    } finally {
      busy.value = false;
    }
  };
  return (
    <Dialog title="Cancel all resting orders?" onClose={close}>
      <p>Everything this agent has resting ends, in every window, {count(listed.value.length)} as far as is known.</p>
      {wrong.value && (
        <p class="trade-wrong" role="alert">
          {wrong.value}
        </p>
      )}
      <div class="trade-row">
        <Button kind="danger" busy={busy.value} onClick={go} autofocus>
          Cancel all
        </Button>
        <Button onClick={close}>Keep them</Button>
      </div>
    </Dialog>
  );
}
