/** The windows in a row: what came of the last ones, the one that is live, the next. */

import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { clockTime, money } from "../venue/format";
import { current, ended, next } from "../venue/live";
import type { Market } from "../venue/wire";
import { everyFrame, scaleX } from "./ticker";
import { closeMinute, elapsed, GLYPH, moveCents, outcome, previous, tally } from "./window";

const CHIPS = 10;

function Ended(props: { market: Market }): JSX.Element {
  const { market } = props;
  const what = outcome(market);
  const move = moveCents(market);
  const kind = what === "YES" ? "up" : what === "NO" ? "down" : "soft";
  return (
    <a class="watch-chip" href={`#/proof/${market.symbol}`} data-outcome={what ?? "settling"}>
      <span class="watch-chip-time number">{closeMinute(market)}</span>
      <span class={`watch-chip-what ${kind}`}>{what ? `${GLYPH[what]} ${what}` : "… settling"}</span>
      <span class="watch-chip-move number">{move === null ? "–" : money(move, true)}</span>
    </a>
  );
}

function Live(): JSX.Element {
  const bar = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    let drawn = "";
    return everyFrame((now) => {
      const market = current.peek();
      const scale = scaleX(market ? elapsed(market, now) : 0);
      if (scale !== drawn && bar.current) bar.current.style.transform = drawn = scale;
    });
  }, []);
  const market = current.value;
  return (
    <a class="watch-chip watch-chip-live" href="#/trade">
      <span class="watch-chip-time number">{market ? closeMinute(market) : "–:––"}</span>
      <span class="watch-chip-what">LIVE</span>
      <span class="watch-chip-move">{market ? "trade it" : "none open"}</span>
      <span class="watch-chip-bar" aria-hidden="true" ref={bar} />
    </a>
  );
}

function Next(): JSX.Element {
  const market = next.value;
  return (
    <div class="watch-chip watch-chip-next">
      <span class="watch-chip-time number">{market ? closeMinute(market) : "–:––"}</span>
      <span class="watch-chip-what">NEXT</span>
      <span class="watch-chip-move number">{market ? `opens ${clockTime(market.open_at).slice(0, 5)}` : "–"}</span>
    </div>
  );
}

export function Rail(): JSX.Element {
  const box = useRef<HTMLElement>(null);
  const list = previous(ended.value, CHIPS);
  const newest = list.at(-1)?.id;
  const { yes, no, void: voided, of } = tally(ended.value, 40);
  useEffect(() => {
    // What is newest stands at the right: bring it into view, unless somebody is reading in the row.
    const row = box.current;
    if (newest !== undefined && row && !row.contains(document.activeElement)) row.scrollLeft = row.scrollWidth;
  }, [newest]);
  return (
    <div class="watch-rail">
      <nav class="watch-chips watch-data" ref={box} aria-label="Windows">
        {Array.from({ length: CHIPS - list.length }, (_, i) => (
          <span key={`none-${i}`} class="watch-chip watch-chip-none" aria-hidden="true" />
        ))}
        {list.map((market) => (
          <Ended key={market.id} market={market} />
        ))}
        <Live />
        <Next />
      </nav>
      <p class="watch-tally">
        {of === 0 ? (
          "No window has ended yet."
        ) : (
          <>
            Last {of}: <span class="up">▲ {yes} YES</span> <span class="down">▼ {no} NO</span>
            {voided > 0 && <span class="soft"> ∅ {voided} VOID</span>}
          </>
        )}
      </p>
    </div>
  );
}
