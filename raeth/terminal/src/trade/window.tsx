/** Which window the ticket is for, how long it goes on, and where Bitcoin stands against its strike. */

import type { JSX } from "preact";
import { Choice } from "../parts/parts";
import { countdown, money } from "../venue/format";
import { current, next, nowS, reference } from "../venue/live";
import { windowName } from "./frame";
import { choice, market, notice } from "./state";

export function WindowBar(): JSX.Element {
  const now = current.value;
  const then = next.value;
  const left = (ts: string | undefined) => (ts ? countdown(Date.parse(ts) - nowS.value * 1000) : "–");
  const options: (readonly ["now" | "next", string])[] = [
    ["now", now ? `${windowName(now.symbol)} · ${left(now.close_at)} left` : "None open"],
  ];
  if (then) options.push(["next", `${windowName(then.symbol)} · opens in ${left(then.open_at)}`]);
  return (
    <div class="trade-window">
      <Choice
        label="Window"
        class="trade-windows number"
        value={choice.value}
        options={options}
        onChange={(to) => {
          choice.value = to;
          notice.value = null;
        }}
      />
      <Strike />
      <p class="trade-notice" role="status">
        {notice.value ?? (choice.value === "next" ? "This window takes orders once it is open." : "")}
      </p>
    </div>
  );
}

function Strike(): JSX.Element {
  const price = reference.value?.price_cents ?? null;
  const strike = market.value?.reference.open_price_cents ?? null;
  const by = price !== null && strike !== null ? price - strike : null;
  return (
    <dl class="trade-strike">
      <div>
        <dt>Bitcoin</dt>
        <dd class="number">{money(price)}</dd>
      </div>
      <div>
        <dt>Strike</dt>
        <dd class="number">{strike === null ? "at open" : money(strike)}</dd>
      </div>
      <div>
        <dt>Difference</dt>
        <dd class={`number ${by ? (by > 0 ? "up" : "down") : ""}`}>
          {by === null ? "–" : by === 0 ? "at the strike" : `${by > 0 ? "▲" : "▼"} ${money(Math.abs(by))}`}
        </dd>
      </div>
    </dl>
  );
}
