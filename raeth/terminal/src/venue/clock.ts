/**
 * Venue time in the browser. The venue stamps what it sends; the least delayed of recent stamps tells how far its clock
 * is from this machine's, and, where recorded time runs faster, how fast it goes. Nothing is asked of the venue for it.
 */

/** Twelve seconds and more: long enough to hold a quick one, too short for two clocks to drift apart. */
const SAMPLES = 24;
const APART_MS = 500;
/** Only over so long a span is a rate believed. */
const RATE_SPAN_MS = 5_000;
/** The wall clock is ahead of the steady one by so much more than before: the steady one stood still, as in sleep. */
const SLEPT_MS = 2_000;

interface Sample {
  at: number;
  wall: number;
  venue: number;
}

export class VenueClock {
  #samples: Sample[] = [];
  #rate = 1;
  #anchor: Sample | null = null;

  /** A stamp of something that has just happened arrived at `at`, milliseconds of `performance.now()`. */
  heard(ts: string | number, at: number = performance.now(), wall: number = Date.now()): void {
    const last = this.#samples.at(-1);
    if (last) {
      if (wall - last.wall - (at - last.at) > SLEPT_MS) this.#samples = [];
      else if (at - last.at < APART_MS) return;
    }
    const venue = typeof ts === "number" ? ts : Date.parse(ts);
    if (!Number.isFinite(venue)) return;
    this.#samples.push({ at, wall, venue });
    if (this.#samples.length > SAMPLES) this.#samples.shift();
    this.#measure();
  }

  /** After a break of the connection: this machine may have slept, and the venue may be in another time. */
  reset(): void {
    this.#samples = [];
  }

  /** Venue time, epoch milliseconds; this machine's time until the venue has said anything. */
  now(at?: number): number {
    const anchor = this.#anchor;
    if (!anchor) return Date.now();
    let elapsed = (at ?? performance.now()) - anchor.at;
    if (at === undefined) {
      const byWall = Date.now() - anchor.wall;
      if (byWall - elapsed > SLEPT_MS) elapsed = byWall;
    }
    return anchor.venue + elapsed * this.#rate;
  }

  /** Venue milliseconds for each of this machine's: above one where a recording is replayed faster. */
  get rate(): number {
    return this.#rate;
  }

  #measure(): void {
    const samples = this.#samples;
    const first = samples[0];
    const last = samples.at(-1);
    if (!first || !last) return;
    if (last.at - first.at >= RATE_SPAN_MS) {
      const rate = medianRate(samples);
      this.#rate = Math.abs(rate - 1) < 0.1 ? 1 : Math.max(0, rate);
    }
    // A stamp is late by what it took to arrive, never early: the one that is furthest ahead is the best.
    let best = last;
    for (const sample of samples) {
      if (sample.venue - sample.at * this.#rate > best.venue - best.at * this.#rate) best = sample;
    }
    this.#anchor = best;
  }
}

/** The middle one of the rates between each sample and the one half the samples later: no single late one moves it. */
function medianRate(samples: readonly Sample[]): number {
  const half = samples.length >> 1;
  const rates: number[] = [];
  for (let n = 0; n + half < samples.length; n++) {
    const [a, b] = [samples[n], samples[n + half]];
    if (a && b && b.at > a.at) rates.push((b.venue - a.venue) / (b.at - a.at));
  }
  rates.sort((a, b) => a - b);
  return rates[rates.length >> 1] ?? 1;
}

/** The page's one clock. */
export const clock = new VenueClock();
