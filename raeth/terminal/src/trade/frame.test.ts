import { expect, test } from "vitest";
import { averagePrice, framed, framedBook, holding, otherWording, sideOf, windowName, wording } from "./frame";

test("buying NO at p is selling YES at 100 − p, for every price, and back again", () => {
  for (let p = 1; p <= 99; p++) {
    expect(sideOf("NO", "BUY")).toBe("SELL");
    expect(framed("NO", p)).toBe(100 - p);
    expect(framed("NO", framed("NO", p))).toBe(p);
    expect(framed("YES", p)).toBe(p);
  }
  for (const framing of ["YES", "NO"] as const)
    for (const side of ["BUY", "SELL"] as const) expect(sideOf(framing, sideOf(framing, side))).toBe(side);
});

test("both wordings", () => {
  expect(wording("NO", "BUY", 40)).toBe("Buy NO at 40¢");
  expect(otherWording("NO", "BUY", 40)).toBe("sell YES at 60¢");
  expect(wording("YES", "SELL", null, 1200)).toBe("Sell 1,200 YES at market");
  expect(otherWording("YES", "SELL", null)).toBe("buy NO at market");
});

test("seen from NO the book is turned and stays best first", () => {
  const book = framedBook("NO", {
    bids: [
      [48, 5, 1],
      [47, 9, 2],
    ],
    asks: [
      [50, 3, 1],
      [55, 1, 1],
    ],
  });
  expect(book.bids.map(([price]) => price)).toEqual([50, 45]);
  expect(book.asks.map(([price]) => price)).toEqual([52, 53]);
  expect(book.asks[0]?.[1]).toBe(5);
});

test("small words", () => {
  expect([holding(0), holding(7), holding(-1500)]).toEqual(["flat", "7 YES", "1,500 NO"]);
  expect(averagePrice("YES", 216, 4)).toBe("54¢");
  expect(averagePrice("NO", 163, 3)).toBe("45.7¢");
  expect(averagePrice("YES", 0, 0)).toBe("–");
  expect(windowName("BTC-1M-20261120T1031Z")).toBe("10:31");
  expect(windowName(null)).toBe("–");
});
