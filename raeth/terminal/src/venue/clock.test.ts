import { expect, test } from "vitest";
import { VenueClock } from "./clock";

test("the least delayed stamp counts", () => {
  const clock = new VenueClock();
  clock.heard(10_000, 1_080, 1_080); // 80 ms under way
  clock.heard(10_600, 1_605, 1_605); // 5 ms
  clock.heard(11_200, 2_400, 2_400); // 200 ms
  expect(clock.now(3_000)).toBeCloseTo(11_995, 6);
});

test("a recording that runs ten times as fast, whose price moves four times a second and more", () => {
  const clock = new VenueClock();
  for (let ms = 0; ms <= 12_000; ms += 50) clock.heard(50_000 + ms * 10, ms, ms);
  expect(clock.rate).toBeCloseTo(10, 6);
  expect(clock.now(13_000)).toBeCloseTo(180_000, 3);
});

test("a few that are seconds late change neither the time nor how fast it goes", () => {
  const clock = new VenueClock();
  for (let n = 0; n < 40; n++) {
    const late = n % 9 === 8 ? 3_000 : (n * 37) % 50;
    clock.heard(n * 1_000, n * 1_000 + 100 + late, n * 1_000 + 100 + late);
    expect(clock.rate).toBe(1);
  }
  expect(Math.abs(clock.now(41_100) - 41_000)).toBeLessThan(50);
});

test("a machine that slept, with a clock that slept too, is right with the next stamp", () => {
  const clock = new VenueClock();
  for (let n = 0; n < 30; n++) clock.heard(n * 1_000, n * 1_000, n * 1_000);
  const slept = 3_600_000;
  for (let n = 30; n < 60; n++) {
    clock.heard(n * 1_000 + slept, n * 1_000, n * 1_000 + slept);
    expect(clock.rate).toBe(1);
    expect(clock.now(n * 1_000)).toBeCloseTo(n * 1_000 + slept, 3);
  }
});

test("a day does not make it drift", () => {
  const clock = new VenueClock();
  // This machine's clock runs 80 millionths too fast: seven seconds a day.
  for (let ms = 0; ms < 86_400_000; ms += 5_000) clock.heard(ms, ms * 1.00008 + 20, ms * 1.00008 + 20);
  expect(Math.abs(clock.now(86_400_000 * 1.00008) - 86_400_000)).toBeLessThan(60);
});
