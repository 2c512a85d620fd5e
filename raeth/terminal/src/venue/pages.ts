/** A paged list, newest first, of which the page keeps the newest part and reads more on demand. */

import type { Page } from "./wire";

export interface Kept<T> {
  items: T[];
  /** Where the next older page begins; null: there is none, or no more is kept. */
  cursor: string | null;
}

/** The newest page was read again: what is new goes before what is known. After a gap only the newest page counts. */
export function withNewest<T>(known: Kept<T> | null, page: Page<T>, keyOf: (item: T) => string, most: number): Kept<T> {
  const first = known?.items[0];
  const at = first === undefined ? -1 : page.items.findIndex((item) => keyOf(item) === keyOf(first));
  if (!known || at < 0) return { items: page.items, cursor: page.next_cursor };
  if (at === 0) return known;
  return bounded({ items: [...page.items.slice(0, at), ...known.items], cursor: known.cursor }, most);
}

/** The next older page follows what is known. */
export function withOlder<T>(known: Kept<T>, page: Page<T>, most: number): Kept<T> {
  return bounded({ items: [...known.items, ...page.items], cursor: page.next_cursor }, most);
}

function bounded<T>(kept: Kept<T>, most: number): Kept<T> {
  return kept.items.length < most ? kept : { items: kept.items.slice(0, most), cursor: null };
}
