/** A failed call in plain words. The code and the request's id go with it, for whoever has to look into it. */

import { VenueError } from "./http";

export interface Said {
  text: string;
  /** Of the catalogue; null where the page itself failed. */
  code: string | null;
  requestId: string | null;
}

const WORDS: Readonly<Record<string, string>> = {
  NO_ANSWER: "The venue did not answer.",
  RATE_LIMITED: "Too many requests; the budget of this minute is used up.",
  EXCHANGE_FROZEN: "The venue is frozen: nothing that adds risk or moves cash is taken until an operator lifts it.",
  SERVICE_DEGRADED: "The venue cannot write its journal at the moment. Nothing was done.",
  INTERNAL_ERROR: "The venue failed while it did this; it may or may not have been done.",
};

/** `own`: what a code means here, where the page can say it better than the venue. */
export function said(error: unknown, own: Readonly<Record<string, string>> = {}): Said {
  if (!(error instanceof VenueError)) {
    return { text: "This page made a mistake. Load it again.", code: null, requestId: null };
  }
  const wait = error.retryAfterS === null ? "" : ` Try again in ${error.retryAfterS} s.`;
  const faults = [...faultsOf(error)].map(([field, message]) => `${field}: ${message}`).join("; ");
  const text = own[error.code] ?? WORDS[error.code] ?? error.message;
  return {
    text: `${text}${faults ? ` ${faults}.` : ""}${wait}`,
    code: error.code,
    requestId: error.requestId,
  };
}

/** What was wrong with single fields, by the field's name. */
export function faultsOf(error: unknown): Map<string, string> {
  const faults = new Map<string, string>();
  if (!(error instanceof VenueError) || !Array.isArray(error.details)) return faults;
  for (const each of error.details as unknown[]) {
    if (typeof each !== "object" || each === null) continue;
    const { field, message } = each as { field?: unknown; message?: unknown };
    if (typeof field === "string" && typeof message === "string") faults.set(field, message);
  }
  return faults;
}

/** The answer is lost, or may be wrong: what was asked for may or may not have been done. */
export function unsure(error: unknown): boolean {
  return error instanceof VenueError && (error.status === 0 || error.code === "INTERNAL_ERROR");
}
