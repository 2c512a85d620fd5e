/** The reference price over a window, with both prints, as long as the venue still tells its past. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Empty, Panel } from "../parts/parts";
import { clock } from "../venue/clock";
import { clockTime, money } from "../venue/format";
import { call } from "../venue/http";
import { type Point, prices, priceVersion } from "../venue/live";
import type { Market, Print, Settlement, Tick } from "../venue/wire";

/** As far back as the venue tells of the price, and how much room is left before and after the window. */
const PAST_S = 3_600;
const AROUND_MS = 4_000;

interface Span {
  from: number;
  to: number;
  low: number;
  high: number;
}

export function Picture(props: { market: Market; evidence: Settlement }): JSX.Element {
  const { market, evidence } = props;
  const ticks = useSignal<readonly Point[] | null>(null);
  const failed = useSignal(false);
  const from = Date.parse(market.open_at) - AROUND_MS;
  const to = Date.parse(market.close_at) + AROUND_MS;
  const seconds = Math.ceil((clock.now() - from) / 1_000) + 1;
  const past = seconds > PAST_S;
  const ended = evidence.close_print !== null;
  useEffect(() => {
    if (past) return;
    const stop = new AbortController();
    call<{ items: Tick[] }>("/reference/btc/history", { query: { seconds: Math.max(1, seconds) }, signal: stop.signal })
      .then(({ items }) => {
        ticks.value = items
          .map(({ source_ts, price_cents }) => ({ ts: Date.parse(source_ts), price_cents }))
          .filter(({ ts }) => ts >= from && ts <= to);
      })
      .catch(() => {
        failed.value = !stop.signal.aborted;
      });
    return () => stop.abort();
  }, [market.id, ended]);

  const shown = ticks.value && !ended ? withNews(ticks.value, to) : ticks.value;
  let body: JSX.Element;
  if (past) body = <Empty>The venue tells of the last hour of the price only, and this window is older.</Empty>;
  else if (failed.value) body = <Empty>The past of the price could not be read.</Empty>;
  else if (!shown) body = <Empty>Loading …</Empty>;
  else if (shown.length < 2) body = <Empty>There are no prices of this window.</Empty>;
  else body = <Drawn ticks={shown} market={market} evidence={evidence} span={spanOf(shown, evidence, from, to)} />;
  return (
    <Panel title="The reference price over the window" class="proof-picture">
      {body}
    </Panel>
  );
}

/** What was read, and what was heard since while the window is not over. */
function withNews(ticks: readonly Point[], to: number): readonly Point[] {
  void priceVersion.value;
  const after = ticks.at(-1)?.ts ?? 0;
  const news = prices.filter(({ ts }) => ts > after && ts <= to);
  return news.length ? [...ticks, ...news] : ticks;
}

function spanOf(ticks: readonly Point[], evidence: Settlement, from: number, to: number): Span {
  const prices = ticks.map((tick) => tick.price_cents);
  for (const print of [evidence.open_print, evidence.close_print])
    if (print?.price_cents) prices.push(print.price_cents);
  const [low, high] = [Math.min(...prices), Math.max(...prices)];
  const room = Math.max(1, (high - low) * 0.14);
  return { from, to, low: low - room, high: high + room };
}

function Drawn(props: { ticks: readonly Point[]; market: Market; evidence: Settlement; span: Span }): JSX.Element {
  const { ticks, market, evidence, span } = props;
  const x = (at: number) => ((at - span.from) / (span.to - span.from)) * 100;
  const y = (cents: number) => ((span.high - cents) / (span.high - span.low)) * 100;
  const path = ticks.map((tick, n) => {
    const at = `${x(tick.ts).toFixed(2)} ${y(tick.price_cents).toFixed(2)}`;
    return `${n ? "L" : "M"}${at}`;
  });
  const strike = evidence.open_print?.price_cents ?? null;
  const close = evidence.close_print?.price_cents ?? null;
  const [begin, end] = [x(Date.parse(market.open_at)), x(Date.parse(market.close_at))];
  // A label stands on the side where the line is not.
  const side = (cents: number, at: number) => {
    const near = ticks.filter(({ ts }) => Math.abs(ts - at) < (span.to - span.from) / 6);
    const mean = near.reduce((sum, tick) => sum + tick.price_cents - cents, 0);
    const below = y(cents) < 14 || (mean > 0 && y(cents) < 86);
    return below ? "proof-below" : "";
  };
  const said = `The price from ${clockTime(market.open_at)} to ${clockTime(market.close_at)} UTC. Strike ${money(strike)}, close ${money(close)}.`;
  return (
    <div class="proof-plot" role="img" aria-label={said}>
      <svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true">
        <rect class="proof-window" x={begin} y="0" width={end - begin} height="100" />
        {strike !== null && <path class="proof-strike" d={`M0 ${y(strike)}H100`} />}
        <path class="proof-line" d={path.join("")} />
      </svg>
      {strike !== null && (
        <span
          class={`proof-label ${side(strike, Date.parse(market.open_at))}`}
          style={{ left: "6px", top: `${y(strike)}%` }}
        >
          strike {money(strike)}
        </span>
      )}
      {close !== null && (
        <span
          class={`proof-label proof-close ${side(close, Date.parse(market.close_at))}`}
          style={{ right: `${100 - end + 1.5}%`, top: `${y(close)}%` }}
        >
          close {money(close)}
        </span>
      )}
      <Dot print={evidence.open_print} x={x} y={y} kind="open" />
      <Dot print={evidence.close_print} x={x} y={y} kind="close" />
      <span class="proof-tick" style={{ left: `${begin}%` }}>
        {clockTime(market.open_at)}
      </span>
      <span class="proof-tick proof-tick-end" style={{ left: `${end}%` }}>
        {clockTime(market.close_at)}
      </span>
    </div>
  );
}

function Dot(props: {
  print: Print | null;
  x: (at: number) => number;
  y: (cents: number) => number;
  kind: "open" | "close";
}): JSX.Element | null {
  const { print, x, y, kind } = props;
  if (!print?.source_ts || print.price_cents === null) return null;
  const style = { left: `${x(Date.parse(print.source_ts))}%`, top: `${y(print.price_cents)}%` };
  return <span class={`proof-dot proof-dot-${kind}`} style={style} />;
}
