/**
 * What a window is worth, by the venue's own rule: Φ(ln(S/K) / (σ√τ)), the chance that a driftless log-normal price ends
 * above the strike, and the estimate of σ it uses. A guide for who looks; nothing is decided by it.
 */

/** Seconds of the year that `annual_bps` speaks of. */
const YEAR_S = 31_557_600;
/** Weight of the past in the moving average of squared one-second returns. */
const LAMBDA = 0.97;
/** Fewer one-second returns than this are no estimate. */
const MIN_RETURNS = 10;
const FLOOR_PER_SQRT_S = 1e-7;
/** A silence counts as at most this many seconds without movement. */
const LONGEST_GAP_S = 60;

/** The chance that a standard normal variable is below `x`; off by less than 1e-7 (Abramowitz and Stegun 26.2.17). */
export function normal(x: number): number {
  if (x < 0) return 1 - normal(-x);
  if (x > 40) return 1;
  const t = 1 / (1 + 0.2316419 * x);
  const tail = t * (0.31938153 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))));
  return 1 - (Math.exp((-x * x) / 2) / Math.sqrt(2 * Math.PI)) * tail;
}

/** Fair value of YES in cents, 0–100, a fraction. At the close the price alone decides; 50 if a tie is all there is. */
export function fairValue(priceCents: number, strikeCents: number, leftMs: number, perSqrtS: number): number {
  if (leftMs <= 0) return priceCents === strikeCents ? 50 : priceCents > strikeCents ? 100 : 0;
  return 100 * normal(Math.log(priceCents / strikeCents) / (perSqrtS * Math.sqrt(leftMs / 1000)));
}

/** `volatility.annual_bps` of the venue as σ: standard deviation of the log price over one second. */
export function perSqrtSecond(annualBps: number): number {
  return Math.max(annualBps / 10_000 / Math.sqrt(YEAR_S), FLOOR_PER_SQRT_S);
}

/** σ as a percentage of a year, for people. */
export function percentOfYear(perSqrtS: number): number {
  return perSqrtS * Math.sqrt(YEAR_S) * 100;
}

/** EWMA of squared one-second log returns, one tick at a time; the first `MIN_RETURNS` weigh alike. */
export class Volatility {
  #samples = 0;
  #second: number | null = null;
  #previous = 0;
  #last = 0;
  #past = 0;

  /** A tick older than the one before only corrects the price. */
  observe(tsMs: number, priceCents: number): void {
    const here = Math.floor(tsMs / 1000);
    if (this.#second === null) {
      this.#second = here;
      this.#last = priceCents;
      return;
    }
    for (let n = Math.min(here - this.#second, LONGEST_GAP_S); n > 0; n--) {
      this.#past = this.#withLast();
      this.#previous = this.#last;
      this.#samples += 1;
    }
    this.#second = Math.max(this.#second, here);
    this.#last = priceCents;
  }

  /** σ; null while there are too few returns. */
  get perSqrtS(): number | null {
    return this.#samples < MIN_RETURNS ? null : Math.max(Math.sqrt(this.#withLast()), FLOOR_PER_SQRT_S);
  }

  #withLast(): number {
    if (this.#samples === 0) return 0;
    const move = Math.log(this.#last / this.#previous);
    return this.#samples <= MIN_RETURNS
      ? this.#past + (move * move - this.#past) / this.#samples
      : LAMBDA * this.#past + (1 - LAMBDA) * move * move;
  }
}
