import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { type Connection, SILENT_MS, Stream } from "./stream";

/** The network: what the page says is kept, what the venue says is up to the test. */
class FakeSocket {
  static readonly OPEN = 1;
  static all: FakeSocket[] = [];
  readyState = 0;
  sent: Array<Record<string, unknown>> = [];
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((message: { data: string }) => void) | null = null;

  constructor(readonly url: string) {
    FakeSocket.all.push(this);
  }

  static get last(): FakeSocket {
    const socket = FakeSocket.all.at(-1);
    if (!socket) throw new Error("nobody connected");
    return socket;
  }

  send(text: string): void {
    this.sent.push(JSON.parse(text));
  }

  close(): void {
    this.readyState = 3;
  }

  accept(): void {
    this.readyState = FakeSocket.OPEN;
    this.onopen?.();
  }

  say(message: object): void {
    this.onmessage?.({ data: JSON.stringify(message) });
  }

  fail(): void {
    this.readyState = 3;
    this.onclose?.();
  }

  beat(seq = 1): void {
    this.say({ type: "heartbeat", ts: "2026-01-01T00:00:00.000Z", seq, reference_age_ms: 1 });
  }

  ops(op: string): Array<Record<string, unknown>> {
    return this.sent.filter((each) => each.op === op);
  }

  /** Acknowledge everything that was not yet. */
  ack(): void {
    for (const { op, request_id } of this.sent.splice(0)) this.say({ type: "ack", op, request_id, data: {} });
  }
}

function event(channel: string, channel_seq: number, data: unknown, seq = channel_seq, type = "event"): object {
  return { channel, type, channel_seq, seq, ts: "2026-01-01T00:00:00.000Z", data };
}

const said: Connection[] = [];
let resets = 0;
let stream: Stream;

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("WebSocket", FakeSocket);
  FakeSocket.all = [];
  said.length = 0;
  resets = 0;
  stream = new Stream("ws://venue/stream", {
    stamp: () => {},
    connection: (now) => said.push(now),
    reset: () => {
      resets += 1;
    },
  });
});

