/** What moves with the clock: one loop for the whole page, none while it is not seen, once a second where motion is unwanted. */

import { clock } from "../venue/clock";

type Step = (nowMs: number, atMs: number) => void;

const STEP_MS = 24;

const steps = new Set<Step>();
const calm = typeof matchMedia === "undefined" ? null : matchMedia("(prefers-reduced-motion: reduce)");
let frame = 0;
let timer: ReturnType<typeof setTimeout> | null = null;

export function wantsCalm(): boolean {
  return calm?.matches ?? false;
}

calm?.addEventListener("change", () => {
  stop();
  if (steps.size) go();
});

function run(at: number): void {
  const now = clock.now(at);
  for (const step of steps) step(now, at);
}

function go(): void {
  if (wantsCalm()) {
    // Just after each second of the venue begins, so that a countdown is never a second late.
    const rest = (1_000 - (clock.now() % 1_000)) / Math.max(clock.rate, 0.1);
    timer = setTimeout(
      () => {
        if (!document.hidden) run(performance.now());
        go();
      },
      Math.max(200, rest + 5),
    );
  } else {
    // What goes on a few pixels a second needs no more than this; frames in between are left to the book.
    timer = setTimeout(() => {
      frame = requestAnimationFrame((at) => {
        go();
        run(at);
      });
    }, STEP_MS);
  }
}

function stop(): void {
  cancelAnimationFrame(frame);
  if (timer) clearTimeout(timer);
  timer = null;
}

/** Call `step` with the venue's time and this machine's some thirty times a second, from now until what is returned is called. */
export function everyFrame(step: Step): () => void {
  if (steps.size === 0) go();
  steps.add(step);
  step(clock.now(), performance.now());
  return () => {
    steps.delete(step);
    if (steps.size === 0) stop();
  };
}

/** A bar's length, in steps of about half a pixel: the same text means that nothing is to be drawn. */
export function scaleX(part: number): string {
  return `scaleX(${Math.round(part * 300) / 300})`;
}
