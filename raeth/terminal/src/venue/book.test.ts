import { expect, test } from "vitest";
import { Book } from "./book";

test("a delta carries the new total, and 0 removes the level", () => {
  const book = new Book();
  book.replace({
    market_id: "m",
    bids: [
      [40, 5, 1],
      [42, 7, 2],
    ],
    asks: [
      [45, 1, 1],
      [44, 2, 1],
    ],
  });
  book.change({
    market_id: "m",
    bids: [
      [42, 0, 0],
      [41, 9, 3],
    ],
    asks: [[44, 6, 2]],
  });
  expect(book.sorted()).toEqual({
    bids: [
      [41, 9, 3],
      [40, 5, 1],
    ],
    asks: [
      [44, 6, 2],
      [45, 1, 1],
    ],
  });
  book.replace({ market_id: "m", bids: [], asks: [] });
  expect(book.sorted()).toEqual({ bids: [], asks: [] });
});
