/**
 * A price that stops coming. The stream tells of ticks and of nothing else, so where none comes the venue is asked what
 * the price is worth: it goes from LIVE to STALE to DOWN without a word.
 */

/** Ticks come several times a second, and a price is LIVE for three seconds unless the venue is told otherwise. */
const EXPECTED_MS = 1_500;
const ASK_EVERY_MS = 1_500;

export class Silence {
  #heardAt: number;
  #askedAt = 0;

  constructor(at: number = performance.now()) {
    this.#heardAt = at;
  }

  heard(at: number = performance.now()): void {
    this.#heardAt = at;
  }

  /** Whether to ask now; if so, it counts as asked. */
  due(at: number = performance.now()): boolean {
    if (at - this.#heardAt < EXPECTED_MS || at - this.#askedAt < ASK_EVERY_MS) return false;
    this.#askedAt = at;
    return true;
  }
}
