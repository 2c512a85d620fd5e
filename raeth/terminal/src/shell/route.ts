/** Where in the page somebody is, from the address's hash: `#/trade`, `#/proof/BTC-1M-20261120T1031Z`. */

import { signal } from "@preact/signals";

export type PageName = "watch" | "trade" | "owner" | "operator" | "proof";

export interface Route {
  page: PageName;
  /** What stands after the page's name, decoded; "" if nothing does. */
  rest: string;
}

export function parseRoute(hash: string): Route {
  const [name = "", ...rest] = hash.replace(/^#\/?/, "").split("/");
  const pages: readonly string[] = ["trade", "owner", "operator", "proof"];
  return { page: pages.includes(name) ? (name as PageName) : "watch", rest: decoded(rest.join("/")) };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export const route = signal<Route>(parseRoute(typeof location === "undefined" ? "" : location.hash));

if (typeof window !== "undefined") {
  window.addEventListener("hashchange", () => {
    route.value = parseRoute(location.hash);
  });
}
