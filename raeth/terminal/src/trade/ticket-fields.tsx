/** The ticket's inputs: price, slippage, quantity, terms. */

import { signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Button, toast } from "../parts/parts";
import { view } from "../venue/live";
import type { Tif } from "../venue/wire";
import { report } from "./act";
import { framed } from "./frame";
import { largest } from "./preview";
import { change, checked, market, ticket } from "./state";
import { check, stepped } from "./ticket";

/** Where the "/" key leads. */
export const qtyInput = signal<HTMLInputElement | null>(null);

const QUICK = [1, 10, 50, 100];

/** The touch that a new price begins at: what a buyer pays, what a seller gets. */
function touch(): number | null {
  const { framing, action } = ticket.peek();
  const { bids, asks } = view.peek();
  const yesBuys = framing === "YES" ? action === "BUY" : action === "SELL";
  const best = (yesBuys ? asks : bids)[0];
  return best ? framed(framing, best[0]) : null;
}

function Stepper(props: {
  id: string;
  label: string;
  unit: string;
  value: string;
  problem: string | undefined;
  placeholder?: string;
  onType: (text: string) => void;
  onStep: (by: number) => void;
  input?: (element: HTMLInputElement | null) => void;
}): JSX.Element {
  const { id, label, unit, value, problem, placeholder, onType, onStep, input } = props;
  const keys = (event: KeyboardEvent) => {
    const up = event.key === "ArrowUp" ? 1 : event.key === "ArrowDown" ? -1 : 0;
    if (!up) return;
    event.preventDefault();
    onStep(up * (event.shiftKey ? 10 : 1));
  };
  return (
    <div class={`trade-field ${problem ? "trade-field-wrong" : ""}`}>
      <label for={id}>{label}</label>
      <div class="trade-stepper">
        <Button aria-label={`${label}: one less`} tabIndex={-1} onClick={() => onStep(-1)}>
          −
        </Button>
        <input
          id={id}
          ref={input}
          class="number"
          inputMode="numeric"
          autocomplete="off"
          placeholder={placeholder}
          value={value}
          aria-invalid={problem ? true : undefined}
          aria-describedby={problem ? `${id}-note` : undefined}
          onInput={(event) => onType(event.currentTarget.value)}
          onKeyDown={keys}
        />
        <span class="trade-unit" aria-hidden="true">
          {unit}
        </span>
        <Button aria-label={`${label}: one more`} tabIndex={-1} onClick={() => onStep(1)}>
          +
        </Button>
      </div>
      {problem && (
        <p class="trade-wrong" id={`${id}-note`} role="alert">
          {problem}
        </p>
      )}
    </div>
  );
}

export function PriceField(): JSX.Element {
  const { framing, price } = ticket.value;
  return (
    <Stepper
      id="trade-price"
      label={`Price of ${framing}`}
      unit="¢"
      value={price}
      problem={checked.value.problems.price}
      onType={(text) => change({ price: text })}
      onStep={(by) => change({ price: stepped(ticket.peek().price, by, touch()) })}
    />
  );
}

export function SlippageField(): JSX.Element {
  return (
    <Stepper
      id="trade-slippage"
      label="Slippage at most"
      unit="¢"
      value={ticket.value.slippage}
      problem={checked.value.problems.slippage}
      placeholder="any"
      onType={(text) => change({ slippage: text })}
      onStep={(by) => change({ slippage: stepped(ticket.peek().slippage, by, 2, 0, 98) })}
    />
  );
}

export function QtyField(): JSX.Element {
  return (
    <Stepper
      id="trade-qty"
      label="Quantity"
      unit=""
      value={ticket.value.qty}
      problem={checked.value.problems.qty}
      onType={(text) => change({ qty: text })}
      onStep={(by) => change({ qty: stepped(ticket.peek().qty, by, 10, 1, 1_000_000) })}
      input={(element) => {
        qtyInput.value = element;
      }}
    />
  );
}

/** Usual sizes, and the most that the venue would take. */
export function Quick(): JSX.Element {
  const busy = useSignal(false);
  const max = async () => {
    const now = market.peek();
    const { body } = check({ ...ticket.peek(), qty: "1", confirm: false }, now);
    if (!now || !body) return;
    busy.value = true;
    try {
      const { max_order_qty: cap, max_order_notional_cents: notional } = now.risk;
      const most = await largest(
        body,
        Math.max(1, Math.min(cap, body.price ? Math.floor(notional / body.price) : cap)),
      );
      if (most === null) toast("info", "The venue would take no quantity of this order; the preview says why.");
      else change({ qty: String(most) });
    } catch (error) {
      report(error, "Nothing was changed.");
    } finally {
      busy.value = false;
    }
  };
  const ready = check({ ...ticket.value, qty: "1" }, market.value).body !== null;
  return (
    <div class="trade-quick">
      {QUICK.map((qty) => (
        <Button key={qty} onClick={() => change({ qty: String(qty) })} aria-label={`Quantity ${qty}`}>
          {qty}
        </Button>
      ))}
      <Button onClick={max} busy={busy.value} disabled={!ready} title="The most the venue would take of this order">
        Max
      </Button>
    </div>
  );
}

export function Terms(): JSX.Element {
  const { type, tif, reduceOnly, expiryS } = ticket.value;
  const tifs: readonly (readonly [Tif, string])[] =
    type === "MARKET"
      ? [
          ["IOC", "Take now (IOC)"],
          ["FOK", "All or none (FOK)"],
        ]
      : [
          ["GTC", "Rest (GTC)"],
          ["IOC", "Take now (IOC)"],
          ["FOK", "All or none (FOK)"],
          ["POST_ONLY", "Post-only"],
        ];
  return (
    <div class="trade-terms">
      <label class="trade-field trade-tif">
        <span>Time in force</span>
        <select value={tif} onChange={(event) => change({ tif: event.currentTarget.value as Tif })}>
          {tifs.map(([value, text]) => (
            <option key={value} value={value}>
              {text}
            </option>
          ))}
        </select>
      </label>
      <label class="trade-field">
        <span>Ends after</span>
        <select value={expiryS} onChange={(event) => change({ expiryS: event.currentTarget.value })}>
          <option value="">the close</option>
          {[5, 10, 20, 30, 45].map((seconds) => (
            <option key={seconds} value={String(seconds)}>
              {seconds} s
            </option>
          ))}
        </select>
      </label>
      <label class="trade-check">
        <input
          type="checkbox"
          checked={reduceOnly}
          onChange={(event) => change({ reduceOnly: event.currentTarget.checked })}
        />
        Reduce-only
      </label>
    </div>
  );
}
