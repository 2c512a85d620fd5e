import { expect, test } from "vitest";
import { type Kept, withNewest, withOlder } from "./pages";

/** A list of numbers as the venue would page it, newest (highest) first. */
function page(list: number[], limit: number, before = Number.POSITIVE_INFINITY) {
  const rest = list.filter((each) => each < before).sort((a, b) => b - a);
  const items = rest.slice(0, limit);
  return { items, next_cursor: rest.length > limit ? String(items.at(-1)) : null };
}

test("whatever is added between two readings, the kept list is the head of the venue's, without holes or repeats", () => {
  let seed = 7;
  const random = (below: number) => {
    seed = (seed * 48271) % 2147483647;
    return seed % below;
  };
  const list: number[] = [];
  let kept: Kept<number> | null = null;
  for (let step = 0; step < 400; step++) {
    for (let n = random(9); n > 0; n--) list.push(list.length + 1);
    kept = withNewest(kept, page(list, 5), String, 60);
    if (random(2) && kept.cursor !== null) kept = withOlder(kept, page(list, 5, Number(kept.cursor)), 60);
    const all = [...list].reverse();
    expect(kept.items).toEqual(all.slice(0, kept.items.length));
    expect(kept.items.length).toBeLessThanOrEqual(60);
    if (kept.cursor === null) expect(kept.items.length).toBe(Math.min(60, all.length));
  }
});

test("nothing new is the same list", () => {
  const kept = withNewest(null, page([1, 2, 3], 2), String, 9);
  expect(withNewest(kept, page([1, 2, 3], 2), String, 9)).toBe(kept);
});
