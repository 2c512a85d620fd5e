/** The windows: the open one, the next, those that ended; to halt, to resume, to void. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Button, Empty, Panel, Tag } from "../parts/parts";
import { clock } from "../venue/clock";
import { clockTime, count, countdown } from "../venue/format";
import { current, ended, next, nowS } from "../venue/live";
import type { AdminMarket, Market } from "../venue/wire";
import { type Act, ActDialog } from "./act";
import { act } from "./token";

const RECENT = 8;

const GONE = "This window has ended in the meantime: there is nothing left to halt or resume.";
const FINAL =
  "This window is resolved (or void already), and a resolution is final. Grant cash where balances need correcting.";

function halt(market: Market): Act {
  return {
    title: `Halt ${market.symbol}`,
    explain: (
      <p>
        Orders in this window are declined from now on. What rests stays and can be cancelled. It still closes and
        settles on time.
      </p>
    ),
    reason: "needed",
    label: "Halt it",
    kind: "danger",
    words: { MARKET_CLOSED: GONE },
    run: async ({ reason }) => {
      await act(`/markets/${market.id}/halt`, { reason });
      return `${market.symbol} is halted.`;
    },
  };
}

function resume(market: Market): Act {
  return {
    title: `Resume ${market.symbol}`,
    explain: <p>Orders in this window are taken again.</p>,
    reason: "optional",
    label: "Resume it",
    kind: "main",
    words: {
      MARKET_CLOSED:
        "It cannot be resumed: it has ended, or it had no usable price at its start and can only end void.",
    },
    run: async ({ reason }) => {
      await act(`/markets/${market.id}/resume`, reason === null ? {} : { reason });
      return `${market.symbol} trades again.`;
    },
  };
}

/** `now`: what the operator's own reading says of it; the stream tells of a window only when its state changes. */
function voiding(market: Market, now: AdminMarket | undefined): Act {
  return {
    title: `Void ${market.symbol}`,
    explain: (
      <>
        <p>
          <strong>This window will never have happened.</strong> Resting orders are cancelled, and every cash flow of
          every agent in it is reversed: what was paid, what was won, fees and rebates.
        </p>
        <p>{count(now?.volume ?? market.volume)} contracts were traded in it so far. This cannot be taken back.</p>
      </>
    ),
    reason: "needed",
    label: "Void this window",
    kind: "danger",
    word: "VOID",
    words: { MARKET_FINAL: FINAL },
    run: async ({ reason }) => {
      await act(`/markets/${market.id}/void`, { reason });
      return `${market.symbol} is void.`;
    },
  };
}

export function WindowsPanel(props: { live: readonly AdminMarket[]; onDone: () => void }): JSX.Element {
  const open = useSignal<Act | null>(null);
  void nowS.value; // what is left is drawn again every second
  const rows = [current.value, next.value, ...ended.value.slice(0, RECENT)].filter((each) => each !== null);
  const ask = (wanted: Act) => {
    open.value = wanted;
  };
  return (
    <Panel title="Windows" class="op-windows" aside="void is possible until a window is resolved">
      {rows.length === 0 ? (
        <Empty>No window is listed.</Empty>
      ) : (
        <table class="op-rows">
          <thead>
            <tr>
              <th scope="col">Window</th>
              <th scope="col">State</th>
              <th scope="col" class="number">
                Resting
              </th>
              <th scope="col" class="number">
                Traded
              </th>
              <th scope="col" class="number">
                Open int.
              </th>
              <th scope="col">
                <span class="hidden">What can be done</span>
              </th>
            </tr>
          </thead>
          <tbody>
            {rows.map((market) => (
              <Row
                key={market.id}
                market={market}
                now={props.live.find((each) => each.market_id === market.id)}
                ask={ask}
              />
            ))}
          </tbody>
        </table>
      )}
      {open.value && <ActDialog act={open.value} onClose={() => (open.value = null)} onDone={props.onDone} />}
    </Panel>
  );
}

function Row(props: { market: Market; now: AdminMarket | undefined; ask: (wanted: Act) => void }): JSX.Element {
  const { market, now, ask } = props;
  const live = market.status === "OPEN" || market.status === "PENDING";
  return (
    <tr data-window={market.symbol} data-status={market.status}>
      <td data-label="Window">
        <span class="number">
          {clockTime(market.open_at).slice(0, 5)}–{clockTime(market.close_at).slice(0, 5)}
        </span>
        <span class="op-symbol">{market.symbol}</span>
      </td>
      <td data-label="State">
        <State market={market} />
      </td>
      <td data-label="Resting" class="number">
        {live ? count(now?.open_orders) : "–"}
      </td>
      <td data-label="Traded" class="number">
        {count(live ? now?.volume : market.volume)}
      </td>
      <td data-label="Open int." class="number">
        {count(live ? now?.open_interest : market.open_interest)}
      </td>
      <td class="op-actions">
        {live && !market.halted && (
          <Button onClick={() => ask(halt(market))} aria-label={`Halt ${market.symbol}`}>
            Halt …
          </Button>
        )}
        {live && market.halted && (
          <Button onClick={() => ask(resume(market))} aria-label={`Resume ${market.symbol}`}>
            Resume …
          </Button>
        )}
        {(live || market.status === "EXPIRED") && (
          <Button
            class="op-quiet-danger"
            onClick={() => ask(voiding(market, now))}
            aria-label={`Void ${market.symbol}`}
          >
            Void …
          </Button>
        )}
      </td>
    </tr>
  );
}

function State(props: { market: Market }): JSX.Element {
  const { market } = props;
  const halted = market.halted ? <Tag kind="warn">HALTED</Tag> : null;
  const left = (until: string) => <span class="number soft">{countdown(Date.parse(until) - clock.now())}</span>;
  switch (market.status) {
    case "OPEN":
      return (
        <>
          {halted ?? <Tag kind="live">OPEN</Tag>} {left(market.close_at)} left
        </>
      );
    case "PENDING":
      return (
        <>
          {halted ?? <Tag>NEXT</Tag>} opens in {left(market.open_at)}
        </>
      );
    case "EXPIRED":
      return <Tag kind="warn">CLOSED, not settled</Tag>;
    case "VOID":
      return <Tag kind="warn">VOID</Tag>;
    case "RESOLVED":
      return market.resolution === "YES" ? <Tag kind="up">▲ YES</Tag> : <Tag kind="down">▼ {market.resolution}</Tag>;
  }
}
