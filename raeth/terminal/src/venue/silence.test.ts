import { expect, test } from "vitest";
import { Silence } from "./silence";

test("nothing is asked while ticks come, and not more often than needed while they do not", () => {
  const silence = new Silence(0);
  const asked: number[] = [];
  for (let at = 0; at <= 10_000; at += 250) {
    if (at <= 5_000) silence.heard(at);
    if (silence.due(at)) asked.push(at);
  }
  expect(asked).toEqual([6_500, 8_000, 9_500]);
  silence.heard(10_000);
  expect(silence.due(11_000)).toBe(false);
});
