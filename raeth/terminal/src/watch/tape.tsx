/** Trades, the newest first, in rows that stand still: a trade moves down from row to row, nothing on the page moves. */

import { effect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Panel } from "../parts/parts";
import { clockTime, count } from "../venue/format";
import { view } from "../venue/live";
import type { Trade } from "../venue/wire";
import { type Framing, framedPrice, framedSide } from "./ladder-model";
import { framing, volume } from "./state";

const ROWS = 40;

interface Line {
  row: HTMLTableRowElement;
  texts: Text[];
  shown: string[];
  bought: boolean | null;
}

function made(): Line {
  const row = document.createElement("tr");
  const texts: Text[] = [];
  for (let i = 0; i < 4; i++) {
    const cell = row.insertCell();
    if (i !== 1) cell.className = "number";
    texts.push(cell.appendChild(document.createTextNode("")));
  }
  return { row, texts, shown: ["", "", "", ""], bought: null };
}

function write(line: Line, trade: Trade, how: Framing): void {
  const bought = framedSide(trade.taker_side, how) === "BUY";
  put(line, 0, clockTime(trade.ts));
  put(line, 1, bought ? "▲ buy" : "▼ sell");
  put(line, 2, `${framedPrice(trade.price, how)}¢`);
  put(line, 3, count(trade.qty));
  if (bought !== line.bought) {
    line.bought = bought;
    line.row.className = bought ? "watch-bought" : "watch-sold";
  }
}

function put(line: Line, at: 0 | 1 | 2 | 3, text: string): void {
  if (line.shown[at] === text) return;
  line.shown[at] = text;
  (line.texts[at] as Text).data = text;
}

function fill(body: HTMLTableSectionElement): () => void {
  const lines: Line[] = [];
  let trades: readonly Trade[] = [];
  let how: Framing = "YES";
  const end = effect(() => {
    if (view.value.trades === trades && framing.value === how) return;
    trades = view.value.trades;
    how = framing.value;
    const rows = Math.min(trades.length, ROWS);
    while (lines.length > rows) lines.pop()?.row.remove();
    while (lines.length < rows) {
      const line = made();
      lines.push(line);
      body.append(line.row);
    }
    for (let i = 0; i < rows; i++) write(lines[i] as Line, trades[i] as Trade, how);
  });
  return () => {
    end();
    body.replaceChildren();
  };
}

function Nothing(): JSX.Element | null {
  return view.value.trades.length ? null : (
    <p class="empty watch-nothing">{view.value.known ? "No trades in this window yet." : " "}</p>
  );
}

function Volume(): JSX.Element {
  return (
    <span class="number" data-watch="volume">
      {count(volume.value)} contracts
    </span>
  );
}

export function Tape(): JSX.Element {
  const body = useRef<HTMLTableSectionElement>(null);
  useEffect(() => {
    if (body.current) return fill(body.current);
  }, []);
  return (
    <Panel title={`Trades in ${framing.value}`} class="watch-tape-panel" aside={<Volume />}>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard */}
      <section class="watch-tape-box watch-data" tabIndex={0} aria-label="Trades of this window">
        <table class="watch-tape" data-watch="tape">
          <caption class="hidden">Trades of this window, the newest first; the side is the taker's</caption>
          <thead>
            <tr>
              <th class="number" scope="col">
                Time
              </th>
              <th scope="col">Taker</th>
              <th class="number" scope="col">
                Price
              </th>
              <th class="number" scope="col">
                Size
              </th>
            </tr>
          </thead>
          <tbody ref={body} />
        </table>
        <Nothing />
      </section>
    </Panel>
  );
}
