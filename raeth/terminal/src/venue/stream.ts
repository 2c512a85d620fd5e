/**
 * One WebSocket for the whole page. It comes back by itself, subscribes again to what is still wanted, notices a gap in
 * a channel by its `channel_seq`, a connection that is open but silent by the heartbeats that do not come, and a venue
 * that is no longer the one it was by a journal that is shorter than before.
 */

import { type Answer, type SubscribeOptions, Subscriptions } from "./subscriptions";
import type { Event } from "./wire";

export type Connection = "connecting" | "live" | "lost";

/** The venue sends a heartbeat every 5 s: after two that did not come the connection is as good as gone. */
export const SILENT_MS = 12_000;

/** The pauses before attempts to connect, and what a connection must have lasted for them to start over. */
const PAUSES_MS = [250, 500, 1_000, 2_000, 4_000, 6_000];
const GOOD_MS = 10_000;

const WATCH_MS = 1_000;
/** A watchdog that comes so late was asleep itself, and what has arrived since may still be waiting to be read. */
const LATE_MS = 5_000;
/** How long the answer to a ping may take then. */
const PING_MS = 4_000;

/** How often a key is tried again that has all the connections it may have: the venue may not know yet who has gone. */
const CROWDED_TRIES = 6;

/** What makes a key useless for good, or until its owner does something. */
const REFUSED = /^(AUTH_|IP_NOT_ALLOWED|AGENT_SUSPENDED|FORBIDDEN|SCOPE_REQUIRED|INVALID_)/;

export interface Heard {
  /** A stamp of something that has just happened at the venue. */
  stamp(ts: string): void;
  connection(now: Connection): void;
  /** The venue is another, or begins again: what is known of it is of no worth. Comes before its first snapshot. */
  reset?(): void;
}

interface Message extends Omit<Event<never>, "type">, Omit<Answer, "type"> {
  type: string;
}

export class Stream {
  readonly #url: string;
  readonly #heard: Heard;
  readonly #subscriptions: Subscriptions;
  #socket: WebSocket | null = null;
  #attempts = 0;
  #retry: ReturnType<typeof setTimeout> | null = null;
  #watchdog: ReturnType<typeof setInterval> | null = null;
  #closed = true;
  /** Something was heard on this connection; a snapshot was. */
  #live = false;
  #settled = false;
  /** By two clocks, for one of them stands still while some machines sleep. 0: never. */
  #heardAt = 0;
  #heardWall = 0;
  #beganAt = 0;
  #watchedAt = 0;
  #watchedWall = 0;
  #pingedAt: number | null = null;
  /** The highest `seq` of the venue's journal that was heard of. */
  #highest = 0;
  #apiKey: string | null = null;
  /** The key that this connection was told. */
  #told: string | null = null;
  #crowded = 0;
  #onRefused: ((code: string) => void) | null = null;

  constructor(url: string, heard: Heard) {
    this.#url = url;
    this.#heard = heard;
    this.#subscriptions = new Subscriptions((message) => this.#send(message));
  }

