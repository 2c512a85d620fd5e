import { expect, test } from "vitest";
import { faultsOf, said, unsure } from "./failure";
import { VenueError } from "./http";

const failure = (code: string, details?: unknown) => ({
  code,
  message: "As the venue says.",
  request_id: "r1",
  details,
});

test("the page's own words win, then the general ones, then the venue's", () => {
  const frozen = new VenueError(503, failure("EXCHANGE_FROZEN"), "");
  expect(said(frozen, { EXCHANGE_FROZEN: "Not now." })).toEqual({
    text: "Not now.",
    code: "EXCHANGE_FROZEN",
    requestId: "r1",
  });
  expect(said(frozen).text).toMatch(/frozen/);
  expect(said(new VenueError(409, failure("MARKET_FINAL"), "")).text).toBe("As the venue says.");
});

test("faults of fields are told, malformed ones are not", () => {
  const error = new VenueError(
    422,
    failure("VALIDATION_FAILED", [{ field: "name", message: "too short", type: "x" }, null, { field: 3 }]),
    "",
  );
  expect([...faultsOf(error)]).toEqual([["name", "too short"]]);
  expect(said(error).text).toContain("name: too short");
});

test("how long to wait is said", () => {
  expect(said(new VenueError(429, failure("RATE_LIMITED"), "", 12)).text).toMatch(/12 s/);
});

test("only a lost answer leaves open what became of it", () => {
  expect(unsure(new VenueError(0, null, "no answer"))).toBe(true);
  expect(unsure(new VenueError(500, failure("INTERNAL_ERROR"), ""))).toBe(true);
  expect(unsure(new VenueError(503, failure("EXCHANGE_FROZEN"), ""))).toBe(false);
  expect(said(new TypeError("x")).code).toBeNull();
});
