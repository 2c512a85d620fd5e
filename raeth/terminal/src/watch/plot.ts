/**
 * The chart: two panes of uPlot on canvas with one time axis, the price against the strike above and what the market
 * gives YES against the fair value beneath. Knows nothing of where its numbers come from; draws when it is told to.
 */

import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { clockTime, money } from "../venue/format";
import type { Outcome } from "../venue/wire";
import { type Columns, type Frame, firstAt, type Mark, type Range, type Spot, timeTicks } from "./chart-model";
import { disc, line, tokens } from "./paint";

export interface Dot {
  ts: number;
  price: number;
  up: boolean;
}

export interface Scene {
  now: number;
  time: Range;
  price: Range | null;
  spots: readonly Spot[];
  frames: readonly Frame[];
  marks: readonly Mark[];
  dots: readonly Dot[];
  /** From when there has been no price; null: there is one. */
  silentSince: number | null;
  silentWord: string;
}

const AXIS_W = 82;
const GLYPH: Record<Outcome, string> = { YES: "▲", NO: "▼", VOID: "∅" };
const NO_DATA: uPlot.AlignedData = [
  [0, 1],
  [null, null],
];

export class Plot {
  readonly #upper: uPlot;
  readonly #lower: uPlot;
  readonly #hosts: readonly [HTMLElement, HTMLElement];
  readonly #observer: ResizeObserver;
  #colours = tokens();
  #scene: Scene | null = null;
  #onHover: (ts: number | null) => void;

  constructor(upper: HTMLElement, lower: HTMLElement, onHover: (ts: number | null) => void) {
    this.#hosts = [upper, lower];
    this.#onHover = onHover;
    this.#upper = new uPlot(this.#priceOptions(upper), NO_DATA, upper);
    this.#lower = new uPlot(this.#chanceOptions(lower), [[0, 1], ...Array(4).fill([null, null])] as never, lower);
    this.#observer = new ResizeObserver(() => this.#fit());
    this.#observer.observe(upper);
    this.#observer.observe(lower);
  }

  destroy(): void {
    this.#observer.disconnect();
    this.#upper.destroy();
    this.#lower.destroy();
  }

  /** Width of the drawing in device pixels. */
  get width(): number {
    return this.#upper.bbox.width;
  }

  recolour(): void {
    this.#colours = tokens();
    this.#upper.redraw(true, true);
    this.#lower.redraw(true, true);
  }

  setData(prices: [number[], (number | null)[]], said: Columns): void {
    this.#upper.setData(prices[0].length > 1 ? prices : NO_DATA, false);
    this.#lower.setData(said[0].length > 1 ? said : ([[0, 1], ...Array(4).fill([null, null])] as never), false);
  }