  open(): void {
    if (!this.#closed) return;
    this.#closed = false;
    if (typeof window !== "undefined") {
      window.addEventListener("online", this.#again);
      document.addEventListener("visibilitychange", this.#again);
    }
    this.#watchedAt = performance.now();
    this.#watchedWall = Date.now();
    this.#watchdog = setInterval(() => this.#watch(), WATCH_MS);
    this.#connect();
  }

  close(): void {
    this.#closed = true;
    if (typeof window !== "undefined") {
      window.removeEventListener("online", this.#again);
      document.removeEventListener("visibilitychange", this.#again);
    }
    if (this.#watchdog) clearInterval(this.#watchdog);
    if (this.#retry) clearTimeout(this.#retry);
    this.#watchdog = this.#retry = null;
    this.#drop();
  }

  /** Milliseconds since the venue was heard last; 0 before it ever was. */
  get silentMs(): number {
    if (!this.#heardWall) return 0;
    return Math.max(0, performance.now() - this.#heardAt, Date.now() - this.#heardWall);
  }

  /**
   * Hear a channel from a snapshot on; what is returned ends it. Handlers of one channel share a subscription, and who
   * comes later has a snapshot of its own. Handlers are never called before this has returned.
   */
  subscribe<T>(name: string, handler: (event: Event<T>) => void, options: SubscribeOptions = {}): () => void {
    return this.#subscriptions.add(name, handler as (event: Event<never>) => void, options);
  }

  /**
   * Be this agent from now on, on this connection and on those after it; null: nobody. `refused` hears why not, also
   * later, as when the key is revoked; the page is nobody then.
   */
  authenticate(apiKey: string | null, refused: (code: string) => void = () => {}): void {
    const before = this.#apiKey;
    this.#apiKey = apiKey;
    this.#onRefused = refused;
    if (before === apiKey) return;
    this.#crowded = 0;
    if (this.#told === null) this.#introduce();
    else if (!this.#closed) {
      this.#drop(); // a connection belongs to one key for as long as it lasts
      this.#attempts = 0;
      this.#connect();
    }
  }

  #again = (): void => {
    if (document.visibilityState === "hidden" || this.#closed) return;
    if (this.#socket === null) {
      this.#attempts = 0;
      this.#connect();
    } else this.#watch();
  };

  #connect(): void {
    if (this.#retry) clearTimeout(this.#retry);
    this.#retry = null;
    if (this.#socket || this.#closed) return;
    // Until there was something to be seen nothing is lost.
    if (!this.#heardWall && this.#attempts === 0) this.#heard.connection("connecting");
    this.#beganAt = performance.now();
    let socket: WebSocket;
    try {
      socket = new WebSocket(this.#url);
    } catch {
      this.#lost();
      return;
    }
    this.#socket = socket;
    socket.onopen = () => {
      if (this.#socket !== socket) return;
      this.#introduce();
      this.#subscriptions.begin();
    };
    socket.onmessage = (message) => {
      if (this.#socket === socket) this.#take(String(message.data));
    };
    socket.onclose = () => {
      if (this.#socket === socket) this.#reconnect();
    };
  }

  /** Say who this is, if it is somebody and there is a connection. */
  #introduce(): void {
    if (this.#apiKey === null || this.#socket?.readyState !== WebSocket.OPEN) return;
    this.#told = this.#apiKey;
    this.#send({ op: "authenticate", request_id: "authenticate", api_key: this.#apiKey });
  }

  #take(text: string): void {
    let message: Message;
    try {
      message = JSON.parse(text) as Message;
    } catch {
      this.#reconnect(); // whoever speaks here is not the venue
      return;
    }
    this.#heardAt = performance.now();
    this.#heardWall = Date.now();
    this.#pingedAt = null;
    if (!this.#live) {
      this.#live = true;
      this.#heard.connection("live");
    }
    if (message.channel) this.#event(message as unknown as Event<never>);
    else if (message.type === "heartbeat") {
      this.#heard.stamp(message.ts);
      this.#highest = Math.max(this.#highest, message.seq);
    } else if (message.type === "resync_required") this.#reconnect();
    else if (message.op === "authenticate") this.#identified(message);
    else if (message.type === "error" && !message.op) this.#parted(message.code ?? "");
    else this.#subscriptions.answered(message);
  }

  #event(event: Event<never>): void {
    if (event.type === "snapshot" && !this.#settled) {
      this.#settled = true;
      // A snapshot has all that anybody was told before: one that has less is of another journal.
      if (event.seq < this.#highest) {
        this.#highest = event.seq;
        this.#subscriptions.forget();
        this.#heard.reset?.();
      }
    }
    if (event.seq > this.#highest) this.#highest = event.seq;
    if (!this.#subscriptions.resumes(event.channel)) this.#heard.stamp(event.ts);
    this.#subscriptions.take(event);
  }

  #identified(answer: Message): void {
    if (answer.type === "ack") {
      this.#crowded = 0;
      this.#subscriptions.known();
    } else if (REFUSED.test(answer.code ?? "")) this.#refuse(answer.code ?? "");
    else this.#reconnect(); // the venue cannot tell just now
  }

  /** The venue ends the connection, and says why; its goodbye follows. */
  #parted(code: string): void {
    if (this.#told === null) return;
    if (REFUSED.test(code)) this.#refuse(code);
    else if (code === "RATE_LIMITED") {
      this.#crowded += 1;
      if (this.#crowded > CROWDED_TRIES) this.#refuse(code);
    }
  }

  #refuse(code: string): void {
    const refused = this.#onRefused;
    this.#apiKey = this.#told = null;
    this.#onRefused = null;
    this.#crowded = 0;
    refused?.(code);
  }

  #send(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #watch(): void {
    const now = performance.now();
    const wall = Date.now();
    const late = Math.max(now - this.#watchedAt, wall - this.#watchedWall) > LATE_MS;
    this.#watchedAt = now;
    this.#watchedWall = wall;
    if (!this.#socket) return;
    if (this.#pingedAt !== null) {
      // A hidden tab's timers come once a minute; what it was sent is read all the same.
      if (now - this.#pingedAt >= PING_MS) this.#reconnect();
      return;
    }
    const silent = this.#live ? this.silentMs : now - this.#beganAt;
    if (silent <= SILENT_MS) return;
    if (late && this.#live) {
      this.#pingedAt = now;
      this.#send({ op: "ping", request_id: "ping" });
    } else this.#reconnect();
  }

  #reconnect(): void {
    this.#drop();
    this.#lost();
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    this.#live = this.#settled = false;
    this.#told = this.#pingedAt = null;
    this.#subscriptions.end();
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #lost(): void {
    if (this.#closed) return;
    this.#heard.connection("lost");
    if (performance.now() - this.#beganAt > GOOD_MS) this.#attempts = 0;
    const pause = PAUSES_MS[Math.min(this.#attempts, PAUSES_MS.length - 1)] ?? 6_000;
    this.#attempts += 1;
    if (this.#retry) clearTimeout(this.#retry);
    this.#retry = setTimeout(() => this.#connect(), pause * (0.75 + Math.random() / 2));
  }
}

/** Where this page's venue streams. */
export function streamUrl(): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/stream`;
}
