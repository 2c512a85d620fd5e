import { beforeEach, expect, test, vi } from "vitest";
import { VenueError } from "../venue/http";

const calls: string[] = [];
let replies: (() => unknown)[] = [];

const { orderHeard } = vi.hoisted(() => ({ orderHeard: new Set<(order: object) => void>() }));

vi.mock("./mine", () => ({
  orderHeard,
  asAgent: async (path: string) => {
    calls.push(path);
    const reply = replies.shift();
    if (!reply) throw new VenueError(0, null, "silence");
    return reply();
  },
}));

const { answer, busy, isOpen, lookUp, send } = await import("./send");
const body = { market_id: "m", side: "BUY", type: "LIMIT", price: 40, qty: 1, client_order_id: "id-1" } as const;
const order = { order_id: "o", client_order_id: "id-1", status: "OPEN" };
const fails = (status: number, code: string) => () => {
  throw new VenueError(status, { code, message: code, request_id: "r" }, "");
};
const now = async () => {};

beforeEach(() => {
  calls.length = 0;
  answer.value = null;
});

test("an answered order is answered", async () => {
  replies = [() => order];
  await send(body);
  expect(answer.value).toEqual({ state: "answered", order, late: false });
});

test("what is said of a resting order stays true while it lives", () => {
  const placed = { ...order, seq: 5 };
  answer.value = { state: "answered", order: placed as never, late: false };
  for (const hear of orderHeard) {
    hear({ ...placed, order_id: "other", status: "FILLED", seq: 9 });
    hear({ ...placed, status: "CANCELLED", seq: 4 });
  }
  expect(answer.value).toMatchObject({ order: { status: "OPEN" } });
  for (const hear of orderHeard) hear({ ...placed, status: "FILLED", seq: 8 });
  expect(answer.value).toMatchObject({ order: { status: "FILLED" } });
});

test("after silence the order is found by the page's own id", async () => {
  replies = [fails(404, "ORDER_NOT_FOUND"), () => order];
  await lookUp("id-1", body, now);
  expect(answer.value).toEqual({ state: "answered", order, late: true });
  expect(calls).toEqual(["/orders/by-client-id/id-1", "/orders/by-client-id/id-1"]);
});

test("it was never placed only once the venue has said so twice", async () => {
  replies = [fails(404, "ORDER_NOT_FOUND"), fails(0, "NO_ANSWER"), fails(404, "ORDER_NOT_FOUND")];
  await lookUp("id-1", body, now);
  expect(answer.value).toEqual({ state: "never", clientId: "id-1" });
  expect(calls.length).toBe(3);
});

test("a venue that stays silent leaves it open, and says so, rather than guess", async () => {
  replies = [];
  await lookUp("id-1", body, now);
  expect(answer.value).toMatchObject({ state: "unknown", gaveUp: true });
  expect(busy()).toBe(false);
});

test("nothing else is sent while one is under way", async () => {
  answer.value = { state: "sending", body };
  await send({ ...body, client_order_id: "id-2" });
  expect(calls).toEqual([]);
});

test("what says that nothing was accepted is no open question", async () => {
  const of = (status: number, code: string) => new VenueError(status, { code, message: "", request_id: "" }, "");
  expect(
    [of(503, "EXCHANGE_FROZEN"), of(503, "SERVICE_DEGRADED"), of(429, "RATE_LIMITED"), of(401, "AUTH_REVOKED")].map(
      isOpen,
    ),
  ).toEqual([false, false, false, false]);
  expect([of(0, ""), of(500, "INTERNAL_ERROR"), of(502, "HTTP_502"), new Error("x")].map(isOpen)).toEqual([
    true,
    true,
    true,
    true,
  ]);
  replies = [fails(503, "EXCHANGE_FROZEN")];
  await send(body);
  expect(answer.value?.state).toBe("failed");
});
