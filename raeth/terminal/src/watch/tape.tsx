/** Trades, the newest first. A row that falls off the end is used again at the top: the list is bounded. */

import { effect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Panel } from "../parts/parts";
import { clockTime, count } from "../venue/format";
import { view } from "../venue/live";
import type { Trade } from "../venue/wire";
import { type Framing, framedPrice, framedSide } from "./ladder-model";
import { framing, volume } from "./state";

const ROWS = 60;

interface Line {
  row: HTMLTableRowElement;
  id: string;
}

function made(): Line {
  const row = document.createElement("tr");
  for (let i = 0; i < 4; i++) {
    const cell = row.insertCell();
    if (i !== 1) cell.className = "number";
    cell.appendChild(document.createTextNode(""));
  }
  return { row, id: "" };
}

function write(line: Line, trade: Trade, how: Framing): void {
  line.id = trade.trade_id;
  const side = framedSide(trade.taker_side, how);
  const cells = line.row.cells;
  const texts = [
    clockTime(trade.ts),
    side === "BUY" ? "▲ buy" : "▼ sell",
    `${framedPrice(trade.price, how)}¢`,
    count(trade.qty),
  ];
  for (let i = 0; i < texts.length; i++) (cells[i]?.firstChild as Text).data = texts[i] as string;
  line.row.className = side === "BUY" ? "watch-bought" : "watch-sold";
}

/** How many of `trades`, newest first, are newer than the one that is on top; all of them if it is not among them. */
function newer(trades: readonly Trade[], top: string | undefined): number {
  if (top === undefined) return trades.length;
  const at = trades.findIndex(({ trade_id }) => trade_id === top);
  return at < 0 ? trades.length : at;
}

function fill(body: HTMLTableSectionElement): () => void {
  let list: Line[] = [];
  let how: Framing = "YES";
  const end = effect(() => {
    const trades = view.value.trades;
    let fresh = newer(trades, list[0]?.id);
    if (fresh === trades.length || framing.value !== how) {
      // Another window, or other prices: begin anew, with the rows that are there.
      how = framing.value;
      fresh = Math.min(trades.length, ROWS);
      for (const line of list.slice(fresh)) line.row.remove();
      list = list.slice(0, fresh);
      while (list.length < fresh) {
        const line = made();
        body.append(line.row);
        list.push(line);
      }
      for (let i = 0; i < fresh; i++) write(list[i] as Line, trades[i] as Trade, how);
      return;
    }
    for (let i = fresh - 1; i >= 0; i--) {
      const line = list.length >= ROWS ? (list.pop() as Line) : made();
      write(line, trades[i] as Trade, how);
      body.prepend(line.row);
      list.unshift(line);
    }
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
