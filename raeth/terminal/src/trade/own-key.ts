/** A key that an owner issues for this tab alone, and takes back when the trading is over. */

import { toast } from "../parts/parts";
import { lendKey, takeBackKey } from "../venue/keys";
import { agentKey, forgetKey, useKey } from "../venue/session";

const KEPT = "raeth-issued-key";
export const HOURS = 12;

interface Issued {
  agent_id: string;
  key_id: string;
}

/** Issue a key for `agentId` and use it. Throws `VenueError`. */
export async function issueKey(agentId: string): Promise<void> {
  const made = await lendKey(agentId, "terminal", ["read", "trade"], HOURS * 3_600_000);
  if (!made.api_key) return;
  keep({ agent_id: agentId, key_id: made.key_id });
  useKey(made.api_key, false);
}

/** The key of this tab was issued by this tab. */
export function isIssued(): boolean {
  const issued = kept();
  return issued !== null && (agentKey.value?.includes(issued.key_id) ?? false);
}

/** Trade no longer: the key is forgotten, and revoked if it was issued for this tab. */
export async function stopTrading(): Promise<void> {
  const issued = isIssued() ? kept() : null;
  keep(null);
  forgetKey();
  if (!issued) return;
  try {
    await takeBackKey(issued.agent_id, issued.key_id);
    toast("good", "The key of this tab was revoked.");
  } catch {
    toast(
      "bad",
      `The key could not be revoked; it expires within ${HOURS} hours. Revoke it on the owner page.`,
      12_000,
    );
  }
}

function keep(issued: Issued | null): void {
  try {
    if (issued) sessionStorage.setItem(KEPT, JSON.stringify(issued));
    else sessionStorage.removeItem(KEPT);
  } catch {
    // The key expires by itself.
  }
}

function kept(): Issued | null {
  try {
    const text = sessionStorage.getItem(KEPT);
    return text ? (JSON.parse(text) as Issued) : null;
  } catch {
    return null;
  }
}
