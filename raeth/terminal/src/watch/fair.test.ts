import { expect, test } from "vitest";
import { fairValue, normal, percentOfYear, perSqrtSecond, Volatility } from "./fair";

test.each([
  [9536209, 9536908, 6721, 1.25e-4, 41.05298340312587],
  [9501486, 9501486, 30000, 1e-4, 50],
  [9510000, 9500000, 60000, 1e-4, 91.28041345004426],
  [9490000, 9500000, 5000, 8e-5, 0],
  [9500001, 9500000, 1, 1e-4, 51.327719218964226],
  [9500100, 9500000, 0, 1e-4, 100],
  [9499900, 9500000, -5, 1e-4, 0],
  [9500000, 9500000, 0, 1e-4, 50],
  [9507000, 9500000, 45000, 1.3e-4, 80.08403871127216],
])("the venue's rule at %d over %d with %d ms left", (price, strike, left, sigma, cents) => {
  expect(fairValue(price, strike, left, sigma)).toBeCloseTo(cents, 4);
});

/** `[price, strike, ms left, annual_bps, fair_value_cents]` as the venue's agent-context told them. */
test.each([
  [9529169, 9529634, 547, 5856, 26],
  [9527171, 9528756, 56331, 5690, 41],
  [9529491, 9528756, 52110, 5829, 54],
  [9528159, 9528756, 47896, 5798, 47],
  [9530764, 9528756, 43645, 5885, 62],
  [9535834, 9528756, 39367, 6145, 86],
])("what the venue says at %d over %d", (price, strike, left, bps, cents) => {
  expect(Math.abs(fairValue(price, strike, left, perSqrtSecond(bps)) - cents)).toBeLessThan(0.75);
});

test("YES and NO are worth a dollar together, and YES more as the price rises", () => {
  let before = -1;
  for (let x = -6; x <= 6; x += 0.25) {
    expect(normal(x) + normal(-x)).toBeCloseTo(1, 7);
    expect(normal(x)).toBeGreaterThan(before);
    before = normal(x);
  }
});

test("volatility of a recorded minute, as the venue estimates it", () => {
  const ticks: [number, number][] = [
    [1000600, 9500034],
    [1000850, 9500287],
    [1001101, 9500916],
    [1001351, 9500537],
    [1001601, 9500598],
    [1002901, 9500402],
    [1004201, 9500815],
    [1004451, 9501290],
    [1004702, 9500616],
    [1004953, 9500751],
    [1005553, 9500423],
    [1006853, 9500049],
    [1007103, 9499633],
    [1008403, 9499192],
    [1008654, 9498495],
    [1008904, 9498223],
    [1009155, 9497862],
    [1009406, 9497754],
    [1010006, 9497461],
    [1010257, 9497133],
    [1010508, 9497217],
    [1011108, 9496561],
    [1011708, 9496710],
    [1011959, 9496308],
    [1012559, 9495741],
    [1013159, 9495658],
    [1013409, 9496178],
    [1014009, 9495613],
    [1014609, 9495640],
    [1015209, 9495924],
  ];
  const volatility = new Volatility();
  ticks.slice(0, 6).forEach(([ts, price]) => {
    volatility.observe(ts, price);
  });
  expect(volatility.perSqrtS).toBeNull();
  ticks.slice(6).forEach(([ts, price]) => {
    volatility.observe(ts, price);
  });
  expect(volatility.perSqrtS).toBeCloseTo(5.951093431484823e-5, 12);
});

test("a year's volatility there and back", () => {
  expect(percentOfYear(perSqrtSecond(7015))).toBeCloseTo(70.15, 8);
});