afterEach(() => {
  stream.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

const turn = () => vi.advanceTimersByTimeAsync(0);

/** Hear a channel: what comes, as `[type, data]`. */
function hear(name: string, options = {}): { got: unknown[][]; end: () => void } {
  const got: unknown[][] = [];
  const end = stream.subscribe<unknown>(name, ({ type, data }) => got.push([type, data]), options);
  return { got, end };
}

function opened(): FakeSocket {
  stream.open();
  FakeSocket.last.accept();
  return FakeSocket.last;
}

test("wishes of one turn are one message, and what is taken back at once is never said", async () => {
  const socket = opened();
  socket.beat();
  hear("book.a");
  hear("trades.a");
  hear("l3.a").end();
  await turn();
  expect(socket.sent).toEqual([{ op: "subscribe", request_id: expect.any(String), channels: ["book.a", "trades.a"] }]);
  socket.ack();
  const { end } = hear("feed.btc");
  await turn();
  end();
  await turn();
  expect(socket.sent.map(({ op, channels }) => [op, channels])).toEqual([
    ["subscribe", ["feed.btc"]],
    ["unsubscribe", ["feed.btc"]],
  ]);
});

test("no more control messages go out in a minute than the venue takes, and none is lost", async () => {
  const socket = opened();
  for (let n = 0; n < 300; n++) {
    const { end } = hear(`book.${n}`);
    await turn();
    end();
    await turn();
  }
  hear("book.last");
  await turn();
  expect(socket.sent.length).toBeLessThanOrEqual(115);
  socket.beat();
  for (let s = 0; s < 61; s++) {
    await vi.advanceTimersByTimeAsync(1_000);
    socket.beat();
  }
  expect(socket.ops("subscribe").at(-1)?.channels).toEqual(["book.last"]);
});

test("a gap asks once for a snapshot, and nothing is handed on until it is there", async () => {
  const socket = opened();
  const { got } = hear("feed.btc");
  await turn();
  socket.ack();
  socket.say(event("feed.btc", 5, "s5", 5, "snapshot"));
  socket.say(event("feed.btc", 6, "e6"));
  socket.say(event("feed.btc", 8, "e8"));
  socket.say(event("feed.btc", 9, "e9"));
  await turn();
  socket.say(event("feed.btc", 10, "e10"));
  await turn();
  expect(socket.ops("subscribe")).toHaveLength(1);
  expect(socket.ops("unsubscribe")).toHaveLength(0);
  socket.ack();
  socket.say(event("feed.btc", 11, "late"));
  socket.say(event("feed.btc", 1, "s", 11, "snapshot"));
  socket.say(event("feed.btc", 2, "e"));
  expect(got.map(([, data]) => data)).toEqual(["s5", "e6", "s", "e"]);
});

test("who comes later has a snapshot of its own, and nobody else notices", async () => {
  const socket = opened();
  const first = hear("book.m");
  await turn();
  socket.ack();
  socket.say(event("book.m", 1, { market_id: "m", bids: [[40, 5, 1]], asks: [] }, 1, "snapshot"));
  socket.say(
    event(
      "book.m",
      2,
      {
        market_id: "m",
        bids: [
          [41, 2, 1],
          [40, 0, 0],
        ],
        asks: [[45, 1, 1]],
      },
      2,
      "delta",
    ),
  );
  const second = hear("book.m");
  expect(second.got).toEqual([]);
  await turn();
  expect(socket.sent).toEqual([]);
  expect(first.got).toHaveLength(2);
  expect(second.got).toEqual([["snapshot", { market_id: "m", bids: [[41, 2, 1]], asks: [[45, 1, 1]] }]]);
  socket.say(event("book.m", 3, { market_id: "m", bids: [], asks: [] }, 3, "delta"));
  expect(first.got).toHaveLength(3);
  expect(second.got).toHaveLength(2);
  first.end();
  await turn();
  expect(socket.sent).toEqual([]);
  second.end();
  await turn();
  expect(socket.ops("unsubscribe")).toHaveLength(1);
});

test("what a listener does wrong is not the others' loss", async () => {
  const shown = vi.spyOn(console, "error").mockImplementation(() => {});
  const socket = opened();
  stream.subscribe("feed.btc", () => {
    throw new Error("a listener's own");
  });
  const { got } = hear("feed.btc");
  await turn();
  socket.ack();
  socket.say(event("feed.btc", 0, 1, 1, "snapshot"));
  expect(got).toHaveLength(1);
  expect(shown).toHaveBeenCalledOnce();
});

test("silence ends the connection, whatever it looks like, and it says for how long", async () => {
  const socket = opened();
  expect(stream.silentMs).toBe(0);
  socket.beat();
  expect(said).toEqual(["connecting", "live"]);
  await vi.advanceTimersByTimeAsync(SILENT_MS + 2_000);
  expect(said.at(-1)).toBe("lost");
  expect(FakeSocket.all.length).toBeGreaterThan(1);
  expect(stream.silentMs).toBeGreaterThanOrEqual(SILENT_MS); // attempts to connect are not news
  expect(said.slice(1)).not.toContain("connecting");
});

test("a watchdog that was asleep itself asks before it ends a connection", async () => {
  const socket = opened();
  socket.beat();
  const clock = vi.spyOn(performance, "now");
  const before = performance.now();
  clock.mockImplementation(() => before + 60_000); // a minute in which no timer came
  vi.setSystemTime(Date.now() + 60_000);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(socket.ops("ping")).toHaveLength(1);
  socket.say({ type: "ack", op: "ping", request_id: "ping", data: {} });
  clock.mockImplementation(() => before + 61_000);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(FakeSocket.all).toHaveLength(1);
  clock.mockImplementation(() => before + 130_000);
  vi.setSystemTime(Date.now() + 60_000);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(socket.ops("ping")).toHaveLength(2);
  clock.mockImplementation(() => before + 135_000);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(said.at(-1)).toBe("lost");
  clock.mockRestore();
});

test("sleep that the steady clock does not know of is seen by the other", async () => {
  const socket = opened();
  socket.beat();
  vi.setSystemTime(Date.now() + 3_600_000);
  expect(stream.silentMs).toBeGreaterThanOrEqual(3_600_000);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(socket.ops("ping")).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(6_000);
  expect(FakeSocket.all.length).toBe(2);
});

test("the pauses grow until a connection has held for a while", async () => {
  stream.open();
  const waited: number[] = [];
  for (let n = 0; n < 9; n++) {
    FakeSocket.last.accept();
    FakeSocket.last.say({ type: "resync_required", reason: "too slow" }); // heard, and yet no good
    const count = FakeSocket.all.length;
    const from = performance.now();
    while (FakeSocket.all.length === count) await vi.advanceTimersByTimeAsync(10);
    waited.push(performance.now() - from);
  }
  expect(waited[0]).toBeLessThan(400);
  expect(waited.at(-1)).toBeGreaterThan(4_400);
  FakeSocket.last.accept();
  for (let s = 0; s < 12; s++) {
    FakeSocket.last.beat();
    await vi.advanceTimersByTimeAsync(1_000);
  }
  const count = FakeSocket.all.length;
  FakeSocket.last.fail();
  await vi.advanceTimersByTimeAsync(400);
  expect(FakeSocket.all.length).toBe(count + 1);
});

test("a new connection asks for all that is wanted in one message, and hands on snapshots", async () => {
  const socket = opened();
  const feed = hear("feed.btc");
  hear("book.a");
  await turn();
  socket.ack();
  socket.say(event("feed.btc", 7, "old", 7, "snapshot"));
  socket.fail();
  await vi.advanceTimersByTimeAsync(400);
  const again = FakeSocket.last;
  again.accept();
  await turn();
  expect(again.sent.map(({ op, channels }) => [op, channels])).toEqual([["subscribe", ["feed.btc", "book.a"]]]);
  again.ack();
  again.say(event("feed.btc", 1, "new", 9, "snapshot"));
  expect(feed.got).toEqual([
    ["snapshot", "old"],
    ["snapshot", "new"],
  ]);
  expect(resets).toBe(0);
});

test("an agent's channel waits for its agent, and goes on where it was: nothing missing, nothing twice", async () => {
  const socket = opened();
  const { got } = hear("private.a", { resumable: true });
  await turn();
  expect(socket.sent).toEqual([]);
  stream.authenticate("rk_live_x");
  expect(socket.sent).toEqual([{ op: "authenticate", request_id: "authenticate", api_key: "rk_live_x" }]);
  socket.ack();
  await turn();
  expect(socket.sent).toEqual([{ op: "subscribe", request_id: expect.any(String), channels: ["private.a"] }]);
  socket.ack();
  socket.say(event("private.a", 0, "account", 100, "snapshot"));
  socket.say(event("private.a", 1, "104/1", 104));
  socket.say(event("private.a", 2, "107/1", 107));
  socket.say(event("private.a", 3, "107/2", 107)); // and the connection ends before the third of 107
  socket.fail();

  for (const [from, more] of [
    [107, ["107/3", "109/1"]],
    [109, ["110/1"]],
  ] as const) {
    await vi.advanceTimersByTimeAsync(700);
    const next = FakeSocket.last;
    next.accept();
    await turn();
    expect(next.sent.map(({ op }) => op)).toEqual(["authenticate"]);
    next.ack();
    await turn();
    expect(next.sent[0]).toMatchObject({ op: "subscribe", channels: ["private.a"], from_seq: from });
    next.ack();
    const past = from === 107 ? ["107/1", "107/2", ...more] : ["109/1", ...more];
    past.forEach((each, n) => {
      next.say(event("private.a", n + 1, each, Number(each.split("/")[0])));
    });
    next.fail();
  }
  expect(got.map(([, data]) => data)).toEqual(["account", "104/1", "107/1", "107/2", "107/3", "109/1", "110/1"]);
});

test("right after a snapshot an agent's channel goes on after it", async () => {
  stream.authenticate("rk_live_x");
  const socket = opened();
  hear("private.a", { resumable: true });
  await turn();
  socket.ack();
  await turn();
  socket.ack();
  socket.say(event("private.a", 0, "account", 100, "snapshot"));
  socket.fail();
  await vi.advanceTimersByTimeAsync(400);
  FakeSocket.last.accept();
  FakeSocket.last.ack();
  expect(FakeSocket.last.sent[0]).toMatchObject({ channels: ["private.a"], from_seq: 101 });
});

test("where the journal ends before what was heard, it begins again with a snapshot", async () => {
  stream.authenticate("rk_live_x");
  const socket = opened();
  const { got } = hear("private.a", { resumable: true });
  socket.ack();
  await turn();
  socket.ack();
  socket.say(event("private.a", 0, "account", 100, "snapshot"));
  socket.fail();
  await vi.advanceTimersByTimeAsync(400);
  const next = FakeSocket.last;
  next.accept();
  next.ack();
  const asked = next.sent.splice(0)[0];
  next.say({ type: "error", op: "subscribe", request_id: asked?.request_id, code: "VALIDATION_FAILED", message: "" });
  await turn();
  expect(next.sent[0]).not.toHaveProperty("from_seq");
  next.ack();
  next.say(event("private.a", 0, "anew", 12, "snapshot"));
  expect(got.map(([, data]) => data)).toEqual(["account", "anew"]);
});

test("a refused key is told, once, and the page goes on as nobody", async () => {
  const codes: string[] = [];
  stream.authenticate("rk_live_x", (code) => codes.push(code));
  const socket = opened();
  const { got } = hear("feed.btc");
  await turn();
  expect(socket.sent.map(({ op }) => op)).toEqual(["authenticate", "subscribe"]);
  socket.sent.shift();
  socket.say({ type: "error", op: "authenticate", request_id: "authenticate", code: "AUTH_REVOKED", message: "" });
  socket.ack();
  socket.say(event("feed.btc", 0, 1, 1, "snapshot"));
  expect(got).toHaveLength(1);
  socket.fail();
  await vi.advanceTimersByTimeAsync(400);
  FakeSocket.last.accept();
  await turn();
  expect(FakeSocket.last.sent.map(({ op }) => op)).toEqual(["subscribe"]);
  expect(codes).toEqual(["AUTH_REVOKED"]);
  stream.authenticate("rk_live_x"); // its owner may try again
  expect(FakeSocket.last.ops("authenticate")).toHaveLength(1);
});

test("a key that is revoked later, or has too many connections for a moment", async () => {
  const codes: string[] = [];
  stream.authenticate("rk_live_x", (code) => codes.push(code));
  opened();
  for (let n = 0; n < 3; n++) {
    FakeSocket.last.say({ type: "error", op: null, request_id: null, code: "RATE_LIMITED", message: "" });
    FakeSocket.last.fail();
    await vi.advanceTimersByTimeAsync(2_000);
    FakeSocket.last.accept();
    expect(FakeSocket.last.ops("authenticate")).toHaveLength(1);
  }
  FakeSocket.last.ack();
  expect(codes).toEqual([]);
  FakeSocket.last.say({ type: "error", op: null, request_id: null, code: "AUTH_REVOKED", message: "" });
  expect(codes).toEqual(["AUTH_REVOKED"]);
});

test("another key is another connection", async () => {
  stream.authenticate("rk_live_x");
  const socket = opened();
  stream.authenticate("rk_live_y");
  expect(FakeSocket.all).toHaveLength(2);
  expect(socket.readyState).toBe(3);
  FakeSocket.last.accept();
  expect(FakeSocket.last.ops("authenticate")[0]?.api_key).toBe("rk_live_y");
  stream.authenticate(null);
  FakeSocket.last.accept();
  expect(FakeSocket.last.sent).toEqual([]);
});

test("one bad name does not spoil the others", async () => {
  const socket = opened();
  const codes: string[] = [];
  hear("book.gone", { refused: (code: string) => codes.push(code) });
  const { got } = hear("feed.btc");
  await turn();
  const asked = socket.sent.splice(0)[0];
  socket.say({ type: "error", op: "subscribe", request_id: asked?.request_id, code: "UNKNOWN_MARKET", message: "" });
  await turn();
  expect(socket.sent.map(({ channels }) => channels)).toEqual([["book.gone"], ["feed.btc"]]);
  const [bad, good] = socket.sent.splice(0);
  socket.say({ type: "error", op: "subscribe", request_id: bad?.request_id, code: "UNKNOWN_MARKET", message: "" });
  socket.say({ type: "ack", op: "subscribe", request_id: good?.request_id, data: {} });
  socket.say(event("feed.btc", 0, 1, 1, "snapshot"));
  await turn();
  expect(codes).toEqual(["UNKNOWN_MARKET"]);
  expect(got).toHaveLength(1);
  expect(socket.sent).toEqual([]);
});

test("what the venue cannot do just now is asked again after a while", async () => {
  const socket = opened();
  hear("leaderboard");
  await turn();
  const asked = socket.sent.splice(0)[0];
  const fault = { type: "error", op: "subscribe", code: "SERVICE_DEGRADED", message: "" };
  socket.say({ ...fault, request_id: asked?.request_id });
  await vi.advanceTimersByTimeAsync(1_000);
  expect(socket.sent).toEqual([]);
  await vi.advanceTimersByTimeAsync(2_000);
  expect(socket.ops("subscribe")).toHaveLength(1);
});

test("a journal that is shorter than what was heard is another venue's", async () => {
  const socket = opened();
  hear("feed.btc");
  await turn();
  socket.ack();
  socket.say(event("feed.btc", 3, 1, 5_000, "snapshot"));
  socket.beat(5_010);
  socket.fail();
  await vi.advanceTimersByTimeAsync(400);
  FakeSocket.last.accept();
  await turn();
  FakeSocket.last.ack();
  FakeSocket.last.say(event("feed.btc", 0, 1, 40, "snapshot"));
  expect(resets).toBe(1);
  FakeSocket.last.beat(41);
  FakeSocket.last.fail();
  await vi.advanceTimersByTimeAsync(1_000);
  FakeSocket.last.accept();
  await turn();
  FakeSocket.last.ack();
  FakeSocket.last.say(event("feed.btc", 0, 1, 41, "snapshot"));
  expect(resets).toBe(1);
});

test("left and wanted again while the answer is under way: what the old one still says counts for nothing", async () => {
  const socket = opened();
  stream.authenticate("rk_live_x");
  socket.ack();
  const first = hear("private.a", { resumable: true });
  await turn();
  const [old] = socket.sent.splice(0);
  first.end();
  const second = hear("private.a", { resumable: true });
  await turn();
  const [again] = socket.sent.splice(0);
  expect([old?.op, again?.op]).toEqual(["subscribe", "subscribe"]);
  socket.say({ type: "ack", op: "subscribe", request_id: old?.request_id, data: {} });
  socket.say(event("private.a", 1, "of the old one", 5));
  socket.say({ type: "ack", op: "subscribe", request_id: again?.request_id, data: {} });
  socket.say(event("private.a", 0, "account", 6, "snapshot"));
  socket.say(event("private.a", 1, "next", 7));
  expect(first.got).toEqual([]);
  expect(second.got.map(([, data]) => data)).toEqual(["account", "next"]);
});

test("a second listener of an agent's channel: it gets its snapshot, and the first misses nothing", async () => {
  const socket = opened();
  stream.authenticate("rk_live_x");
  socket.ack();
  const first = hear("private.a", { resumable: true });
  await turn();
  socket.ack();
  socket.say(event("private.a", 0, "account", 5, "snapshot"));
  const second = hear("private.a", { resumable: true });
  await turn();
  socket.say(event("private.a", 1, "six", 6)); // the answer is under way
  const [asked] = socket.sent.splice(0);
  expect(asked).not.toHaveProperty("from_seq");
  socket.say({ type: "ack", op: "subscribe", request_id: asked?.request_id, data: {} });
  socket.say(event("private.a", 0, "account now", 6, "snapshot"));
  socket.say(event("private.a", 1, "seven", 7));
  expect(first.got.map(([, data]) => data)).toEqual(["account", "six", "account now", "seven"]);
  expect(second.got.map(([, data]) => data)).toEqual(["account now", "seven"]);
});
