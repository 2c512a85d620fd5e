/** The venue's condition as a few gauges: what is read of it, and whether that is good. */

import { ago, count, money } from "../venue/format";
import type { AdminState, Health, Version } from "../venue/wire";
import { span } from "./stamp";

export type Tone = "good" | "warn" | "bad" | "plain";

export interface Gauge {
  name: string;
  value: string;
  note: string;
  tone: Tone;
}

export interface Read {
  health: Health | null;
  /** Whether `health` is young enough to be what is. */
  heard: boolean;
  /** null: taken; a code: why not; undefined: not heard. */
  refused: string | null | undefined;
  state: AdminState | null;
  version: Version | null;
  /** Real time, epoch milliseconds. */
  nowMs: number;
}

const MODES: Readonly<Record<string, string>> = {
  ok: "every command is written before it is answered",
  retrying: "a write failed and is tried again; orders wait",
  backpressured: "too much waits to be written; orders are declined",
  stopped: "nothing is written any more; orders are declined",
};

export function gauges(read: Read): Gauge[] {
  const { health, state, version } = read;
  const found: Gauge[] = [overall(health, read.heard), orders(read.heard ? read.refused : undefined)];
  if (health) found.push(journal(health), queue(health), reference(health));
  if (state) found.push(books(state), counts(state));
  if (health?.node) found.push(node(health.node));
  if (version) found.push(program(version, read.nowMs));
  if (health) found.push(time(health));
  return found;
}

function overall(health: Health | null, heard: boolean): Gauge {
  if (!health) return { name: "Venue", value: "Not heard", note: "no answer yet", tone: "bad" };
  if (!heard) return { name: "Venue", value: "Not heard", note: "all beside is what it said last", tone: "bad" };
  const good = health.status === "ok";
  return {
    name: "Venue",
    value: good ? "OK" : "Degraded",
    note: good ? "as it says of itself" : "journal or reference: see beside",
    tone: good ? "good" : "bad",
  };
}

function orders(refused: string | null | undefined): Gauge {
  if (refused === undefined) return { name: "Orders", value: "Not heard", note: "no answer", tone: "warn" };
  if (refused === null) return { name: "Orders", value: "Taken", note: "this node is ready", tone: "good" };
  const why = refused === "EXCHANGE_FROZEN" ? "the venue is frozen" : refused;
  return { name: "Orders", value: "Not taken", note: why, tone: "bad" };
}

function journal(health: Health): Gauge {
  const { mode, backend, last_error: error } = health.persistence;
  return {
    name: "Journal",
    value: mode === "ok" ? "Writing" : mode[0]?.toUpperCase() + mode.slice(1),
    note: `${backend}: ${error ?? MODES[mode] ?? mode}`,
    tone: mode === "ok" ? (error ? "warn" : "good") : mode === "retrying" ? "warn" : "bad",
  };
}

function queue(health: Health): Gauge {
  const depth = health.persistence.queue_depth;
  return {
    name: "Journal position",
    value: `seq ${count(health.seq)}`,
    note: depth === 0 ? "nothing waits to be written" : `${count(depth)} wait to be written`,
    tone: depth >= 1_000 ? "warn" : "plain",
  };
}

function reference(health: Health): Gauge {
  const { status, price_cents: price, age_ms: age, source, synthetic } = health.reference;
  return {
    name: "Reference",
    value: status === "LIVE" ? money(price) : status === "STALE" ? "Stale" : "Down",
    note: `${source}${synthetic ? ", synthetic" : ""}, ${age === null ? "no price" : age < 2_000 ? `${age} ms old` : `${ago(age)} old`}`,
    tone: status === "LIVE" ? "good" : status === "STALE" ? "warn" : "bad",
  };
}

function books(state: AdminState): Gauge {
  const { conserved, granted_cents: granted, agents_cash_cents: agents, accounts_cash_cents: masters } = state.money;
  const { fees_cents: fees } = state.money;
  return {
    name: "Money",
    value: conserved ? "Balances" : "Does not balance",
    note: `granted ${money(granted)} = agents ${money(agents)} + masters ${money(masters)} + fees ${money(fees)}`.replace(
      " = ",
      conserved ? " = " : " ≠ ",
    ),
    tone: conserved ? "good" : "bad",
  };
}

function counts(state: AdminState): Gauge {
  const suspended = state.suspended_agents ? `, ${count(state.suspended_agents)} suspended` : "";
  return {
    name: "Agents",
    value: `${count(state.agents)}${suspended}`,
    note: `${many(state.accounts, "account")}, ${many(state.keys, "key")}, ${many(state.open_orders, "open order")}`,
    tone: "plain",
  };
}

function many(n: number, what: string): string {
  return `${count(n)} ${what}${n === 1 ? "" : "s"}`;
}

function node(of: NonNullable<Health["node"]>): Gauge {
  const ahead = of.clock_ahead_ms;
  return {
    name: "This node",
    value: of.name,
    note: `${of.roles.length ? of.roles.join(", ") : "no special role"}${ahead ? `; clock ${count(ahead)} ms ahead` : ""}`,
    tone: ahead >= 500 ? "warn" : "plain",
  };
}

function time(health: Health): Gauge {
  return {
    name: "Venue time",
    value: health.now.slice(11, 19),
    note: `${health.now.slice(0, 10)} UTC, when this was read`,
    tone: "plain",
  };
}

function program(version: Version, nowMs: number): Gauge {
  const fast = version.speed === 1 ? "" : `, ${version.speed}× time`;
  return {
    name: "Version",
    value: version.version,
    note: `API v${version.api_version}, engine ${version.engine_version}${fast}; up ${span(nowMs - Date.parse(version.started_at))}`,
    tone: "plain",
  };
}
