import { expect, test } from "vitest";
import type { Level } from "../venue/wire";
import { costOf, framedSide, halves, ladder, twiceChance } from "./ladder-model";

const book: { bids: Level[]; asks: Level[] } = {
  bids: [
    [53, 40, 2],
    [52, 10, 1],
    [50, 7, 1],
  ],
  asks: [
    [56, 20, 1],
    [57, 5, 1],
  ],
};

test("the best prices meet in the middle and sizes add up outwards", () => {
  const now = ladder(book, "YES", 3);
  expect(now.asks).toEqual([null, { price: 57, qty: 5, total: 25 }, { price: 56, qty: 20, total: 20 }]);
  expect(now.bids).toEqual([
    { price: 53, qty: 40, total: 40 },
    { price: 52, qty: 10, total: 50 },
    { price: 50, qty: 7, total: 57 },
  ]);
  expect(now).toMatchObject({ most: 57, spread: 3, twiceMid: 109 });
});

test("in NO the sides change places and a price is what is left to 100", () => {
  const no = ladder(book, "NO", 3);
  expect(no.asks.map((row) => row?.price)).toEqual([50, 48, 47]);
  expect(no.bids.map((row) => row?.price)).toEqual([44, 43, undefined]);
  expect(no.spread).toBe(ladder(book, "YES", 3).spread);
  expect(no.twiceMid).toBe(200 - 109);
});

test("always as many rows as asked for, whatever the book holds", () => {
  for (let bids = 0; bids < 15; bids++) {
    for (let asks = 0; asks < 15; asks += 3) {
      const made = ladder(
        {
          bids: Array.from({ length: bids }, (_, i): Level => [40 - i, i + 1, 1]),
          asks: Array.from({ length: asks }, (_, i): Level => [50 + i, i + 1, 1]),
        },
        bids % 2 ? "YES" : "NO",
        10,
      );
      expect([made.asks.length, made.bids.length]).toEqual([10, 10]);
      expect(made.spread === null).toBe(bids === 0 || asks === 0);
    }
  }
});

test("what a contract costs, and the chance between", () => {
  expect([costOf("YES", 53, 56), costOf("NO", 53, 56)]).toEqual([56, 47]);
  expect([costOf("YES", 53, null), costOf("NO", null, 56)]).toEqual([null, null]);
  expect(twiceChance(53, 56)).toBe(109);
  expect([halves(109), halves(108), halves(null)]).toEqual(["54.5", "54.0", "–"]);
  expect([framedSide("BUY", "NO"), framedSide("SELL", "NO"), framedSide("SELL", "YES")]).toEqual([
    "SELL",
    "BUY",
    "SELL",
  ]);
});
