/**
 * Who this tab is: an agent by its key, an owner by the session's cookie, an operator by the admin token. The key is
 * kept in memory and, so that a reload of the tab does not lose it, in sessionStorage; in localStorage only where the
 * user says so. The admin token and the session's token are never stored.
 */

import { signal } from "@preact/signals";
import { call, VenueError } from "./http";
import type { OwnerAccount } from "./wire";

const KEPT = "raeth-agent-key";

interface Store {
  getItem(name: string): string | null;
  setItem(name: string, value: string): void;
  removeItem(name: string): void;
}

/** The agent's key, `rk_live_…`, or null. */
export const agentKey = signal<string | null>(keptKey());
/** Why the last key was dropped by the page itself, in words; null where the user did it. */
export const dropped = signal<string | null>(null);
/** The account of whoever signed in; null: nobody, as far as is known. */
export const owner = signal<OwnerAccount | null>(null);
/** The operator's token; gone with the tab. */
export const adminToken = signal<string | null>(null);

/** Be this agent; with `remember` also after the browser was closed. */
export function useKey(key: string, remember = false): void {
  const text = key.trim();
  attempt("sessionStorage", (store) => store.setItem(KEPT, text));
  attempt("localStorage", (store) => (remember ? store.setItem(KEPT, text) : store.removeItem(KEPT)));
  dropped.value = null;
  agentKey.value = text;
}

/** Be nobody again; `why`, where it is not the user's own wish. */
export function forgetKey(why: string | null = null): void {
  attempt("sessionStorage", (store) => store.removeItem(KEPT));
  attempt("localStorage", (store) => store.removeItem(KEPT));
  dropped.value = why;
  agentKey.value = null;
}

/** Could be a key, by its form alone: for a hint before anything is sent. */
export function looksLikeKey(text: string): boolean {
  return /^rk_live_[0-9a-z]+_[A-Za-z0-9_-]{16,}$/.test(text.trim());
}

/** Sign in and read the account. The session is the cookie's; its token in the answer is let go. Throws `VenueError`. */
export async function signIn(email: string, password: string): Promise<OwnerAccount> {
  await call("/auth/login", { method: "POST", body: { email: email.trim(), password } });
  return readOwner();
}

/** End the session. A session that is over already is no failure. */
export async function signOut(): Promise<void> {
  try {
    await call("/auth/logout", { method: "POST" });
  } catch (error) {
    if (!(error instanceof VenueError && error.status === 401)) throw error;
  }
  owner.value = null;
}

/** Read the account again: after a transfer, a new agent. Throws `VenueError`; nobody is signed in after a 401. */
export async function readOwner(): Promise<OwnerAccount> {
  try {
    const account = await call<OwnerAccount>("/me");
    owner.value = account;
    return account;
  } catch (error) {
    if (error instanceof VenueError && error.status === 401) owner.value = null;
    throw error;
  }
}

let asked: Promise<OwnerAccount | null> | null = null;

/** Whose cookie this browser holds; asked once, and again only if there was no answer. */
export function ownerReady(): Promise<OwnerAccount | null> {
  if (owner.peek()) return Promise.resolve(owner.peek());
  asked ??= readOwner().catch((error: unknown) => {
    if (!(error instanceof VenueError && error.status === 401)) asked = null;
    return null;
  });
  return asked.then(() => owner.peek());
}

function keptKey(): string | null {
  return attempt("sessionStorage", read) ?? attempt("localStorage", read) ?? null;
}

function read(store: Store): string | null {
  const text = store.getItem(KEPT);
  return text && looksLikeKey(text) ? text : null;
}

/** Storage may be switched off, full, or not there: the page works without. */
function attempt<T>(name: "sessionStorage" | "localStorage", use: (store: Store) => T): T | undefined {
  try {
    const store = globalThis[name] as Store | undefined;
    return store ? use(store) : undefined;
  } catch {
    return undefined;
  }
}
