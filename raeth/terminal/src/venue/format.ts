/** Numbers as people read them. Whole cents in, text out; nothing here is computed with. */

const grouped = new Intl.NumberFormat("en-US");

/** 123456 → "$1,234.56"; with `sign` also "+$1.00". */
export function money(cents: number | null | undefined, sign = false): string {
  if (cents === null || cents === undefined) return "–";
  const whole = Math.abs(cents);
  const text = `$${grouped.format(Math.trunc(whole / 100))}.${String(whole % 100).padStart(2, "0")}`;
  return cents < 0 ? `−${text}` : sign && cents > 0 ? `+${text}` : text;
}

/** A price of a contract: "55¢". */
export function price(cents: number | null | undefined): string {
  return cents === null || cents === undefined ? "–" : `${cents}¢`;
}

export function count(value: number | null | undefined): string {
  return value === null || value === undefined ? "–" : grouped.format(value).replace("-", "−");
}

/** Basis points as a percentage: 5025 → "50.3 %". */
export function percent(bps: number | null | undefined): string {
  return bps === null || bps === undefined ? "–" : `${(bps / 100).toFixed(1)} %`;
}

/** The time of day of a stamp, UTC: "10:30:00". */
export function clockTime(ts: string | number, withMs = false): string {
  const iso = typeof ts === "number" ? new Date(ts).toISOString() : ts;
  return iso.slice(11, withMs ? 23 : 19);
}

/** What is left: "0:42", "1:05:09". Never negative. */
export function countdown(ms: number): string {
  const all = Math.max(0, Math.ceil(ms / 1000));
  const [h, m, s] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  return h ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

/** How long ago: "3 s", "5 min", "2 h". */
export function ago(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  return s < 120 ? `${s} s` : s < 7_200 ? `${Math.round(s / 60)} min` : `${Math.round(s / 3_600)} h`;
}

function pad(value: number): string {
  return String(value).padStart(2, "0");
}
