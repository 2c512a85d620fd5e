/** The head: what the window asks, how long is left, where Bitcoin is, what YES and NO cost, and what came of the last. */

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Tag } from "../parts/parts";
import { countdown, money } from "../venue/format";
import { frozen, watched } from "../venue/live";
import { costOf, type Framing, halves, twiceChance } from "./ladder-model";
import { bestAsk, bestBid, fairNow, lastEnded, spot, strike, where } from "./state";
import { everyFrame, scaleX } from "./ticker";
import { closeMinute, distanceText, elapsed, leftMs, outcome, outcomeText, phase, question } from "./window";

/** From so few seconds on the countdown is emphasised. */
const LAST_MS = 10_000;

function State(): JSX.Element {
  const market = watched.value;
  if (!market) return <Tag>waiting for the venue</Tag>;
  if (market.halted) return <Tag kind="warn">halted</Tag>;
  if (frozen.value.frozen) return <Tag kind="warn">frozen</Tag>;
  if (where.value === "PENDING") return <Tag>opens soon</Tag>;
  if (where.value === "closing") return <Tag kind="warn">settling …</Tag>;
  return <Tag kind="live">open</Tag>;
}

function Countdown(): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const clockText = useRef<HTMLSpanElement>(null);
  const word = useRef<HTMLSpanElement>(null);
  const bar = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    let [shown, told, late, drawn] = ["", "", false, ""];
    return everyFrame((now) => {
      const market = watched.peek();
      const at = phase(market, now);
      const left = market ? leftMs(market, now) : 0;
      const text = market ? (at === "closing" ? "0:00" : countdown(left)) : "–:––";
      if (text !== shown && clockText.current) clockText.current.textContent = shown = text;
      const what =
        at === "PENDING"
          ? "until it opens"
          : at === "closing"
            ? "settling …"
            : at === "OPEN"
              ? "left"
              : "no window yet";
      if (what !== told && word.current) word.current.textContent = told = what;
      const last = at === "OPEN" && left <= LAST_MS;
      if (last !== late) {
        late = last;
        box.current?.classList.toggle("watch-last", last);
      }
      const part = market && at !== "PENDING" ? 1 - elapsed(market, now) : at === "PENDING" ? 1 : 0;
      const scale = scaleX(part);
      if (scale !== drawn && bar.current) bar.current.style.transform = drawn = scale;
    });
  }, []);
  return (
    <div class="watch-clock" ref={box} role="timer" aria-label="Time to the close" data-watch="countdown">
      <span class="watch-count number" ref={clockText}>
        –:––
      </span>
      <span class="watch-count-word" ref={word}>
        {" "}
      </span>
      <span class="watch-bar" aria-hidden="true">
        <span class="watch-bar-fill" ref={bar} />
      </span>
    </div>
  );
}

function Spot(): JSX.Element {
  const now = spot.value;
  const from = strike.value;
  const off = now !== null && from !== null ? now - from : null;
  return (
    <div class="watch-spot watch-data">
      <p class="watch-label">Bitcoin now</p>
      <p class="watch-price number" data-watch="price">
        {money(now)}
      </p>
      <p
        class={`watch-off number ${off === null || off === 0 ? "soft" : off > 0 ? "up" : "down"}`}
        data-watch="distance"
      >
        {off !== null ? distanceText(off) : from === null ? "no strike yet" : "no price now"}
        {off !== null && <span class="watch-off-word"> {off > 0 ? "above" : off < 0 ? "below" : "at"} the strike</span>}
      </p>
    </div>
  );
}

function Tile(props: { name: Framing }): JSX.Element {
  const { name } = props;
  const cost = costOf(name, bestBid.value, bestAsk.value);
  return (
    <a class={`watch-tile watch-tile-${name.toLowerCase()} watch-data`} href="#/trade" data-watch={name.toLowerCase()}>
      <span class="watch-tile-name">
        {name === "YES" ? "▲" : "▼"} {name}
      </span>
      <span class="watch-tile-cost number">{cost === null ? "–" : `${cost}¢`}</span>
      <span class="hidden">{cost === null ? "nobody offers it" : "is what it costs"}; trade</span>
    </a>
  );
}

function Chance(): JSX.Element {
  const fair = fairNow.value;
  const twice = twiceChance(bestBid.value, bestAsk.value);
  return (
    <dl class="watch-chance watch-data">
      <div>
        <dt>Chance of YES</dt>
        <dd class="number" data-watch="chance">
          {twice === null ? "–" : `${halves(twice)} %`}
        </dd>
      </div>
      <div>
        <dt title="Φ(ln(S/K) / (σ√τ)): the chance that a price without drift ends above the strike">Fair value</dt>
        <dd class="number watch-fair" data-watch="fair">
          {fair === null ? "–" : `${fair.toFixed(1)} %`}
        </dd>
      </div>
    </dl>
  );
}

function Last(): JSX.Element {
  const { market, news } = lastEnded.value;
  const what = market ? outcome(market) : null;
  const kind = what === "YES" ? "yes" : what === "NO" ? "no" : "none";
  return (
    <div class={`watch-lately watch-lately-${kind} ${news ? "watch-news" : ""}`} data-watch="last" role="status">
      <p class="watch-label">{market ? `Window to ${closeMinute(market)}` : "Last window"}</p>
      {/* A new element for a new outcome, so that it is seen to come. */}
      <p class="watch-outcome number" key={`${market?.id}-${what}`}>
        {market ? outcomeText(market) : "none yet"}
      </p>
    </div>
  );
}

export function Head(): JSX.Element {
  const market = watched.value;
  return (
    <section class="watch-head" aria-label="The window">
      <div class="watch-ask">
        <p class="watch-tags">
          <State />
          <span class="watch-symbol number">{market?.symbol ?? " "}</span>
        </p>
        <h1 class="watch-question">{question(market)}</h1>
      </div>
      <Spot />
      <Countdown />
      <div class="watch-tiles">
        <Tile name="YES" />
        <Tile name="NO" />
      </div>
      <Chance />
      <Last />
    </section>
  );
}
