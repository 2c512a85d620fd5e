/** Calls with the operator's token, and what becomes of a token that the venue does not take. */

import { signal } from "@preact/signals";
import { type CallOptions, call, VenueError } from "../venue/http";
import { adminToken } from "../venue/session";
import type { AdminState } from "../venue/wire";

/** Why the operator is asked for a token again. */
export const turnedAway = signal<unknown>(null);

export const WRONG_TOKEN: Readonly<Record<string, string>> = {
  AUTH_INVALID: "This is not the token of this venue. It may have been renewed: look into the file again.",
  AUTH_MISSING: "The venue saw no token. Paste it again.",
  FORBIDDEN: "This credential is of another kind: the operator's token begins with rk_admin_.",
};

/** A call below `/admin`. */
export function asOperator<T>(path: string, options: CallOptions = {}): Promise<T> {
  return call<T>(`/admin${path}`, { ...options, bearer: adminToken.peek() });
}

export function act<T>(path: string, body: object): Promise<T> {
  return asOperator<T>(path, { method: "POST", body });
}

/** Try a token; it is kept only if the venue takes it. Throws `VenueError`. */
export async function enter(token: string): Promise<void> {
  await call<AdminState>("/admin/state", { bearer: token });
  turnedAway.value = null;
  adminToken.value = token;
}

/** Whether `error` means that the token does not hold; then it is let go and asked for again. */
export function lost(error: unknown): boolean {
  if (!(error instanceof VenueError) || error.status !== 401) return false;
  turnedAway.value = error;
  adminToken.value = null;
  return true;
}

/** The form of a token, for a hint before anything is sent. */
export function looksLikeToken(text: string): boolean {
  return /^rk_admin_[\x21-\x7e]{8,}$/.test(text);
}
