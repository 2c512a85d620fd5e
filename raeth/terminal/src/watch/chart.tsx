/** The chart's panel: what is drawn when, the span, what lies under the pointer, and what the lines are. */

import { computed, effect, signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Choice, Panel } from "../parts/parts";
import { theme } from "../shell/theme";
import { clock } from "../venue/clock";
import { clockTime, money } from "../venue/format";
import { current, markets, prices, priceVersion, reference, view, watched } from "../venue/live";
import {
  eased,
  firstAt,
  frames,
  marks,
  priceColumns,
  priceRange,
  type Range,
  type Span,
  timeRange,
} from "./chart-model";
import { Plot, type Scene } from "./plot";
import { sayings, sigmaPercent, span, strike } from "./state";
import { everyFrame, wantsCalm } from "./ticker";

const SPANS: readonly (readonly [Span, string])[] = [
  ["1", "1 min"],
  ["3", "3 min"],
  ["15", "15 min"],
];
/** Without a price for so long the line is broken. */
const GAP_MS = 3_000;

/** What is only drawn with the rest waits so long for it. */
const PATIENCE_MS = 150;

const hovered = signal("");
// The book changes with these many times as often as they do.
const trades = computed(() => view.value.trades);
const status = computed(() => reference.value?.status ?? "LIVE");

function readout(ts: number | null): string {
  if (ts === null) return "";
  const spot = prices[Math.max(0, firstAt(prices, ts) - 1)];
  if (!spot || ts > clock.now() || Math.abs(spot.ts - ts) > 5_000) return "";
  return `${clockTime(spot.ts)}  ${money(spot.price_cents)}`;
}

function start(upper: HTMLElement, lower: HTMLElement): () => void {
  const plot = new Plot(upper, lower, (ts) => {
    hovered.value = readout(ts);
  });
  let stale = true; // the lines are
  let changed = true; // something else is
  let range: Range | null = null;
  let drawnAt = 0;
  let seen: Scene | null = null;
  const ends = [
    effect(() => {
      void priceVersion.value;
      stale = true;
    }),
    effect(() => {
      void markets.value;
      void trades.value;
      void status.value;
      changed = true;
    }),
    effect(() => {
      void span.value;
      stale = true;
      range = null;
    }),
    effect(() => {
      void theme.value;
      requestAnimationFrame(() => plot.recolour());
    }),
    everyFrame((now, at) => {
      const market = watched.peek();
      const window = market ? { open: Date.parse(market.open_at), close: Date.parse(market.close_at) } : null;
      const time = timeRange(span.peek(), now, current.peek() ? window : null);
      const gapMs = GAP_MS * Math.max(1, clock.rate);
      const target = priceRange(prices, time.min, time.max, strike.peek());
      const before = range;
      if (target) range = wantsCalm() ? target : eased(range, target, Math.min(200, at - drawnAt));
      const moved = !seen || ((now - seen.now) / (time.max - time.min)) * plot.width >= 0.5;
      const due = changed && at - drawnAt >= PATIENCE_MS;
      if (!stale && !due && !moved && range === before) return;
      if (stale || changed) {
        plot.setData(priceColumns(prices, time.min, gapMs), sayings.columns(time.min, gapMs));
      }
      const last = prices.at(-1);
      const silent = last !== undefined && (now - last.ts > gapMs || (status.peek() !== "LIVE" && now - last.ts > 500));
      const seconds = last ? Math.round((now - last.ts) / 1000) : 0;
      seen = {
        now,
        time,
        price: range,
        spots: prices,
        frames: changed || !seen ? frames(markets.peek().values()) : seen.frames,
        marks: marks(markets.peek().values(), time),
        dots:
          changed || !seen
            ? trades.peek().map(({ ts, price, taker_side }) => ({
                ts: Date.parse(ts),
                price,
                up: taker_side === "BUY",
              }))
            : seen.dots,
        silentSince: silent && last ? last.ts : null,
        silentWord: `${status.peek() === "DOWN" ? "no price" : "price is old"} · ${seconds} s`,
      };
      plot.draw(seen);
      stale = changed = false;
      drawnAt = at;
    }),
  ];
  return () => {
    for (const end of ends) end();
    plot.destroy();
  };
}

function Legend(): JSX.Element {
  return (
    <p class="watch-legend">
      <span class="watch-key watch-key-fair">fair value</span>
      <span class="watch-key watch-key-mid">market, bid to ask</span>
      <span class="watch-key watch-key-trade">▲▼ trades</span>
      <span class="watch-rule">
        Fair value is the chance that a price without drift ends above the strike: Φ(ln(S/K) / (σ√τ)), σ{" "}
        {sigmaPercent.value ?? "–"} % a year. A guide; nothing is decided by it.
      </span>
    </p>
  );
}

function Readout(): JSX.Element {
  return (
    <span class="watch-readout number" aria-hidden="true">
      {hovered.value}
    </span>
  );
}

export function Chart(): JSX.Element {
  const upper = useRef<HTMLDivElement>(null);
  const lower = useRef<HTMLDivElement>(null);
  useEffect(() => {
    if (upper.current && lower.current) return start(upper.current, lower.current);
  }, []);
  return (
    <Panel
      title="Bitcoin against the strike"
      class="watch-chart"
      aside={
        <div class="watch-tools">
          <Readout />
          <Choice
            label="Time shown"
            class="watch-choice"
            value={span.value}
            options={SPANS}
            onChange={(value) => {
              span.value = value;
            }}
          />
        </div>
      }
    >
      <div
        ref={upper}
        class="watch-plot watch-plot-price watch-data"
        role="img"
        aria-label="Bitcoin's price over the last minutes with the strike and the ends of windows"
      />
      <div
        ref={lower}
        class="watch-plot watch-plot-chance watch-data"
        role="img"
        aria-label="The chance of YES: fair value, the market between bid and ask, and trades"
      />
      <Legend />
    </Panel>
  );
}
