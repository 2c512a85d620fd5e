/**
 * Venue time in the browser. The venue stamps what it sends; the least delayed of recent stamps tells how far its clock
 * is from this machine's, and, where recorded time runs faster, how fast it goes. Nothing is asked of the venue for it.
 */

const SAMPLES = 24;
/** Only over so long a span is a rate believed. */
const RATE_SPAN_MS = 8_000;

interface Sample {
  at: number;
  venue: number;
}

export class VenueClock {
  #samples: Sample[] = [];
  #rate = 1;
  #anchor: Sample | null = null;

  /** A stamp of the venue arrived at `at`, milliseconds of `performance.now()`. */
  heard(ts: string | number, at: number = performance.now()): void {
    const venue = typeof ts === "number" ? ts : Date.parse(ts);
    if (!Number.isFinite(venue)) return;
    const last = this.#samples.at(-1);
    if (last && at - last.at < 250) return;
    this.#samples.push({ at, venue });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    this.#measure();
  }

  /** After a break of the connection: this machine may have slept, and its clock with it. */
  reset(): void {
    this.#samples = [];
  }

  /** Venue time, epoch milliseconds; this machine's time until the venue has said anything. */
  now(at: number = performance.now()): number {
    return this.#anchor ? this.#anchor.venue + (at - this.#anchor.at) * this.#rate : Date.now();
  }

  /** Venue milliseconds for each of this machine's: above one where a recording is replayed faster. */
  get rate(): number {
    return this.#rate;
  }

  #measure(): void {
    const first = this.#samples[0];
    const last = this.#samples.at(-1);
    if (!first || !last) return;
    const span = last.at - first.at;
    if (span >= RATE_SPAN_MS) {
      const rate = (last.venue - first.venue) / span;
      this.#rate = Math.abs(rate - 1) < 0.1 ? 1 : Math.max(0, rate);
    }
    // A stamp is late by what it took to arrive, never early: the one that is furthest ahead is the best.
    let best = last;
    for (const sample of this.#samples) {
      if (sample.venue - sample.at * this.#rate > best.venue - best.at * this.#rate) best = sample;
    }
    this.#anchor = best;
  }
}

/** The page's one clock. */
export const clock = new VenueClock();
