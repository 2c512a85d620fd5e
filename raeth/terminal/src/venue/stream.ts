/**
 * One WebSocket for the whole page. It comes back by itself, subscribes again to what is still wanted, notices a gap in
 * a channel by its `channel_seq`, and a connection that is open but silent by the heartbeats that do not come.
 */

import type { Event } from "./wire";

export type Connection = "connecting" | "live" | "lost";

/** The venue sends a heartbeat every 5 s: after two that did not come the connection is as good as gone. */
export const SILENT_MS = 12_000;

const PAUSES_MS = [250, 500, 1_000, 2_000, 4_000, 8_000];

type Handler = (event: Event<never>) => void;

interface Channel {
  handlers: Set<Handler>;
  last: number | null;
  /** Complete and resumable, as `private.<agent>` is: the last `seq` that was told. */
  resumable: boolean;
  seq: number | null;
}

export interface Heard {
  /** Every message that carries a stamp. */
  stamp(ts: string): void;
  connection(now: Connection): void;
}

interface Message extends Event<never> {
  op?: string;
  code?: string;
  data: never;
}

export class Stream {
  readonly #url: string;
  readonly #heard: Heard;
  readonly #channels = new Map<string, Channel>();
  #socket: WebSocket | null = null;
  #attempts = 0;
  #retry: ReturnType<typeof setTimeout> | null = null;
  #watchdog: ReturnType<typeof setInterval> | null = null;
  #heardAt = 0;
  #apiKey: string | null = null;
  #onRefused: ((code: string) => void) | null = null;
  #closed = false;

  constructor(url: string, heard: Heard) {
    this.#url = url;
    this.#heard = heard;
  }

  open(): void {
    this.#closed = false;
    if (typeof window !== "undefined") {
      window.addEventListener("online", this.#again);
      document.addEventListener("visibilitychange", this.#again);
    }
    this.#watchdog ??= setInterval(() => this.#watch(), 1_000);
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
    return this.#heardAt ? performance.now() - this.#heardAt : 0;
  }

  /** Hear a channel from its snapshot on; what is returned ends it. Handlers of one channel share a subscription. */
  subscribe<T>(name: string, handler: (event: Event<T>) => void, options: { resumable?: boolean } = {}): () => void {
    let channel = this.#channels.get(name);
    if (!channel) {
      channel = { handlers: new Set(), last: null, resumable: options.resumable ?? false, seq: null };
      this.#channels.set(name, channel);
      this.#send(this.#wish(name, channel));
    } else {
      this.#resubscribe(name, channel); // the newcomer needs a snapshot
    }
    const own = channel;
    own.handlers.add(handler as Handler);
    return () => {
      if (!own.handlers.delete(handler as Handler)) return;
      if (own.handlers.size === 0 && this.#channels.get(name) === own) {
        this.#channels.delete(name);
        this.#send({ op: "unsubscribe", channels: [name] });
      }
    };
  }

  /** Be this agent from now on, on this connection and on those after it; null: nobody. `refused` hears why not. */
  authenticate(apiKey: string | null, refused: (code: string) => void = () => {}): void {
    const before = this.#apiKey;
    this.#apiKey = apiKey;
    this.#onRefused = refused;
    if (before === apiKey) return;
    if (before !== null) this.#reconnect();
    else if (apiKey !== null) this.#send({ op: "authenticate", request_id: "authenticate", api_key: apiKey });
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
    this.#heard.connection(this.#attempts ? "lost" : "connecting");
    const socket = new WebSocket(this.#url);
    this.#socket = socket;
    this.#heardAt = performance.now();
    socket.onopen = () => {
      if (this.#socket !== socket) return;
      if (this.#apiKey !== null) {
        this.#send({ op: "authenticate", request_id: "authenticate", api_key: this.#apiKey });
      }
      const plain: string[] = [];
      for (const [name, channel] of this.#channels) {
        channel.last = null;
        if (channel.resumable) this.#send(this.#wish(name, channel));
        else plain.push(name);
      }
      if (plain.length) this.#send({ op: "subscribe", channels: plain });
    };
    socket.onmessage = (message) => {
      if (this.#socket === socket) this.#take(String(message.data));
    };
    socket.onclose = () => {
      if (this.#socket === socket) this.#lost();
    };
  }

  #take(text: string): void {
    this.#heardAt = performance.now();
    const message = JSON.parse(text) as Message;
    if (this.#attempts !== -1) {
      this.#attempts = -1;
      this.#heard.connection("live");
    }
    if (message.ts) this.#heard.stamp(message.ts);
    if (message.channel) {
      this.#deliver(message);
    } else if ((message.type as string) === "resync_required") {
      this.#reconnect();
    } else if (message.op === "authenticate" && (message.type as string) !== "ack") {
      this.#onRefused?.(message.code ?? "UNAUTHENTICATED");
    }
  }

  #deliver(event: Event<never>): void {
    const channel = this.#channels.get(event.channel);
    if (!channel) return;
    const follows = event.type === "snapshot" || channel.last === null || event.channel_seq === channel.last + 1;
    if (!follows) {
      this.#resubscribe(event.channel, channel);
      return;
    }
    if (event.type !== "snapshot" && channel.last === null && !channel.resumable) return; // its snapshot is under way
    channel.last = event.channel_seq;
    channel.seq = event.seq;
    for (const handler of channel.handlers) handler(event);
  }

  #resubscribe(name: string, channel: Channel): void {
    channel.last = null;
    this.#send({ op: "unsubscribe", channels: [name] });
    this.#send(this.#wish(name, channel));
  }

  #wish(name: string, channel: Channel): object {
    const from = channel.resumable && channel.seq !== null ? { from_seq: channel.seq + 1 } : {};
    return { op: "subscribe", channels: [name], ...from };
  }

  #send(message: object): void {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(message));
  }

  #watch(): void {
    if (this.#socket && performance.now() - this.#heardAt > SILENT_MS) this.#reconnect();
  }

  #reconnect(): void {
    this.#drop();
    this.#lost();
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #lost(): void {
    this.#socket = null;
    if (this.#closed) return;
    this.#heard.connection("lost");
    const attempt = Math.max(0, this.#attempts);
    this.#attempts = attempt + 1;
    const pause = PAUSES_MS[Math.min(attempt, PAUSES_MS.length - 1)] ?? 8_000;
    this.#retry = setTimeout(() => this.#connect(), pause * (0.75 + Math.random() / 2));
  }
}

/** Where this page's venue streams. */
export function streamUrl(): string {
  return `${location.protocol === "https:" ? "wss" : "ws"}://${location.host}/stream`;
}
