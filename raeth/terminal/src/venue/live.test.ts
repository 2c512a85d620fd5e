import { afterAll, beforeAll, beforeEach, expect, test, vi } from "vitest";
import type { Market } from "./wire";

/** The network and the browser around the page: sockets, answers, frames. */
class FakeSocket {
  static readonly OPEN = 1;
  static last: FakeSocket;
  readyState = 0;
  sent: Array<{ op: string; request_id: string; channels: string[] }> = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;

  constructor() {
    FakeSocket.last = this;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.readyState = 3;
  }

  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  ack(): void {
    for (const { op, request_id } of this.sent.splice(0)) this.say({ type: "ack", op, request_id, data: {} });
  }
}

const page = { visibilityState: "visible", addEventListener: () => {}, removeEventListener: () => {} };
let frames: Array<() => void> = [];
let listed: Market[] = [];
let asked = 0;
let live: typeof import("./live");
let seq = 1_000;

function market(n: number, status: Market["status"], at = seq): Market {
  const time = (minute: number) => new Date(Date.UTC(2026, 0, 1, 0, minute)).toISOString();
  return {
    id: `m${n}`,
    symbol: `S${n}`,
    status,
    open_at: time(n),
    close_at: time(n + 1),
    seq: at,
    halted: false,
  } as Market;
}

const numbers = new Map<string, number>();

function say(channel: string, data: unknown, type = "event", at = seq): void {
  const number = (numbers.get(channel) ?? 0) + 1;
  numbers.set(channel, number);
  FakeSocket.last.say({ channel, type, channel_seq: number, seq: at, ts: "2026-01-01T00:00:00.000Z", data });
}

async function connected(items: Market[]): Promise<void> {
  const socket = FakeSocket.last;
  socket.readyState = 1;
  socket.onopen?.();
  await vi.advanceTimersByTimeAsync(0);
  socket.ack();
  say("markets", { items }, "snapshot");
  await vi.advanceTimersByTimeAsync(0);
}

beforeAll(async () => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  vi.stubGlobal("location", { protocol: "http:", host: "venue" });
  vi.stubGlobal("document", page);
  vi.stubGlobal("window", page);
  vi.stubGlobal("requestAnimationFrame", (job: () => void) =>
    page.visibilityState === "visible" ? frames.push(job) : 1,
  );
  vi.stubGlobal("cancelAnimationFrame", () => {
    frames = [];
  });
  vi.stubGlobal("fetch", async (path: string) => {
    asked += 1;
    const items = path.includes("history") ? [] : listed;
    return new Response(JSON.stringify({ items, next_cursor: null }));
  });
  live = await import("./live");
  live.begin();
  listed = [market(1, "OPEN"), market(2, "PENDING")];
  await connected(listed);
});

afterAll(() => {
  live.stream.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

beforeEach(() => {
  page.visibilityState = "visible";
  frames = [];
});

test("at a boundary the page goes over to the next window, and its book", async () => {
  expect(live.watched.value?.id).toBe("m1");
  await vi.advanceTimersByTimeAsync(0);
  FakeSocket.last.ack();
  seq += 1;
  say("markets", { change: "EXPIRED", market: market(1, "EXPIRED") });
  say("markets", { change: "OPEN", market: market(2, "OPEN") });
  say("markets", { change: "PENDING", market: market(3, "PENDING") });
  expect(live.watched.value?.id).toBe("m2");
  expect(live.view.value.known).toBe(false);
  await vi.advanceTimersByTimeAsync(0);
  const wishes = FakeSocket.last.sent.map(({ op, channels }) => [op, channels]);
  expect(wishes).toContainEqual(["unsubscribe", ["book.m1", "trades.m1"]]);
  expect(wishes).toContainEqual(["subscribe", ["book.m2", "trades.m2"]]);
  FakeSocket.last.ack();
  seq += 1;
  say("markets", { change: "RESOLVED", market: { ...market(1, "RESOLVED"), resolution: "YES" } });
  expect(live.ended.value.map(({ id }) => id)).toEqual(["m1"]);
});

test("two that follow one window are both shown, and one that ends takes its work along", () => {
  const shown = [0, 0];
  const ends = shown.map((_, n) =>
    live.follow("m2", () => {
      shown[n] = (shown[n] ?? 0) + 1;
    }),
  );
  say("book.m2", { market_id: "m2", bids: [[40, 1, 1]], asks: [] }, "snapshot");
  for (const frame of frames.splice(0)) frame();
  expect(shown).toEqual([1, 1]);
  say("book.m2", { market_id: "m2", bids: [[41, 1, 1]], asks: [] }, "delta");
  ends[0]?.();
  for (const frame of frames.splice(0)) frame();
  expect(shown).toEqual([1, 2]);
  ends[1]?.();
});

test("a hidden tab goes on without frames", async () => {
  page.visibilityState = "hidden";
  let shown = 0;
  for (let n = 0; n < 100; n++)
    live.onFrame("a price", () => {
      shown += 1;
    });
  expect(shown).toBe(0);
  await vi.advanceTimersByTimeAsync(1_100);
  expect(shown).toBe(1);
});

test("a window whose end was not heard does not stay open for ever", async () => {
  const before = asked;
  seq += 100;
  listed = [market(9, "OPEN"), market(10, "PENDING"), { ...market(2, "RESOLVED"), resolution: "NO" }];
  say("markets", { items: listed.slice(0, 2) }, "snapshot");
  expect(live.current.value?.id).toBe("m9");
  expect(live.markets.value.has("m3")).toBe(false);
  await vi.advanceTimersByTimeAsync(10);
  expect(asked).toBeGreaterThan(before);
  expect(live.markets.value.get("m2")?.resolution).toBe("NO");
});

test("an answer that is older than what was heard takes nothing away", async () => {
  listed = [market(9, "OPEN", seq)];
  seq += 1;
  say("markets", { change: "PENDING", market: market(11, "PENDING") });
  // The second pause is half a second, give or take a quarter.
  FakeSocket.last.onclose?.();
  await vi.advanceTimersByTimeAsync(700);
  await connected([market(9, "OPEN"), market(11, "PENDING")]);
  expect(live.markets.value.has("m11")).toBe(true);
});

test("no more windows are kept than are shown", () => {
  for (let n = 100; n < 1_600; n++) {
    seq += 1;
    say("markets", { change: "RESOLVED", market: { ...market(n, "RESOLVED"), resolution: "NO" } });
  }
  expect(live.ended.value).toHaveLength(40);
  expect(live.ended.value[0]?.id).toBe("m1599");
});

test("another venue in the same place: nothing of the old one is left", async () => {
  const price = { price_cents: 9_500_000, status: "LIVE" };
  say("feed.btc", price, "snapshot");
  say("feed.btc", price);
  expect(live.prices).toHaveLength(1);
  FakeSocket.last.onclose?.();
  await vi.advanceTimersByTimeAsync(700);
  seq = 7;
  listed = [market(5, "OPEN"), market(6, "PENDING")];
  await connected(listed);
  await vi.advanceTimersByTimeAsync(10);
  expect([...live.markets.value.keys()].sort()).toEqual(["m5", "m6"]);
  expect(live.prices).toHaveLength(0);
  expect(live.watched.value?.id).toBe("m5");
});
