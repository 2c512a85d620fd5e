import { expect, test } from "vitest";
import { centsOf } from "./money";

test.each([
  ["12.34", 1234],
  ["12", 1200],
  ["12.5", 1250],
  ["12.", 1200],
  ["0.01", 1],
  ["007", 700],
  ["$1,234.56", 123456],
  [" 1,000,000 ", 100_000_000],
  ["1.10", 110],
  ["90071992547409.91", Number.MAX_SAFE_INTEGER],
])("%s dollars", (typed, cents) => {
  expect(centsOf(typed)).toEqual({ cents });
});

test.each([
  "",
  "1.234",
  "0",
  "0.00",
  "-5",
  "+5",
  "1e3",
  ".5",
  "1,23",
  "1,2345",
  "12,34,567",
  "1.2.3",
  "12 34",
  "0x10",
  "NaN",
  "٣",
  "90071992547409.92",
  "1".repeat(40),
])("%s is no amount", (typed) => {
  expect(centsOf(typed)).toHaveProperty("fault");
});

test("every amount of cents reads back as it was written", () => {
  for (let cents = 1; cents < 100_000_000; cents = cents * 3 + 7) {
    const written = `${Math.trunc(cents / 100)}.${String(cents % 100).padStart(2, "0")}`;
    expect(centsOf(written)).toEqual({ cents });
  }
});
