import { expect, test } from "vitest";
import { VenueClock } from "./clock";

test("the least delayed stamp counts", () => {
  const clock = new VenueClock();
  clock.heard(10_000, 1_080); // 80 ms under way
  clock.heard(10_500, 1_505); // 5 ms
  clock.heard(11_000, 2_200); // 200 ms
  expect(clock.now(3_000)).toBeCloseTo(11_995, 6);
});

test("a recording that runs ten times as fast", () => {
  const clock = new VenueClock();
  for (let s = 0; s <= 12; s++) clock.heard(50_000 + s * 10_000, s * 1_000);
  expect(clock.rate).toBeCloseTo(10, 6);
  expect(clock.now(13_000)).toBeCloseTo(180_000, 3);
});
