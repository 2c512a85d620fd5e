/**
 * Who listens to which channel, what the venue has to be asked for that, and what of its events is handed on: the rules
 * of snapshots, gaps and resumption. Wishes of one turn go out together, for the venue takes only so many messages a
 * minute. Knows no socket: `send` is one.
 */

import { type Memory, memoryOf } from "./channels";
import type { Event } from "./wire";

/** The venue takes 120 control messages a minute on a connection; some are left for authentication and pings. */
const CONTROL_PER_MINUTE = 100;
const MINUTE_MS = 60_000;
const RETRY_MS = 2_000;

/** Faults that pass by themselves. */
const PASSING = new Set(["RATE_LIMITED", "SERVICE_DEGRADED", "INTERNAL_ERROR"]);

export type Handler = (event: Event<never>) => void;

export interface SubscribeOptions {
  /** Complete and resumable, as `private.<agent>` is: after a break nothing is missing and nothing comes twice. */
  resumable?: boolean;
  /** The venue will not give this channel, with its code; it is asked again on the next connection. */
  refused?: (code: string) => void;
}

/** What the venue answers to a message of ours. */
export interface Answer {
  type: string;
  op?: string | null;
  request_id?: string | null;
  code?: string;
  retry_after_ms?: number;
}

interface Listener {
  handler: Handler;
  refused: ((code: string) => void) | undefined;
  /** Has not had a snapshot yet. */
  fresh: boolean;
}

interface Channel {
  readonly name: string;
  readonly listeners: Set<Listener>;
  readonly memory: Memory | null;
  readonly resumable: boolean;
  phase: "wanted" | "asked" | "on" | "refused";
  /** The message in which it was asked for. */
  asked: string | null;
  /** To be asked for in a message of its own: in a list, one bad name spoils all. */
  alone: boolean;
  /** The `channel_seq` heard last; null until the snapshot. */
  last: number | null;
  seq: number;
  ts: string;
  /** Resumable: go on at `seq`, of which `told` events were handed on. */
  at: { seq: number; told: number } | null;
  /** Resumed: so many events of `seq` come once more. */
  again: { seq: number; left: number } | null;
}

interface Ask {
  names: string[];
  resumed: boolean;
}

export class Subscriptions {
  readonly #send: (message: object) => void;
  readonly #channels = new Map<string, Channel>();
  readonly #asks = new Map<string, Ask>();
  /** Names the venue was asked for on this connection, and that nobody here wants any more. */
  readonly #leaving = new Set<string>();
  #connected = false;
  #known = false;
  #sent: number[] = [];
  #count = 0;
  #queued = false;
  #later: ReturnType<typeof setTimeout> | null = null;

  constructor(send: (message: object) => void) {
    this.#send = send;
  }

  add(name: string, handler: Handler, options: SubscribeOptions): () => void {
    let channel = this.#channels.get(name);
    if (!channel) {
      channel = {
        name,
        listeners: new Set(),
        memory: memoryOf(name),
        resumable: options.resumable ?? false,
        phase: "wanted",
        asked: null,
        alone: false,
        last: null,
        seq: 0,
        ts: "",
        at: null,
        again: null,
      };
      this.#channels.set(name, channel);
    } else if (
      channel.phase === "refused" ||
      (channel.memory === null && (channel.last !== null || channel.at !== null))
    ) {
      channel.phase = "wanted"; // only the venue can tell the newcomer what there is
    }
    const own = channel;
    const listener: Listener = { handler, refused: options.refused, fresh: true };
    own.listeners.add(listener);
    this.#soon();
    return () => {
      if (!own.listeners.delete(listener) || own.listeners.size > 0) return;
      this.#channels.delete(name);
      if (own.asked !== null || own.last !== null || own.phase === "on") this.#leaving.add(name);
      this.#soon();
    };
  }

  /** A connection is there, on which nothing was asked for yet. */
  begin(): void {
    this.end();
    this.#connected = true;
    for (const channel of this.#channels.values()) {
      channel.phase = "wanted";
      channel.asked = channel.last = channel.again = null;
    }
    this.#flush();
  }

