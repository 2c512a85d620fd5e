/** The windows that are over, the newest first, and the way to any of them by its name. */

import { useSignal, useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Button, Choice, Empty, Field, Panel, Tag } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { clockTime, count, money } from "../venue/format";
import { call } from "../venue/http";
import { ended } from "../venue/live";
import { type Kept, withNewest, withOlder } from "../venue/pages";
import type { Market, Outcome, Page } from "../venue/wire";

const PAGE = 50;
/** More than anybody scrolls through; the rest is found by its name. */
const MOST = 1_000;

type Which = "all" | "resolved" | "void";
const STATUSES: Record<Which, readonly string[]> = {
  all: ["RESOLVED", "VOID"],
  resolved: ["RESOLVED"],
  void: ["VOID"],
};

export function Windows(): JSX.Element {
  const which = useSignal<Which>("all");
  const kept = useSignal<Kept<Market> | null>(null);
  const failed = useSignal<unknown>(null);
  const busy = useSignal(false);

  const read = async (cursor: string | null, own: Which) => {
    busy.value = true;
    try {
      const query = { status: STATUSES[own], limit: PAGE, cursor };
      const page = await call<Page<Market>>("/markets", { query });
      if (own !== which.peek()) return;
      const known = kept.peek();
      kept.value = cursor && known ? withOlder(known, page, MOST) : withNewest(known, page, (each) => each.id, MOST);
      failed.value = null;
    } catch (error) {
      if (own === which.peek()) failed.value = error;
    } finally {
      if (own === which.peek()) busy.value = false;
    }
  };

  useEffect(() => {
    void read(null, which.peek());
  }, []);

  // A window that ends while one looks goes to the top.
  useSignalEffect(() => {
    const newest = ended.value.find((market) => market.status === "RESOLVED" || market.status === "VOID");
    const known = kept.peek();
    if (!newest || !known || known.items.some((each) => each.id === newest.id)) return;
    if (!STATUSES[which.peek()].includes(newest.status)) return;
    const first = known.items[0];
    if (!first || newest.close_at > first.close_at) void read(null, which.peek());
  });

  const choose = (value: Which) => {
    which.value = value;
    kept.value = null;
    failed.value = null;
    void read(null, value);
  };

  const list = kept.value;
  return (
    <div class="proof proof-start">
      <h1>Proof</h1>
      <p class="proof-lead">
        Every window pays by two prices. Open one, and its outcome is worked out again in your browser, from the
        evidence the venue published, step by step, and compared with what the venue says.
      </p>
      <Find />
      <Panel
        title="Windows that are over"
        aside={
          <Choice
            label="Which windows"
            value={which.value}
            options={[
              ["all", "All"],
              ["resolved", "Resolved"],
              ["void", "Void"],
            ]}
            onChange={choose}
          />
        }
      >
        {list && list.items.length > 0 && <Rows items={list.items} />}
        {list && list.items.length === 0 && (
          <Empty>{which.value === "void" ? "No window has ended void." : "No window is over yet."}</Empty>
        )}
        {!list && !failed.value && <Empty>Loading …</Empty>}
        {failed.value !== null && (
          <div class="proof-failed">
            <Trouble error={failed.value} />
            <Button onClick={() => void read(null, which.peek())}>Try again</Button>
          </div>
        )}
        {list?.cursor && (
          <p class="proof-more">
            <Button busy={busy.value} onClick={() => void read(list.cursor, which.peek())}>
              Show older windows
            </Button>
          </p>
        )}
      </Panel>
    </div>
  );
}

function Find(): JSX.Element {
  const fault = useSignal<string | null>(null);
  const find = (event: Event) => {
    event.preventDefault();
    const input = new FormData(event.currentTarget as HTMLFormElement).get("name");
    const name = String(input ?? "").trim();
    fault.value = name ? null : "Type a window's name or id.";
    if (name) location.hash = `#/proof/${encodeURIComponent(name)}`;
  };
  return (
    <form class="proof-find" onSubmit={find}>
      <Field
        label="Find a window by its name or id"
        name="name"
        placeholder="BTC-1M-20261120T1031Z"
        autocomplete="off"
        autocapitalize="characters"
        spellcheck={false}
        error={fault.value}
      />
      <Button type="submit" kind="main">
        Open
      </Button>
    </form>
  );
}

function Rows(props: { items: readonly Market[] }): JSX.Element {
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class="scroll-x" tabIndex={0} aria-label="Windows, newest first">
      <table class="proof-windows">
        <thead>
          <tr>
            <th scope="col">
              <span class="proof-wide">Window, </span>UTC
            </th>
            <th scope="col">Outcome</th>
            <th scope="col" class="number">
              Open
            </th>
            <th scope="col" class="number">
              Close
            </th>
            <th scope="col" class="number">
              Move
            </th>
            <th scope="col" class="number proof-wide">
              Contracts
            </th>
          </tr>
        </thead>
        <tbody>
          {props.items.map((market, n) => (
            <Row key={market.id} market={market} sameDay={dayOf(props.items[n - 1]) === dayOf(market)} />
          ))}
        </tbody>
      </table>
    </section>
  );
}

function dayOf(market: Market | undefined): string | undefined {
  return market?.close_at.slice(0, 10);
}

function Row({ market, sameDay }: { market: Market; sameDay: boolean }): JSX.Element {
  const { open_price_cents: open, close_price_cents: close } = market.reference;
  const length = market.rules.window_ms % 60_000 ? 8 : 5;
  return (
    <tr data-window={market.symbol}>
      <th scope="row">
        <a href={`#/proof/${market.symbol}`}>
          <span class={`soft proof-date ${sameDay ? "proof-same" : ""}`}>{dayOf(market)} </span>
          <span class="number">
            <span class="proof-wide">{clockTime(market.open_at).slice(0, length)}–</span>
            {clockTime(market.close_at).slice(0, length)}
          </span>
          <span class="hidden"> {market.symbol}</span>
        </a>
      </th>
      <td>
        <OutcomeTag outcome={market.resolution} />
      </td>
      <td class="number">{money(open)}</td>
      <td class="number">{money(close)}</td>
      <td class="number">
        {open !== null && close !== null ? <Move cents={close - open} /> : <span class="soft">–</span>}
      </td>
      <td class="number proof-wide">{count(market.volume)}</td>
    </tr>
  );
}

export function OutcomeTag(props: { outcome: Outcome | null }): JSX.Element {
  if (props.outcome === "YES") return <Tag kind="up">▲ YES</Tag>;
  if (props.outcome === "NO") return <Tag kind="down">▼ NO</Tag>;
  return props.outcome === "VOID" ? <Tag kind="warn">VOID</Tag> : <Tag>open</Tag>;
}

export function Move(props: { cents: number }): JSX.Element {
  const { cents } = props;
  return <span class={cents > 0 ? "up" : cents < 0 ? "down" : ""}>{money(cents, true)}</span>;
}
