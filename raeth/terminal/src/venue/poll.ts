/**
 * What is read again and again because no stream tells it. Only while the page is looked at: hidden, it asks nothing,
 * and asks at once when it is seen again.
 */

import { useSignal } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { VenueError } from "./http";

export interface Polled<T> {
  /** The last good answer, also after a failure: its age says how old it is. */
  data: T | null;
  /** Why the last attempt failed; null after a good one. */
  error: unknown;
  /** When `data` was read, `performance.now()`. */
  atMs: number | null;
  /** Read now, as after a change of one's own. */
  refresh: () => void;
}

interface Reading<T> {
  key: string;
  data: T | null;
  error: unknown;
  atMs: number | null;
}

/** Read every `everyMs`. Another `key` is another thing: what was read of the one before is forgotten. */
export function usePolled<T>(key: string, everyMs: number, read: (signal: AbortSignal) => Promise<T>): Polled<T> {
  const reading = useSignal<Reading<T> | null>(null);
  const how = useRef(read);
  how.current = read;
  const refresh = useRef<() => void>(() => {});

  useEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined;
    let running: AbortController | null = null;
    let over = false;
    const run = async () => {
      clearTimeout(timer);
      running?.abort();
      const own = new AbortController();
      running = own;
      let wait = everyMs;
      try {
        const data = await how.current(own.signal);
        if (running !== own) return;
        reading.value = { key, data, error: null, atMs: performance.now() };
      } catch (error) {
        if (running !== own) return;
        const before = reading.peek();
        const kept = before?.key === key ? before : { key, data: null, atMs: null };
        reading.value = { ...kept, error };
        if (error instanceof VenueError) wait = Math.max(wait, (error.retryAfterS ?? 0) * 1_000);
      }
      running = null;
      if (!over && document.visibilityState === "visible") timer = setTimeout(run, wait);
    };
    const seen = () => {
      clearTimeout(timer);
      if (document.visibilityState === "visible") void run();
    };
    refresh.current = () => void run();
    document.addEventListener("visibilitychange", seen);
    void run();
    return () => {
      over = true;
      document.removeEventListener("visibilitychange", seen);
      clearTimeout(timer);
      const last = running;
      running = null;
      last?.abort();
      refresh.current = () => {};
    };
  }, [key, everyMs, reading]);

  const now = reading.value?.key === key ? reading.value : null;
  return {
    data: now?.data ?? null,
    error: now?.error ?? null,
    atMs: now?.atMs ?? null,
    refresh: () => refresh.current(),
  };
}
