/**
 * The book as a ladder. Its rows are made once; what changes, up to once a frame, is written into the text nodes and
 * transforms that are there, and only where it differs.
 */

import { effect, signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Choice, Panel } from "../parts/parts";
import { count } from "../venue/format";
import { view, watched } from "../venue/live";
import { type Framing, halves, ladder, type Row } from "./ladder-model";
import { framing } from "./state";
import { wantsCalm } from "./ticker";

const FRAMINGS: readonly (readonly [Framing, string])[] = [
  ["YES", "YES"],
  ["NO", "NO"],
];
/** Height of a row; `watch.css` has the same. */
const ROW_PX = 22;
/** How long a changed row is tinted: set and taken away, never faded, so that no frame is drawn for it alone. */
const TINT_MS = 240;

const small = matchMedia("(max-width: 640px)");
const rows = signal(small.matches ? 6 : 10);
small.addEventListener("change", () => {
  rows.value = small.matches ? 6 : 10;
});

interface Line {
  texts: Text[];
  shown: string[];
  bar: HTMLElement;
  part: number;
  tint: HTMLElement;
  /** When the tint goes; 0: there is none. */
  tintedTo: number;
}

function lines(box: HTMLElement, side: "ask" | "bid"): Line[] {
  const bars = box.querySelectorAll<HTMLElement>(`.watch-depth-${side}`);
  const tints = box.querySelectorAll<HTMLElement>(`.watch-tint-${side}`);
  return [...box.querySelectorAll(`tr[data-side="${side}"]`)].map((row, i) => ({
    texts: [...row.children].map((cell) => cell.appendChild(document.createTextNode(""))),
    shown: ["", "", ""],
    bar: bars[i] as HTMLElement,
    part: 0,
    tint: tints[i] as HTMLElement,
    tintedTo: 0,
  }));
}

function write(line: Line, row: Row | null, most: number): void {
  put(line, 0, row ? `${row.price}¢` : "");
  put(line, 1, row ? count(row.qty) : "");
  put(line, 2, row ? count(row.total) : "");
  const part = row && most > 0 ? Math.round((row.total / most) * 200) / 200 : 0;
  if (part !== line.part) {
    line.part = part;
    line.bar.style.transform = `scaleX(${part})`;
  }
}

function put(line: Line, at: 0 | 1 | 2, text: string): void {
  if (line.shown[at] === text) return;
  line.shown[at] = text;
  (line.texts[at] as Text).data = text;
}

/** Fill the rows of `box` for as long as they are there. */
function fill(box: HTMLElement, middle: HTMLElement): () => void {
  const [asks, bids] = [lines(box, "ask"), lines(box, "bid")];
  const middleText = middle.appendChild(document.createTextNode(""));
  let sizes = new Map<number, number>();
  let spare = new Map<number, number>();
  let before = "";
  let timer: ReturnType<typeof setTimeout> | null = null;
  const fade = () => {
    timer = null;
    const at = performance.now();
    let more = false;
    for (const line of [...asks, ...bids]) {
      if (line.tintedTo > at) more = true;
      else if (line.tintedTo) {
        line.tintedTo = 0;
        line.tint.style.opacity = "0";
      }
    }
    if (more) timer = setTimeout(fade, TINT_MS / 3);
  };
  const end = effect(() => {
    const book = view.value;
    const now = ladder(book, framing.value, asks.length);
    const same = `${watched.peek()?.id} ${framing.value} ${book.known}`;
    const tints = before === same && !wantsCalm();
    before = same;
    const at = performance.now();
    spare.clear();
    const side = (list: Line[], made: readonly (Row | null)[], sign: 1 | -1) => {
      for (let i = 0; i < list.length; i++) {
        const [line, row] = [list[i] as Line, made[i] ?? null];
        write(line, row, now.most);
        if (!row) continue;
        spare.set(sign * row.price, row.qty);
        if (tints && sizes.get(sign * row.price) !== row.qty) {
          if (line.tintedTo === 0) line.tint.style.opacity = "1";
          line.tintedTo = at + TINT_MS;
        }
      }
    };
    side(asks, now.asks, 1);
    side(bids, now.bids, -1);
    [sizes, spare] = [spare, sizes];
    const text = !book.known
      ? "…"
      : now.spread === null
        ? book.asks.length || book.bids.length
          ? "one side is empty"
          : "nothing rests"
        : `spread ${now.spread}¢  ·  mid ${halves(now.twiceMid)}¢`;
    if (middleText.data !== text) middleText.data = text;
    if (tints) timer ??= setTimeout(fade, TINT_MS);
  });
  return () => {
    end();
    if (timer) clearTimeout(timer);
  };
}

function Rows(props: { rows: number }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const middle = useRef<HTMLTableCellElement>(null);
  useEffect(() => {
    if (box.current && middle.current) return fill(box.current, middle.current);
  }, []);
  const each = Array.from({ length: props.rows }, (_, i) => i);
  const layer = (kind: "depth" | "tint") => (
    <>
      {each.map((i) => (
        <span key={`a${i}`} class={`watch-${kind} watch-${kind}-ask`} style={{ top: `${i * ROW_PX}px` }} />
      ))}
      {each.map((i) => (
        <span
          key={`b${i}`}
          class={`watch-${kind} watch-${kind}-bid`}
          style={{ top: `${(props.rows + 1 + i) * ROW_PX}px` }}
        />
      ))}
    </>
  );
  const side = (name: "ask" | "bid") => (
    <tbody>
      {each.map((i) => (
        <tr key={i} data-side={name}>
          <td class={`number ${name === "ask" ? "down" : "up"}`} />
          <td class="number" />
          <td class="number soft" />
        </tr>
      ))}
    </tbody>
  );
  return (
    <div class="watch-book watch-data" ref={box}>
      <div class="watch-layer" aria-hidden="true">
        {layer("tint")}
        {layer("depth")}
      </div>
      <table class="watch-ladder" data-watch="ladder">
        <caption class="hidden">
          The book: asks above, the best one last; then the spread; then bids, the best one first
        </caption>
        <thead>
          <tr>
            <th class="number" scope="col">
              Price
            </th>
            <th class="number" scope="col">
              Size
            </th>
            <th class="number" scope="col">
              Total
            </th>
          </tr>
        </thead>
        {side("ask")}
        <tbody>
          <tr class="watch-middle">
            <td colSpan={3} ref={middle} />
          </tr>
        </tbody>
        {side("bid")}
      </table>
    </div>
  );
}

export function LadderPanel(): JSX.Element {
  return (
    <Panel
      title="Book"
      class="watch-ladder-panel"
      aside={
        <Choice
          label="Prices of"
          class="watch-choice"
          value={framing.value}
          options={FRAMINGS}
          onChange={(value) => {
            framing.value = value;
          }}
        />
      }
    >
      <Rows key={rows.value} rows={rows.value} />
    </Panel>
  );
}
