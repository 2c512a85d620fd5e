import { expect, test } from "vitest";
import type { RejectDetails } from "../venue/wire";
import { repairs } from "./repair";
import { changed, check, FRESH, type Ticket } from "./ticket";

const ticket: Ticket = { ...FRESH, price: "50", qty: "500" };
const no: RejectDetails = { retryable: false };

function labels(code: string, details: Partial<RejectDetails>, of = ticket): string[] {
  return repairs(code, { ...no, ...details }, of).map((each) => each.label);
}

test("post-only: the best price that would rest, in the contract that was chosen", () => {
  expect(labels("POST_ONLY_WOULD_CROSS", { best_non_crossing_price: 48 })[0]).toBe("Use 48¢");
  const turned = { ...ticket, framing: "NO" as const };
  const [use] = repairs("POST_ONLY_WOULD_CROSS", { ...no, best_non_crossing_price: 48 }, turned);
  expect(use).toMatchObject({ label: "Use 52¢", change: { price: "52" } });
  if (use?.kind !== "change") throw new Error("no change");
  const body = check(changed(turned, use.change), { id: "m", geometry: { price_min: 1, price_max: 99 } } as never).body;
  expect(body?.price).toBe(48);
});

test("too much: the quantity that would pass, and cash where that is what lacks", () => {
  expect(labels("INSUFFICIENT_MARGIN", { max_qty: 120 })).toEqual(["Reduce to 120", "Claim test cash"]);
  expect(labels("INSUFFICIENT_MARGIN", { max_qty: 0 })).toEqual(["Claim test cash"]);
  expect(labels("POSITION_CAP", { max_qty: 7 })[0]).toBe("Reduce to 7");
  expect(labels("FOK_NOT_FILLABLE", { max_qty: 4 })).toEqual(["Reduce to 4", "Take what there is (IOC)"]);
  expect(labels("REDUCE_ONLY_VIOLATION", { max_qty: 0 })).toEqual(["Without reduce-only"]);
});

test("a fat finger can be confirmed only where the venue offers it", () => {
  expect(labels("FAT_FINGER", { max_qty: 2000, confirm_field: "confirm_fat_finger" })).toEqual([
    "Reduce to 2,000",
    "Confirm size",
  ]);
  expect(labels("FAT_FINGER", { max_qty: 2000 })).toEqual(["Reduce to 2,000"]);
  const far = { mark_price: 10, price_min: 1, price_max: 50, confirm_field: "confirm_fat_finger" };
  expect(labels("FAT_FINGER", far, { ...ticket, price: "80" })).toEqual(["Use 50¢", "Confirm price"]);
  expect(labels("FAT_FINGER", far, { ...ticket, framing: "NO", price: "20" })).toEqual(["Use 50¢", "Confirm price"]);
});

test("what time alone repairs is waited for", () => {
  expect(repairs("AGENT_SIDE_COOLDOWN", { ...no, retry_after_ms: 3200 }, ticket)).toEqual([
    { kind: "wait", label: "Wait", ms: 3200 },
  ]);
  expect(labels("NO_REFERENCE_PRICE", { retry_after_ms: 1000 })).toEqual(["Wait", "Use a limit order"]);
  expect(labels("MARKET_NOT_OPEN", { retry_after_ms: 20_000 })).toEqual(["Wait"]);
});

test("a price outside the band becomes the nearest inside", () => {
  expect(labels("PRICE_OUT_OF_RANGE", { price_min: 1, price_max: 99 }, { ...ticket, price: "120" })).toEqual([
    "Use 99¢",
  ]);
});

test("a code that nobody foresaw has no repair, and no failure", () => {
  expect(repairs("SOMETHING_NEW", null, ticket)).toEqual([]);
});
