/** Keys that the page makes with an owner's session for a purpose of its own, and takes back. Each expires by itself. */

import { call } from "./http";
import type { ApiKey } from "./wire";

/** Throws `VenueError`. `forMs`: milliseconds of real time. */
export function lendKey(agentId: string, name: string, scopes: readonly string[], forMs: number): Promise<ApiKey> {
  const expires_at = new Date(Date.now() + forMs).toISOString();
  return call<ApiKey>(`/me/agents/${agentId}/keys`, { method: "POST", body: { name, scopes, expires_at } });
}

/** Throws `VenueError`. */
export function takeBackKey(agentId: string, keyId: string): Promise<unknown> {
  return call(`/me/agents/${agentId}/keys/${keyId}`, { method: "DELETE" });
}
