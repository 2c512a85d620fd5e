/** One id for one intent: asked again after a lost answer, the venue tells the first result and does nothing twice. */

/** 22 characters of 128 random bits. Also where the page came over plain HTTP, without `crypto.randomUUID`. */
export function newId(): string {
  const letters = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_";
  return Array.from(crypto.getRandomValues(new Uint8Array(22)), (byte) => letters[byte & 63]).join("");
}

export class Once {
  #intent: string | null = null;
  #id = "";
  readonly #make: () => string;

  constructor(make: () => string = newId) {
    this.#make = make;
  }

  /** The same id for the same words until `settled`; another intent is another id. */
  idFor(...intent: (string | number)[]): string {
    const words = JSON.stringify(intent);
    if (words !== this.#intent) {
      this.#intent = words;
      this.#id = this.#make();
    }
    return this.#id;
  }

  /** The venue has answered: the next time is meant to be done anew. */
  settled(): void {
    this.#intent = null;
  }
}
