/** What is read of an owner's agents, again and again while the page is looked at: there is no stream for owners. */

import { useRef } from "preact/hooks";
import { call } from "../venue/http";
import { type Kept, withNewest, withOlder } from "../venue/pages";
import { type Polled, usePolled } from "../venue/poll";
import type { Account, ApiKey, LedgerEntry, OwnAgent, Page, Position } from "../venue/wire";
import { rowKey } from "./curve";

/** So many rows of a ledger are kept; what is older is not drawn. */
export const LEDGER_MOST = 2_000;
const PAGE = 250;

/** The accounts of all agents, by id. */
export function useAccounts(agents: readonly OwnAgent[]): Polled<Map<string, Account>> {
  const ids = agents.map((each) => each.agent_id);
  return usePolled(`accounts ${ids.join()}`, 6_000, async (signal) => {
    const read = (id: string) => call<Account>("/account", { query: { agent_id: id }, signal });
    const accounts = await Promise.all(ids.map(read));
    return new Map(accounts.map((account) => [account.agent_id, account]));
  });
}

export function usePositions(agentId: string): Polled<Position[]> {
  return usePolled(`positions ${agentId}`, 5_000, async (signal) => {
    return (await call<{ items: Position[] }>("/positions", { query: { agent_id: agentId }, signal })).items;
  });
}

/** The newest rows of the ledger, newest first, without holes: first all of them, then only what is new. */
export function useLedger(agentId: string): Polled<Kept<LedgerEntry>> {
  const known = useRef<{ agentId: string; kept: Kept<LedgerEntry> } | null>(null);
  return usePolled(`ledger ${agentId}`, 30_000, async (signal) => {
    const read = (cursor: string | null, limit: number) =>
      call<Page<LedgerEntry>>("/ledger", { query: { agent_id: agentId, limit, cursor }, signal });
    const before = known.current?.agentId === agentId ? known.current.kept : null;
    let kept = withNewest(before, await read(null, before ? 50 : PAGE), rowKey, LEDGER_MOST);
    while (kept.cursor !== null && kept.items.length < LEDGER_MOST) {
      kept = withOlder(kept, await read(kept.cursor, PAGE), LEDGER_MOST);
    }
    known.current = { agentId, kept };
    return kept;
  });
}

export function useKeys(agentId: string): Polled<ApiKey[]> {
  return usePolled(`keys ${agentId}`, 30_000, async (signal) => {
    return (await call<Page<ApiKey>>(`/me/agents/${agentId}/keys`, { query: { limit: 250 }, signal })).items;
  });
}
