/** The page people come to watch: Bitcoin against the strike, the book, the trades, who leads. Needs no sign-in. */

import { signal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { clock } from "../venue/clock";
import { old, watched } from "../venue/live";
import { Board } from "./board";
import { Chart } from "./chart";
import { Head } from "./head";
import { LadderPanel } from "./ladder";
import { costOf } from "./ladder-model";
import { Rail } from "./rail";
import { beginWatching, bestAsk, bestBid, spot } from "./state";
import { Tape } from "./tape";
import { spoken } from "./window";
import "./lists.css";
import "./watch.css"; // last: it has what differs on small screens

/** No more often than this is the page read out. */
const SPOKEN_EVERY_MS = 10_000;
const sentence = signal("");

function speak(): void {
  if (document.hidden) return;
  const [bid, ask] = [bestBid.peek(), bestAsk.peek()];
  sentence.value = old.peek()
    ? "What is shown is old; the connection is being tried again."
    : spoken(watched.peek(), spot.peek(), costOf("YES", bid, ask), costOf("NO", bid, ask), clock.now());
}

function Spoken(): JSX.Element {
  useEffect(() => {
    const timer = setInterval(speak, SPOKEN_EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <p class="hidden" aria-live="polite" data-watch="spoken">
      {sentence.value}
    </p>
  );
}

export default function Watch(): JSX.Element {
  useEffect(beginWatching, []);
  return (
    <div class={`watch ${old.value ? "watch-old" : ""}`}>
      <Spoken />
      <Head />
      <Chart />
      <Rail />
      <LadderPanel />
      <Tape />
      <Board />
    </div>
  );
}
