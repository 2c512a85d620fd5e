/** Times of an operator's console: the day only where it is not today's. */

/** "10:30:00 UTC", "2026-11-19 10:30:00 UTC". */
export function stamp(ts: string, nowMs: number): string {
  const today = new Date(nowMs).toISOString().slice(0, 10);
  const day = ts.slice(0, 10);
  return `${day === today ? "" : `${day} `}${ts.slice(11, 19)} UTC`;
}

/** "3 min", "2 h 05 min", "4 d 3 h": how long something has run. */
export function span(ms: number): string {
  const min = Math.max(0, Math.floor(ms / 60_000));
  if (min < 1) return `${Math.max(0, Math.floor(ms / 1_000))} s`;
  if (min < 60) return `${min} min`;
  if (min < 1_440) return `${Math.floor(min / 60)} h ${String(min % 60).padStart(2, "0")} min`;
  return `${Math.floor(min / 1_440)} d ${Math.floor(min / 60) % 24} h`;
}
