/** The frame around every page: where one is, whether the venue is heard, what must not be overlooked. */

import { useSignal } from "@preact/signals";
import type { ComponentType, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Button, Toasts } from "../parts/parts";
import { clockTime } from "../venue/format";
import { connection, nowS, old } from "../venue/live";
import Watch from "../watch/index";
import { Banner } from "./banner";
import { type PageName, route } from "./route";
import { theme, toggleTheme } from "./theme";
import "./shell.css";

const NAMES: readonly (readonly [PageName, string])[] = [
  ["watch", "Watch"],
  ["trade", "Trade"],
  ["owner", "Owner"],
  ["operator", "Operator"],
  ["proof", "Proof"],
];

const LATER: Record<Exclude<PageName, "watch">, () => Promise<{ default: ComponentType }>> = {
  trade: () => import("../trade/index"),
  owner: () => import("../owner/index"),
  operator: () => import("../operator/index"),
  proof: () => import("../proof/index"),
};

function Page(): JSX.Element {
  const { page } = route.value;
  const loaded = useSignal<{ page: PageName; Content: ComponentType } | null>(null);
  const failed = useSignal(false);
  useEffect(() => {
    failed.value = false;
    if (page === "watch") return;
    let wanted = true;
    LATER[page]()
      .then(({ default: Content }) => {
        if (wanted) loaded.value = { page, Content };
      })
      .catch(() => {
        failed.value = wanted;
      });
    return () => {
      wanted = false;
    };
  }, [page, failed, loaded]);
  if (page === "watch") return <Watch />;
  if (failed.value) {
    return (
      <p class="empty" role="alert">
        This part of the page could not be loaded. <Button onClick={() => location.reload()}>Load again</Button>
      </p>
    );
  }
  const now = loaded.value;
  return now?.page === page ? <now.Content /> : <p class="empty">Loading …</p>;
}

export function Shell(): JSX.Element {
  const main = useRef<HTMLElement>(null);
  const { page } = route.value;
  const name = NAMES.find(([each]) => each === page)?.[1] ?? "";
  useEffect(() => {
    document.title = page === "watch" ? "raeth" : `${name} · raeth`;
    window.scrollTo(0, 0);
  }, [page, name]);
  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <header class="top">
        <a class="brand" href="#/" aria-label="raeth, watch">
          <svg viewBox="0 0 32 32" width="24" height="24" aria-hidden="true">
            <path d="M5 20h22" class="brand-strike" />
            <path d="M5 24l6-6 5 3 5-10 6 4" class="brand-line" />
          </svg>
          raeth
        </a>
        <nav aria-label="Pages">
          {NAMES.map(([each, text]) => (
            <a
              key={each}
              href={each === "watch" ? "#/" : `#/${each}`}
              aria-current={each === page ? "page" : undefined}
            >
              {text}
            </a>
          ))}
        </nav>
        <p
          class={`pulse pulse-${old.value ? "old" : connection.value}`}
          data-connection={old.value ? "old" : connection.value}
        >
          <span class="pulse-dot" aria-hidden="true" />
          <span class="pulse-word">{old.value ? "old" : connection.value === "live" ? "live" : "connecting"}</span>
          <time class="number" aria-hidden="true">
            {clockTime(nowS.value * 1000)} UTC
          </time>
        </p>
        <button
          type="button"
          class="theme"
          onClick={toggleTheme}
          aria-label={theme.value === "dark" ? "Light theme" : "Dark theme"}
          title={theme.value === "dark" ? "Light theme" : "Dark theme"}
        >
          {theme.value === "dark" ? "☀" : "☾"}
        </button>
      </header>
      <Banner />
      <main id="main" ref={main} tabIndex={-1} class={`page page-${page}`}>
        <Page />
      </main>
      <footer class="foot">
        <p>Test cash only. An independent open-source venue.</p>
        <p>
          <a href="/docs">API</a> <a href="/llms.txt">For agents</a> <a href="/status">Status</a>{" "}
          <a href="/licenses.txt">Licenses</a>
        </p>
      </footer>
      <Toasts />
    </>
  );
}