  draw(scene: Scene): void {
    this.#scene = scene;
    const { time, price } = scene;
    this.#upper.batch(() => {
      this.#upper.setScale("x", time);
      if (price) this.#upper.setScale("y", price);
    });
    this.#lower.setScale("x", time);
  }

  #fit(): void {
    const [upper, lower] = this.#hosts;
    for (const [plot, host] of [
      [this.#upper, upper],
      [this.#lower, lower],
    ] as const) {
      const { clientWidth: width, clientHeight: height } = host;
      if (width && height && (plot.width !== width || plot.height !== height)) plot.setSize({ width, height });
    }
  }

  #shared(host: HTMLElement): Pick<uPlot.Options, "width" | "height" | "legend" | "cursor"> {
    return {
      width: Math.max(host.clientWidth, 50),
      height: Math.max(host.clientHeight, 50),
      legend: { show: false },
      cursor: { y: false, drag: { x: false, y: false }, points: { show: false }, sync: { key: "watch" } },
    };
  }

  #xAxis(show: boolean): uPlot.Axis {
    return {
      side: 2,
      size: show ? 24 : 0,
      gap: show ? 4 : 0,
      stroke: () => this.#colours.faint,
      font: `11px ${this.#colours.sans}`,
      ticks: { show: false },
      grid: { stroke: () => this.#colours.line, width: 1 },
      splits: (plot) => {
        const range = this.#scene?.time ?? { min: 0, max: 1 };
        const width = plot.width - AXIS_W;
        const edge = range.min + ((range.max - range.min) * 26) / Math.max(width, 52); // no clipped words
        return timeTicks(range, width, 84).filter((at) => at >= edge);
      },
      values: (_, splits) => splits.map((at) => (show ? clockTime(at).slice(0, at % 60_000 ? 8 : 5) : "")),
    };
  }

  #priceOptions(host: HTMLElement): uPlot.Options {
    return {
      ...this.#shared(host),
      padding: [20, 0, 0, 0],
      scales: { x: { time: false }, y: { auto: false, range: (_, min, max) => [min ?? 0, max ?? 1] } },
      series: [
        {},
        {
          stroke: () => this.#colours.text,
          width: 1.6,
          points: { show: false },
          spanGaps: false,
        },
      ],
      axes: [
        this.#xAxis(false),
        {
          side: 1,
          size: AXIS_W,
          gap: 6,
          stroke: () => this.#colours.faint,
          font: `11px ${this.#colours.mono}`,
          space: 38,
          incrs: [50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000],
          ticks: { show: false },
          grid: { stroke: () => this.#colours.line, width: 1 },
          values: (_, splits) => splits.map((cents) => (this.#scene?.price ? money(Math.round(cents)) : "")),
        },
      ],
      hooks: {
        drawClear: [(plot) => this.#drawBelow(plot)],
        draw: [(plot) => this.#drawAbove(plot)],
        setCursor: [
          (plot) => {
            const { left } = plot.cursor;
            this.#onHover(left === undefined || left === null || left < 0 ? null : plot.posToVal(left, "x"));
          },
        ],
      },
    };
  }

  #chanceOptions(host: HTMLElement): uPlot.Options {
    return {
      ...this.#shared(host),
      padding: [8, 0, 0, 0],
      scales: { x: { time: false }, y: { auto: false, range: () => [0, 100] } },
      series: [
        {},
        { stroke: () => this.#colours.fair, width: 1.6, points: { show: false }, spanGaps: false },
        { stroke: () => "transparent", width: 0, points: { show: false }, spanGaps: false },
        { stroke: () => "transparent", width: 0, points: { show: false }, spanGaps: false },
        {
          stroke: () => this.#colours.link,
          width: 1.4,
          points: { show: false },
          spanGaps: false,
          paths: uPlot.paths.stepped?.({ align: 1 }),
        },
      ],
      bands: [{ series: [3, 2], fill: () => `color-mix(in srgb, ${this.#colours.link} 18%, transparent)` }],
      axes: [
        this.#xAxis(true),
        {
          side: 1,
          size: AXIS_W,
          gap: 6,
          stroke: () => this.#colours.faint,
          font: `11px ${this.#colours.mono}`,
          ticks: { show: false },
          grid: { stroke: () => this.#colours.line, width: 1 },
          splits: () => [0, 25, 50, 75, 100],
          values: (_, splits) => splits.map((value) => (value % 50 ? "" : `${value} %`)),
        },
      ],
      hooks: { draw: [(plot) => this.#drawChance(plot)] },
    };
  }

  /** Under the lines: which side of the strike the price has been on, and where there was no price. */
  #drawBelow(plot: uPlot): void {
    const scene = this.#scene;
    if (!scene) return;
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    this.#shade(plot, scene);
    this.#silence(plot, scene);
    ctx.restore();
  }

  #shade(plot: uPlot, scene: Scene): void {
    const { ctx, bbox } = plot;
    const { spots, time } = scene;
    const scale = bbox.width / (time.max - time.min);
    const x = (at: number) => bbox.left + (at - time.min) * scale;
    for (const { open, close, strike, live } of scene.frames) {
      if (strike === null || close <= time.min || open >= time.max) continue;
      const level = plot.valToPos(strike, "y", true);
      const end = Math.min(close, scene.silentSince ?? scene.now);
      const path = new Path2D();
      let from = Math.max(open, time.min);
      let i = Math.max(0, firstAt(spots, from) - 1);
      from = Math.max(from, spots[i]?.ts ?? from);
      if (from >= end) continue;
      path.moveTo(x(from), level);
      let [left, y] = [Number.NEGATIVE_INFINITY, level];
      for (; i < spots.length; i++) {
        const spot = spots[i];
        if (!spot || spot.ts > end) break;
        const here = Math.max(x(spot.ts), x(from));
        y = plot.valToPos(spot.price_cents, "y", true);
        if (here - left < 1) continue;
        path.lineTo(here, y);
        left = here;
      }
      path.lineTo(x(end), y);
      path.lineTo(x(end), level);
      path.closePath();
      for (const above of [true, false]) {
        ctx.save();
        ctx.globalAlpha = live ? 1 : 0.45;
        ctx.beginPath();
        if (above) ctx.rect(bbox.left, bbox.top, bbox.width, level - bbox.top);
        else ctx.rect(bbox.left, level, bbox.width, bbox.top + bbox.height - level);
        ctx.clip();
        ctx.fillStyle = this.#colours[above ? "up-ground" : "down-ground"];
        ctx.fill(path);
        ctx.restore();
      }
    }
  }

  #silence(plot: uPlot, scene: Scene): void {
    if (scene.silentSince === null) return;
    const { ctx, bbox } = plot;
    const ratio = uPlot.pxRatio;
    const from = Math.max(bbox.left, plot.valToPos(scene.silentSince, "x", true));
    const to = plot.valToPos(scene.now, "x", true);
    if (to <= from) return;
    ctx.fillStyle = this.#colours.raised;
    ctx.fillRect(from, bbox.top, to - from, bbox.height);
    ctx.strokeStyle = this.#colours["line-strong"];
    ctx.lineWidth = ratio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(from, bbox.top, to - from, bbox.height);
    ctx.clip();
    ctx.beginPath();
    for (let at = from - bbox.height; at < to; at += 9 * ratio) {
      ctx.moveTo(at, bbox.top + bbox.height);
      ctx.lineTo(at + bbox.height, bbox.top);
    }
    ctx.globalAlpha = 0.5;
    ctx.stroke();
    ctx.restore();
  }

  /** Why there is no line where one would look for it. */
  #word(plot: uPlot, text: string, at: number): void {
    const { ctx, bbox } = plot;
    const ratio = uPlot.pxRatio;
    ctx.font = `600 ${12 * ratio}px ${this.#colours.sans}`;
    const width = ctx.measureText(text).width + 16 * ratio;
    const middle = Math.min(Math.max(at, bbox.left + width / 2), bbox.left + bbox.width - width / 2);
    const top = bbox.top + bbox.height / 2;
    ctx.fillStyle = this.#colours.panel;
    ctx.strokeStyle = this.#colours["line-strong"];
    ctx.lineWidth = ratio;
    ctx.beginPath();
    ctx.roundRect(middle - width / 2, top - 12 * ratio, width, 24 * ratio, 5 * ratio);
    ctx.fill();
    ctx.stroke();
    ctx.fillStyle = this.#colours.text;
    ctx.textAlign = "center";
    ctx.textBaseline = "middle";
    ctx.fillText(text, middle, top);
  }

  /** Over the lines: strikes, boundaries, now, and what they are worth on the axis. */
  #drawAbove(plot: uPlot): void {
    const scene = this.#scene;
    if (!scene) return;
    const { ctx, bbox } = plot;
    const ratio = uPlot.pxRatio;
    const c = this.#colours;
    const right = bbox.left + bbox.width;
    const x = (at: number) => plot.valToPos(at, "x", true);
    const y = (cents: number) => plot.valToPos(cents, "y", true);
    ctx.save();
    this.#boundaries(plot, scene, true);

    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    let liveStrike: number | null = null;
    for (const { open, close, strike, live } of scene.frames) {
      if (strike === null || close <= scene.time.min || open >= scene.time.max) continue;
      if (live) liveStrike = strike;
      ctx.globalAlpha = live ? 1 : 0.4;
      ctx.strokeStyle = c.strike;
      ctx.lineWidth = (live ? 1.5 : 1) * ratio;
      ctx.setLineDash([6 * ratio, 4 * ratio]);
      line(ctx, Math.max(bbox.left, x(open)), y(strike), live ? right : Math.min(right, x(close)), y(strike));
    }
    ctx.globalAlpha = 1;
    if (liveStrike !== null) {
      const above = (scene.spots.at(-1)?.price_cents ?? 0) < liveStrike;
      ctx.font = `${11 * ratio}px ${c.sans}`;
      ctx.fillStyle = c.strike;
      ctx.textAlign = "right";
      ctx.textBaseline = above ? "bottom" : "top";
      ctx.fillText("strike", right - 6 * ratio, y(liveStrike) + (above ? -3 : 4) * ratio);
    }
    const last = scene.spots.at(-1);
    const here = Math.round(x(scene.now)) + 0.5;
    ctx.strokeStyle = c["line-strong"];
    ctx.lineWidth = ratio;
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    line(ctx, here, bbox.top, here, bbox.top + bbox.height);
    ctx.setLineDash([]);
    const colour =
      last && liveStrike !== null && last.price_cents !== liveStrike
        ? last.price_cents > liveStrike
          ? c.up
          : c.down
        : c.text;
    if (last && scene.silentSince === null) {
      ctx.strokeStyle = c.text;
      ctx.lineWidth = 1.6 * ratio;
      line(ctx, x(last.ts), y(last.price_cents), here, y(last.price_cents));
      disc(ctx, here, y(last.price_cents), 7 * ratio, colour, 0.25);
      disc(ctx, here, y(last.price_cents), 3.5 * ratio, colour, 1);
    }
    ctx.restore();
    if (scene.silentSince !== null) {
      this.#word(plot, scene.silentWord, (Math.max(bbox.left, x(scene.silentSince)) + here) / 2);
    } else if (!last) {
      this.#word(plot, "waiting for the price …", bbox.left + bbox.width / 2);
    }

    // Two figures on the axis must not lie over each other.
    const high = 18 * ratio;
    const hold = (at: number) => Math.min(Math.max(at, bbox.top + high / 2), bbox.top + bbox.height - high / 2);
    let strikeAt = liveStrike === null ? null : hold(y(liveStrike));
    const priceAt = last ? hold(y(last.price_cents)) : null;
    if (strikeAt !== null && priceAt !== null && Math.abs(strikeAt - priceAt) < high) {
      const under = (last?.price_cents ?? 0) >= (liveStrike ?? 0);
      strikeAt = priceAt + (under ? high : -high);
      if (strikeAt > bbox.top + bbox.height - high / 2) strikeAt = priceAt - high;
      if (strikeAt < bbox.top + high / 2) strikeAt = priceAt + high;
    }
    if (liveStrike !== null && strikeAt !== null) this.#figure(plot, strikeAt, money(liveStrike), c.strike, false);
    if (last && priceAt !== null) {
      this.#figure(plot, priceAt, money(last.price_cents), scene.silentSince === null ? colour : c.faint, true);
    }
    ctx.restore();
  }

  #figure(plot: uPlot, at: number, text: string, colour: string, solid: boolean): void {
    const { ctx, bbox } = plot;
    const ratio = uPlot.pxRatio;
    const left = bbox.left + bbox.width + 2 * ratio;
    const [width, height] = [(AXIS_W - 4) * ratio, 18 * ratio];
    ctx.fillStyle = solid ? colour : this.#colours.panel;
    ctx.beginPath();
    ctx.roundRect(left, at - height / 2, width, height, 4 * ratio);
    ctx.fill();
    if (!solid) {
      ctx.strokeStyle = colour;
      ctx.lineWidth = ratio;
      ctx.stroke();
    }
    ctx.fillStyle = solid ? this.#colours.panel : colour;
    ctx.font = `600 ${11 * ratio}px ${this.#colours.mono}`;
    ctx.textAlign = "left";
    ctx.textBaseline = "middle";
    ctx.fillText(text, left + 4 * ratio, at + 0.5 * ratio, width - 6 * ratio);
  }

  #boundaries(plot: uPlot, scene: Scene, words: boolean): void {
    const { ctx, bbox } = plot;
    const ratio = uPlot.pxRatio;
    const c = this.#colours;
    const scale = bbox.width / (scene.time.max - scene.time.min);
    const narrow = 60_000 * scale < 70 * ratio;
    ctx.font = `600 ${11 * ratio}px ${c.sans}`;
    ctx.textAlign = "center";
    ctx.textBaseline = "bottom";
    for (const { at, outcome, kind } of scene.marks) {
      const here = Math.round(bbox.left + (at - scene.time.min) * scale) + 0.5;
      const colour = outcome === "YES" ? c.up : outcome === "NO" ? c.down : kind === "ahead" ? c.strike : c.faint;
      ctx.strokeStyle = colour;
      ctx.globalAlpha = kind === "ahead" ? 0.9 : 0.5;
      ctx.lineWidth = ratio;
      ctx.setLineDash(kind === "ahead" ? [] : [3 * ratio, 3 * ratio]);
      line(ctx, here, bbox.top, here, bbox.top + bbox.height);
      ctx.globalAlpha = 1;
      ctx.setLineDash([]);
      if (!words) continue;
      const text =
        kind === "ahead"
          ? narrow
            ? "close"
            : `closes ${clockTime(at).slice(0, 5)}`
          : outcome
            ? narrow
              ? GLYPH[outcome]
              : `${GLYPH[outcome]} ${outcome}`
            : narrow
              ? "…"
              : "settling …";
      const half = ctx.measureText(text).width / 2;
      const edge = bbox.left + bbox.width - half;
      if (here - half < bbox.left) continue;
      ctx.fillStyle = colour;
      ctx.fillText(text, Math.min(here, edge), bbox.top - 4 * ratio);
    }
  }

  #drawChance(plot: uPlot): void {
    const scene = this.#scene;
    if (!scene) return;
    const { ctx, bbox } = plot;
    const ratio = uPlot.pxRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    this.#silence(plot, scene);
    this.#boundaries(plot, scene, false);
    const size = 3 * ratio;
    for (const { ts, price, up } of scene.dots) {
      if (ts < scene.time.min) continue;
      const [x, y] = [plot.valToPos(ts, "x", true), plot.valToPos(price, "y", true)];
      ctx.fillStyle = up ? this.#colours.up : this.#colours.down;
      ctx.beginPath();
      ctx.moveTo(x - size, y + (up ? size : -size));
      ctx.lineTo(x + size, y + (up ? size : -size));
      ctx.lineTo(x, y + (up ? -size : size));
      ctx.closePath();
      ctx.fill();
    }
    const here = Math.round(plot.valToPos(scene.now, "x", true)) + 0.5;
    ctx.strokeStyle = this.#colours["line-strong"];
    ctx.lineWidth = ratio;
    ctx.setLineDash([2 * ratio, 3 * ratio]);
    line(ctx, here, bbox.top, here, bbox.top + bbox.height);
    ctx.restore();
  }
}
