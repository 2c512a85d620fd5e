/** Calls of the venue's HTTP interface. An answer comes back as it is; a failure is thrown as `VenueError`. */

import type { Failure } from "./wire";

/** How long a call may take before the page says that there is no answer. */
const TIMEOUT_MS = 10_000;

export class VenueError extends Error {
  readonly code: string;
  /** 0: there was no answer at all, so what was asked for may or may not have been done. */
  readonly status: number;
  readonly requestId: string | null;
  readonly details: unknown;
  readonly retryAfterS: number | null;

  constructor(status: number, failure: Failure | null, why: string, retryAfterS: number | null = null) {
    super(failure?.message ?? why);
    this.name = "VenueError";
    this.status = status;
    this.code = failure?.code ?? (status === 0 ? "NO_ANSWER" : `HTTP_${status}`);
    this.requestId = failure?.request_id ?? null;
    this.details = failure?.details;
    this.retryAfterS = retryAfterS;
  }
}

export interface CallOptions {
  method?: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  /** Sent as JSON. */
  body?: unknown;
  /** `rk_live_…`, `rk_admin_…` or a session token. Without it the session's cookie counts, if there is one. */
  bearer?: string | null;
  query?: Record<string, string | number | readonly string[] | null | undefined>;
  signal?: AbortSignal;
}

/** Call `path`, which begins with a slash: below `/api/v1`, or at the root for `/health` and `/ready`. */
export async function call<T>(path: string, options: CallOptions = {}): Promise<T> {
  const { method = "GET", body, bearer, query, signal } = options;
  const headers: Record<string, string> = {};
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (bearer) headers.Authorization = `Bearer ${bearer}`;
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  let response: Response;
  let text: string;
  try {
    response = await fetch(address(path, query), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, limit]) : limit,
      credentials: bearer ? "omit" : "same-origin",
      cache: "no-store",
    });
    text = await response.text();
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new VenueError(0, null, "The venue did not answer.");
  }
  const parsed = parse(text);
  if (!response.ok) {
    const wait = Number(response.headers.get("Retry-After"));
    throw new VenueError(
      response.status,
      isFailure(parsed) ? parsed : null,
      `The venue answered ${response.status}.`,
      Number.isFinite(wait) && wait > 0 ? wait : null,
    );
  }
  return parsed as T;
}

function address(path: string, query: CallOptions["query"]): string {
  const root = path === "/health" || path === "/ready" ? "" : "/api/v1";
  const words = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (Array.isArray(value)) for (const each of value) words.append(name, each);
    else if (value !== null && value !== undefined) words.append(name, String(value));
  }
  const tail = words.toString();
  return `${root}${path}${tail ? `?${tail}` : ""}`;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

function isFailure(value: unknown): value is Failure {
  return typeof value === "object" && value !== null && "code" in value && "message" in value;
}
