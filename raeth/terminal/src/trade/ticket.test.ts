import { expect, test } from "vitest";
import type { Market } from "../venue/wire";
import { rolled } from "./roll";
import { changed, check, FRESH, newClientId, stepped, type Ticket, toSend, turned, whole } from "./ticket";

const market = { id: "m", geometry: { price_min: 1, price_max: 99 } } as Market;
const filled: Ticket = { ...FRESH, price: "40", qty: "10" };

test("a limit order on the wire, in both framings", () => {
  expect(check(filled, market).body).toEqual({
    market_id: "m",
    side: "BUY",
    type: "LIMIT",
    tif: "GTC",
    price: 40,
    qty: 10,
  });
  expect(check({ ...filled, framing: "NO" }, market).body).toMatchObject({ side: "SELL", price: 60 });
  expect(check({ ...filled, framing: "NO", action: "SELL" }, market).body).toMatchObject({ side: "BUY", price: 60 });
});

test("a market order carries neither price nor a time in force that it cannot have", () => {
  const ticket = changed({ ...filled, tif: "POST_ONLY" }, { type: "MARKET", slippage: "3" });
  expect(check(ticket, market).body).toEqual({
    market_id: "m",
    side: "BUY",
    type: "MARKET",
    qty: 10,
    slippage_cap_cents: 3,
  });
  expect(check({ ...ticket, tif: "FOK" }, market).body?.tif).toBe("FOK");
  expect(changed(ticket, { type: "LIMIT" }).tif).toBe("GTC");
});

test("what is no whole number inside the band makes no order", () => {
  for (const price of ["0", "100", "4.5", "abc", "1e1", "-3"]) {
    const { body, problems } = check({ ...filled, price }, market);
    expect(body).toBeNull();
    expect(problems.price).toBeTruthy();
  }
  for (const qty of ["0", "-1", "1.5", "x"]) expect(check({ ...filled, qty }, market).problems.qty).toBeTruthy();
  expect(check({ ...filled, price: "" }, market)).toMatchObject({ body: null, problems: {} });
  expect(check(filled, null).body).toBeNull();
  expect(check({ ...filled, expiryS: "0" }, market).body).toBeNull();
});

test("who meant one size did not mean another", () => {
  const meant = changed(filled, { confirm: true });
  expect(meant.confirm).toBe(true);
  expect(changed(meant, { qty: "11" }).confirm).toBe(false);
  expect(changed(meant, { qty: "10" }).confirm).toBe(true);
  expect(changed(meant, { expiryS: "5" }).confirm).toBe(true);
  expect(turned(meant, "NO").confirm).toBe(false);
});

test("turning the ticket to NO and back keeps what was typed", () => {
  for (let p = 1; p <= 99; p++) {
    const ticket = { ...filled, price: String(p) };
    expect(turned(ticket, "NO").price).toBe(String(100 - p));
    expect(turned(turned(ticket, "NO"), "YES")).toEqual(ticket);
  }
  expect(turned({ ...filled, price: "" }, "NO").price).toBe("");
});

test("an expiry is counted from the venue's time at sending", () => {
  const { body } = check({ ...filled, expiryS: "30" }, market);
  if (!body) throw new Error("no order");
  expect(toSend(body, { ...filled, expiryS: "30" }, "id", 1_000.4)).toMatchObject({
    client_order_id: "id",
    expires_at_ms: 31_000,
  });
  expect(toSend(body, filled, "id", 0)).not.toHaveProperty("expires_at_ms");
});

test("steps stay in the band and begin at the touch", () => {
  expect(stepped("", 1, 47)).toBe("47");
  expect(stepped("", 1, null)).toBe("50");
  expect(stepped("99", 1, null)).toBe("99");
  expect(stepped("5", -10, null)).toBe("1");
  expect(stepped("5", 10, null)).toBe("15");
});

test("ids are random UUIDs that the venue's pattern admits", () => {
  const made = new Set(Array.from({ length: 500 }, () => newClientId()));
  expect(made.size).toBe(500);
  for (const id of made) expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("whole numbers", () => {
  expect([whole(" 12 "), whole("-3"), whole("1.0"), whole(""), whole("12345678901")]).toEqual([
    12,
    -3,
    null,
    null,
    null,
  ]);
});

const first = { id: "a", symbol: "BTC-1M-20261120T1031Z" };
const second = { id: "b", symbol: "BTC-1M-20261120T1032Z" };

test("a price that was typed for a closed window is cleared, and it is said", () => {
  const now = rolled("now", first, second, "48");
  expect(now).toMatchObject({ choice: "now", clearPrice: true });
  expect(now.notice).toContain("10:31 window closed");
  expect(rolled("now", first, second, "")).toEqual({ choice: "now", clearPrice: false, notice: null });
});

test("a price that was typed for the window to come stays when it opens", () => {
  expect(rolled("next", first, second, "48")).toMatchObject({ choice: "now", clearPrice: false });
});
