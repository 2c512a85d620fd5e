/** What operators did, as sentences; and what can be told from it. */

import { money } from "../venue/format";
import type { AdminAction } from "../venue/wire";

/** `name` turns the id of an agent or a window into what people call it. */
export function actionWords(row: AdminAction, name: (id: string) => string | null): string {
  const target = row.target === null ? "" : (name(row.target) ?? shortId(row.target));
  return row.refused === null ? done(row, target) : `${tried(row, target)}: refused, ${row.refused}`;
}

function done(row: AdminAction, target: string): string {
  switch (row.action) {
    case "FREEZE":
      return "Froze the venue";
    case "UNFREEZE":
      return "Lifted the freeze";
    case "HALT":
      return `Halted ${target}`;
    case "RESUME":
      return `Resumed ${target}`;
    case "VOID":
      return `Voided ${target}`;
    case "SUSPEND":
      return `Suspended ${target}`;
    case "REINSTATE":
      return `Reinstated ${target}`;
    case "GRANT":
      return `Granted ${money(row.amount_cents)} to ${target}`;
    case "REVOKE_KEY":
      return `Revoked key ${row.key_id ?? ""}`;
    case "BROADCAST":
      return "Told everybody";
    default:
      return `${row.action} ${target}`.trim();
  }
}

function tried(row: AdminAction, target: string): string {
  const what = row.action.toLowerCase().replace("_", " ");
  return `Tried to ${what} ${row.action === "REVOKE_KEY" ? (row.key_id ?? "") : target}`.trim();
}

/** Ids of one venue begin alike: it is the end that tells them apart. */
export function shortId(id: string): string {
  return id.length > 18 ? `${id.slice(0, 4)}…${id.slice(-10)}` : id;
}

/** The freeze that holds: when, by whom. `rows` are newest first; null if it is not among them. */
export function lastFreeze(rows: readonly AdminAction[]): AdminAction | null {
  const last = rows.find((row) => row.refused === null && (row.action === "FREEZE" || row.action === "UNFREEZE"));
  if (last?.action !== "FREEZE") return null;
  return last;
}

/** Whether operators suspended this agent, as far as `rows` go back; null if they tell nothing of it. */
export function suspendedBy(rows: readonly AdminAction[], agentId: string): boolean | null {
  const last = rows.find(
    (row) => row.target === agentId && row.refused === null && (row.action === "SUSPEND" || row.action === "REINSTATE"),
  );
  return last ? last.action === "SUSPEND" : null;
}

/** The public id in a pasted key, or a pasted id itself: 16 hex digits. The secret is not needed, and not kept. */
export function keyIdOf(text: string): string | null {
  return /^(?:rk_live_)?([0-9a-f]{16})(?:_\S*)?$/.exec(text.trim())?.[1] ?? null;
}

export interface Known {
  id: string;
  name: string;
}

const ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/** Agents whose name or id has `text` in it, best first; an id that nobody knows is itself a find. */
export function find(agents: readonly Known[], text: string, most = 8): Known[] {
  const wanted = text.trim().toLowerCase();
  if (wanted === "") return [];
  const ranked = agents
    .map((agent) => ({ agent, rank: rank(agent, wanted) }))
    .filter(({ rank }) => rank < 4)
    .sort((a, b) => a.rank - b.rank || (a.agent.name < b.agent.name ? -1 : 1))
    .map(({ agent }) => agent);
  if (ranked.length === 0 && ID.test(wanted)) return [{ id: wanted, name: "" }];
  return ranked.slice(0, most);
}

function rank(agent: Known, wanted: string): number {
  const name = agent.name.toLowerCase();
  if (name === wanted || agent.id === wanted) return 0;
  if (name.startsWith(wanted)) return 1;
  if (name.includes(wanted)) return 2;
  return agent.id.includes(wanted) ? 3 : 4;
}
