/** The curve on canvas: steps of the balance, settlements marked. The ledger beneath says the same in words. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { theme } from "../shell/theme";
import { clock } from "../venue/clock";
import { clockTime, money } from "../venue/format";
import type { Curve } from "./curve";

const HEIGHT = 230;

export function Chart(props: { curve: Curve; label: string; readMs: number | null }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const at = useSignal<number | null>(null);
  const { curve } = props;
  const { readMs } = props;
  // The last balance holds until it was read, so the line goes on to there.
  const data = useMemo(() => columns(curve, readMs === null ? 0 : clock.now(readMs)), [curve, readMs]);
  const latest = useRef(data);
  latest.current = data;
  const colours = theme.value;

  useEffect(() => {
    const place = box.current;
    if (!place) return;
    const made = new uPlot(
      options(place.clientWidth, (n) => (at.value = n)),
      latest.current,
      place,
    );
    plot.current = made;
    const watcher = new ResizeObserver(() => made.setSize({ width: place.clientWidth, height: HEIGHT }));
    watcher.observe(place);
    return () => {
      watcher.disconnect();
      made.destroy();
      plot.current = null;
    };
  }, [colours]);
  useEffect(() => {
    plot.current?.setData(data);
  }, [data]);

  const n = Math.min(at.value ?? curve.ts.length - 1, curve.ts.length - 1);
  return (
    <figure class="owner-figure">
      <p class="owner-readout number" aria-hidden="true">
        {readout(curve, n)}
      </p>
      <div ref={box} class="owner-plot" role="img" aria-label={props.label} />
      <figcaption>
        <span class="owner-mark owner-mark-up" /> a window that was won · <span class="owner-mark owner-mark-down" />{" "}
        one that was lost · the ledger below has every figure
      </figcaption>
    </figure>
  );
}

function readout(curve: Curve, n: number): string {
  const ts = curve.ts[n];
  const cents = curve.cents[n];
  if (ts === undefined || cents === undefined) return "";
  const settled = curve.settled[n];
  const iso = new Date(ts).toISOString();
  const brought = settled === null || settled === undefined ? "" : `  settled ${money(settled, true)}`;
  return `${iso.slice(0, 10)} ${clockTime(iso)} UTC  ${money(cents)}${brought}`;
}

/** Seconds and dollars for drawing; the balance, and where it was won or lost. */
function columns(curve: Curve, untilMs: number): uPlot.AlignedData {
  const dollars: (number | null)[] = curve.cents.map((cents) => cents / 100);
  const where = (wanted: (cents: number) => boolean) =>
    curve.settled.map((cents, n) => (cents !== null && wanted(cents) ? (dollars[n] ?? null) : null));
  const times = curve.ts.map((ts) => ts / 1_000);
  const won = where((cents) => cents >= 0);
  const lost = where((cents) => cents < 0);
  const [last, then] = [dollars.at(-1), curve.ts.at(-1)];
  if (last !== undefined && then !== undefined && untilMs > then) {
    times.push(untilMs / 1_000);
    dollars.push(last);
    won.push(null);
    lost.push(null);
  }
  return [times, dollars, won, lost];
}

/** A tick of the time axis, UTC; `span` of all of them in seconds says how much has to be told. */
function timeWords(s: number, span: number): string {
  const iso = new Date(s * 1_000).toISOString();
  if (span < 600) return iso.slice(11, 19);
  return span < 129_600 ? iso.slice(11, 16) : `${iso.slice(5, 10)} ${iso.slice(11, 16)}`;
}

function options(width: number, show: (n: number | null) => void): uPlot.Options {
  const style = getComputedStyle(document.documentElement);
  const colour = (name: string) => style.getPropertyValue(`--${name}`).trim();
  const font = `11px ${colour("mono")}`;
  const axis: uPlot.Axis = {
    stroke: colour("faint"),
    font,
    grid: { stroke: colour("line"), width: 1 },
    ticks: { show: false },
  };
  const mark = (stroke: string, fill: string): uPlot.Series => ({
    paths: () => null,
    points: { show: true, size: 7, width: 1.5, stroke, fill },
  });
  return {
    width,
    height: HEIGHT,
    padding: [null, 26, null, null],
    tzDate: (s) => uPlot.tzDate(new Date(s * 1_000), "Etc/UTC"),
    legend: { show: false },
    cursor: { drag: { x: false, y: false }, points: { show: false } },
    scales: {
      y: {
        range: (_plot, low, high) => {
          const room = Math.max((high - low) * 0.12, 0.5);
          return [low - room, high + room];
        },
      },
    },
    axes: [
      {
        ...axis,
        space: 84,
        size: 30,
        values: (_plot, ticks) => {
          const span = (ticks.at(-1) ?? 0) - (ticks[0] ?? 0);
          return ticks.map((s) => timeWords(s, span));
        },
      },
      {
        ...axis,
        size: 86,
        values: (_plot, ticks) => ticks.map((dollars) => money(Math.round(dollars * 100))),
      },
    ],
    series: [
      {},
      {
        stroke: colour("link"),
        width: 1.75,
        paths: uPlot.paths.stepped?.({ align: 1 }),
        points: { show: false },
      },
      mark(colour("up"), colour("up")),
      mark(colour("down"), colour("panel")),
    ],
    hooks: {
      setCursor: [(plot) => show(plot.cursor.idx ?? null)],
    },
  };
}
