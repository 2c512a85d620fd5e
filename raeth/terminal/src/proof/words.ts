/** Reasons and rules of settlements in plain words. Pure. */

import type { Market, Print, Settlement } from "../venue/wire";
import type { Rule } from "./recompute";

const REASONS: Readonly<Record<string, string>> = {
  UP: "The close print is above the open print.",
  DOWN: "The close print is below the open print.",
  TIE: "Both prints are equal, and the tie rule decides.",
  NO_CLOSE_PRINT: "There was no usable price at the close.",
  OPEN_PRINT_UNUSABLE: "There was no usable price at the open, so there was nothing to compare with.",
  VENUE_DOWN: "The venue was down at a boundary of this window, so nobody watched it.",
  OPERATOR: "An operator of the venue voided it. Why, is in the venue's audit log.",
};

export function reasonWords(reason: string | null): string {
  return reason === null ? "" : (REASONS[reason] ?? reason);
}

const PRINT_REASONS: Readonly<Record<string, string>> = {
  no_price: "No venue had a price.",
  too_old: "Every price was too old.",
  no_quorum: "Too few venues had a usable price.",
  PRICE_TOO_OLD: "The price was too old at the boundary.",
  GRACE_PASSED: "No print came in the time a print may take.",
};

export function printReason(print: Print): string {
  return print.reason === null ? "" : (PRINT_REASONS[print.reason] ?? print.reason);
}

/** What the window asked, in one sentence. */
export function question(market: Market): string {
  const time = (at: string) => (market.rules.window_ms % 60_000 ? at.slice(11, 19) : at.slice(11, 16));
  return `Was Bitcoin higher at ${time(market.close_at)} than at ${time(market.open_at)} UTC on ${market.close_at.slice(0, 10)}?`;
}

export function answer(evidence: Settlement): string {
  const { status, resolution } = evidence;
  if (status === "VOID" || resolution === "VOID")
    return "Void: the window never happened, and every cash flow in it was reversed.";
  if (status !== "RESOLVED") return "Not decided yet.";
  return resolution === "YES"
    ? "Yes. YES paid 100¢ a contract, NO nothing."
    : "No. NO paid 100¢ a contract, YES nothing.";
}

export function ruleWords(rule: Rule): string {
  if (rule.kind === "median") {
    const early =
      rule.asOfMs === null ? "" : " Too few venues had one at the boundary, so it is as of the last time enough had.";
    return `Each venue's last price at or before the boundary, at most ${rule.maxAgeMs} ms old; those more than ${rule.outlierBps / 100} % from the median are left out; at least ${rule.quorum} must remain, and their median is the price.${early}`;
  }
  if (rule.kind === "last") {
    return rule.journal
      ? `The last price in the venue's journal at or before the boundary, at most ${rule.maxAgeMs} ms old: whoever fed the price then is gone, and what it had seen since with it.`
      : `The last recorded price at or before the boundary, at most ${rule.maxAgeMs} ms old.`;
  }
  return rule.kind === "none" ? "There was no print." : "A rule that this page does not know.";
}

/** Where the prices of a print come from, for people. */
export function sourceWords(source: string): string {
  if (source === "simulated") return "simulated: made up by the venue, not the real Bitcoin price";
  if (source === "live") return "live prices of several exchanges";
  if (source.startsWith("replay:")) return `recorded prices, ${source.slice("replay:".length)}`;
  return source === "none" ? "nobody" : source;
}

/** The names of the windows before and after one, as the venue names them: by their close. */
export function neighbours(market: Market): { before: string; after: string } {
  const close = Date.parse(market.close_at);
  return {
    before: symbolOf(market.series, Date.parse(market.open_at)),
    after: symbolOf(market.series, close + market.rules.window_ms),
  };
}

function symbolOf(series: string, closeMs: number): string {
  const iso = new Date(closeMs).toISOString();
  const within = closeMs % 60_000 ? iso.slice(17, 19) : "";
  const ms = closeMs % 1_000 ? iso.slice(20, 23) : "";
  return `${series}-${iso.slice(0, 10).replaceAll("-", "")}T${iso.slice(11, 13)}${iso.slice(14, 16)}${within}${ms}Z`;
}
