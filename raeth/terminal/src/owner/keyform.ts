/** What is typed to make a key or an agent, checked as far as the page can before it asks. */

export type Scope = "read" | "trade" | "cancel";

export const SCOPES: readonly (readonly [Scope, string])[] = [
  ["read", "see its orders, fills, positions and cash"],
  ["trade", "place, amend and cancel orders; claim the faucet"],
  ["cancel", "cancel, and nothing else (already in trade)"],
];

/** Addresses and networks, separated by anything that cannot be in one. */
export function networksOf(text: string): string[] {
  return [...new Set(text.split(/[\s,;]+/).filter((each) => each !== ""))];
}

const DAY_MS = 86_400_000;
export const EXPIRIES: readonly (readonly [id: string, text: string, ms: number | null])[] = [
  ["never", "never", null],
  ["hour", "in an hour", 3_600_000],
  ["day", "in a day", DAY_MS],
  ["week", "in 7 days", 7 * DAY_MS],
  ["month", "in 30 days", 30 * DAY_MS],
  ["quarter", "in 90 days", 90 * DAY_MS],
];

export const NAME_RULE = "3 to 32 letters, digits, _ . or -, beginning with a letter or digit. Everybody sees it.";

/** Why `name` is none for an agent, or null. */
export function nameFault(name: string): string | null {
  if (/^[A-Za-z0-9][A-Za-z0-9_.-]{2,31}$/.test(name)) return null;
  if (name.length < 3) return "At least 3 characters.";
  if (name.length > 32) return "At most 32 characters.";
  return /^[A-Za-z0-9]/.test(name)
    ? "Only the letters A to Z, digits, and _ . -"
    : "It has to begin with a letter or a digit.";
}

/** Why `password` is none to sign up with, or null. */
export function passwordFault(password: string): string | null {
  if ([...password].length < 8) return "At least 8 characters.";
  return new TextEncoder().encode(password).length > 1_024 ? "At most 1,024 bytes." : null;
}