  /** The connection is gone. */
  end(): void {
    this.#connected = this.#known = false;
    this.#asks.clear();
    this.#leaving.clear();
    this.#sent = [];
    if (this.#later) clearTimeout(this.#later);
    this.#later = null;
  }

  /** The venue knows by now who this is: private channels can be had. */
  known(): void {
    this.#known = true;
    for (const channel of this.#channels.values()) if (channel.phase === "refused") channel.phase = "wanted";
    this.#flush();
  }

  /** What was heard so far is of another venue. */
  forget(): void {
    for (const channel of this.#channels.values()) channel.at = channel.again = null;
  }

  /** Whether a channel's past is told again, with old stamps. */
  resumes(name: string): boolean {
    return this.#channels.get(name)?.resumable ?? false;
  }

  take(event: Event<never>): void {
    const channel = this.#channels.get(event.channel);
    if (!channel) return; // on its way out
    if (event.type !== "snapshot") {
      if (channel.last === null) return; // its snapshot is under way
      if (event.channel_seq !== channel.last + 1) {
        channel.last = null;
        if (channel.phase === "on") channel.phase = "wanted";
        this.#soon();
        return;
      }
    }
    channel.last = event.channel_seq;
    channel.seq = event.seq;
    channel.ts = event.ts;
    if (channel.resumable && !follows(channel, event)) return;
    if (event.type === "snapshot") channel.memory?.snapshot(event.data);
    else channel.memory?.change(event.data);
    for (const listener of [...channel.listeners]) {
      if (event.type === "snapshot") listener.fresh = false;
      if (!listener.fresh) hand(listener, event);
    }
  }

  /** An answer to something that was asked here; false if it was not. */
  answered(answer: Answer): boolean {
    const id = answer.request_id;
    const ask = id ? this.#asks.get(id) : undefined;
    if (!id || !ask) return false;
    this.#asks.delete(id);
    if (answer.op === "unsubscribe") {
      if (answer.type !== "ack" && ask.names.length > 1) for (const name of ask.names) this.#leave([name]);
      return true;
    }
    let retry = false;
    for (const name of ask.names) {
      const channel = this.#channels.get(name);
      if (channel?.asked !== id) continue; // asked for anew since, or left
      channel.asked = null;
      if (answer.type === "ack") {
        begun(channel, ask.resumed);
        if (channel.phase === "wanted") this.#soon(); // somebody came in the meantime
      } else if (this.#declined(channel, ask, answer.code ?? "")) retry = true;
    }
    if (retry) this.#flushIn(answer.retry_after_ms ?? RETRY_MS);
    return true;
  }

  /** Whether to ask again after a while. */
  #declined(channel: Channel, ask: Ask, code: string): boolean {
    const wasAsked = channel.phase === "asked";
    channel.phase = "wanted";
    if (PASSING.has(code)) return true;
    if (ask.names.length > 1) channel.alone = true;
    else if (ask.resumed)
      channel.at = null; // the journal is not the one that was read: begin with a snapshot
    else if (wasAsked) {
      channel.phase = "refused";
      channel.last = null;
      for (const { refused } of [...channel.listeners]) refused?.(code);
      return false;
    }
    this.#soon();
    return false;
  }

  #soon(): void {
    if (this.#queued) return;
    this.#queued = true;
    queueMicrotask(() => {
      this.#queued = false;
      this.#flush();
    });
  }

  #flushIn(ms: number): void {
    this.#later ??= setTimeout(() => {
      this.#later = null;
      this.#flush();
    }, ms);
  }

  #flush(): void {
    for (const channel of this.#channels.values()) greet(channel);
    if (!this.#connected || this.#later !== null) return;
    const leaving = [...this.#leaving].filter((name) => !this.#channels.has(name));
    this.#leaving.clear();
    if (leaving.length) this.#leave(leaving);
    const together: Channel[] = [];
    for (const channel of this.#channels.values()) {
      if (channel.phase !== "wanted" || channel.asked !== null) continue;
      const isPrivate = channel.name.startsWith("private.");
      if (isPrivate && !this.#known) continue;
      if (isPrivate || channel.alone || channel.resumable) this.#ask([channel]);
      else together.push(channel);
    }
    if (together.length) this.#ask(together);
  }

  #ask(channels: Channel[]): void {
    if (!this.#room()) return;
    const names = channels.map((channel) => channel.name);
    const id = this.#next();
    const only = channels.length === 1 ? channels[0] : undefined;
    // Somebody new needs a snapshot; then everybody gets one.
    const at = only?.resumable && ![...only.listeners].some((each) => each.fresh) ? only.at : null;
    this.#asks.set(id, { names, resumed: at !== null });
    for (const channel of channels) {
      channel.phase = "asked";
      channel.asked = id;
    }
    this.#send({ op: "subscribe", request_id: id, channels: names, ...(at ? { from_seq: at.seq } : {}) });
  }

  #leave(names: string[]): void {
    if (!this.#room()) {
      for (const name of names) this.#leaving.add(name);
      return;
    }
    const id = this.#next();
    this.#asks.set(id, { names, resumed: false });
    this.#send({ op: "unsubscribe", request_id: id, channels: names });
  }

  #next(): string {
    this.#count += 1;
    return `s${this.#count}`;
  }

  /** Whether one more message may be sent now; if not, a flush comes when it may. */
  #room(): boolean {
    const now = performance.now();
    this.#sent = this.#sent.filter((at) => at > now - MINUTE_MS);
    const first = this.#sent[0];
    if (first !== undefined && this.#sent.length >= CONTROL_PER_MINUTE) {
      this.#flushIn(first + MINUTE_MS - now + 1);
      return false;
    }
    this.#sent.push(now);
    return true;
  }
}

/** The venue has said that the subscription begins. What came before belongs to the one it replaces. */
function begun(channel: Channel, resumed: boolean): void {
  if (channel.phase === "asked") channel.phase = "on";
  channel.alone = false;
  channel.last = resumed ? 0 : null;
  channel.again = resumed && channel.at?.told ? { seq: channel.at.seq, left: channel.at.told } : null;
}

/** Note where a resumable channel is; false for an event that was handed on before the break. */
function follows(channel: Channel, event: Event<never>): boolean {
  if (event.type === "snapshot") {
    channel.at = { seq: event.seq + 1, told: 0 };
    return true;
  }
  const { again, at } = channel;
  if (again !== null && again.left > 0 && event.seq === again.seq) {
    again.left -= 1;
    return false;
  }
  // One command may mean several events: all of them carry its `seq`, always in the same order.
  if (at !== null && at.seq === event.seq) at.told += 1;
  else channel.at = { seq: event.seq, told: 1 };
  return true;
}

/** Give those who came to a channel that is heard already what it amounts to. */
function greet(channel: Channel): void {
  if (channel.memory === null || channel.last === null) return;
  for (const listener of [...channel.listeners]) {
    if (!listener.fresh) continue;
    listener.fresh = false;
    const { name, last, seq, ts } = channel;
    const data = channel.memory.now() as never;
    hand(listener, { channel: name, type: "snapshot", channel_seq: last, seq, ts, data });
  }
}

function hand(listener: Listener, event: Event<never>): void {
  try {
    listener.handler(event);
  } catch (error) {
    console.error(`a listener of ${event.channel} failed`, error); // the others still want to hear
  }
}
