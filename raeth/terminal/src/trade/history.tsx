/** What was: own orders, fills and settlements, newest first, a page at a time. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Button, Choice, Empty, Panel } from "../parts/parts";
import { clockTime, count, money } from "../venue/format";
import { markets } from "../venue/live";
import { agentKey } from "../venue/session";
import type { Fill, LedgerEntry, Order, Page } from "../venue/wire";
import { averagePrice, framed, sideOf, windowName } from "./frame";
import { asAgent, desk } from "./mine";
import { ticket } from "./state";
import { failed, statusWord, whyEnded } from "./words";

type Kind = "fills" | "orders" | "ledger";

const PAGE = 12;
/** A busy agent changes often: its list is read again no more often than this. */
const AGAIN_MS = 1_000;

type Row = { kind: "fills"; row: Fill } | { kind: "orders"; row: Order } | { kind: "ledger"; row: LedgerEntry };

export function History(): JSX.Element {
  const kind = useSignal<Kind>("fills");
  /** Where each page before this one began; the last is this one's. */
  const cursors = useSignal<(string | null)[]>([null]);
  const page = useSignal<{ kind: Kind; rows: Row[]; next: string | null } | null>(null);
  const wrong = useSignal<string | null>(null);
  const at = cursors.value.at(-1) ?? null;
  // Only the first page changes under one's eyes.
  const version = at === null ? `${desk.value?.version} ${desk.value?.results[0]?.market_id}` : "";
  const [what, key] = [kind.value, agentKey.value];
  useEffect(() => {
    let wanted = true;
    const read = async () => {
      try {
        const got = await asAgent<Page<Fill | Order | LedgerEntry>>(`/${what}`, { query: { limit: PAGE, cursor: at } });
        if (!wanted) return;
        page.value = { kind: what, rows: got.items.map((row) => ({ kind: what, row }) as Row), next: got.next_cursor };
        wrong.value = null;
      } catch (error) {
        const { text, code } = failed(error, "");
        if (wanted) wrong.value = `${text.trim()} (${code})`;
      }
    };
    const timer = setTimeout(read, page.value?.kind === what && at === null ? AGAIN_MS : 0);
    return () => {
      wanted = false;
      clearTimeout(timer);
    };
  }, [what, at, version, key]);
  const now = page.value?.kind === what ? page.value : null;
  return (
    <Panel
      title="History"
      class="trade-history"
      aside={
        <Choice<Kind>
          label="What to list"
          value={what}
          options={[
            ["fills", "Fills"],
            ["orders", "Orders"],
            ["ledger", "Results and cash"],
          ]}
          onChange={(to) => {
            kind.value = to;
            cursors.value = [null];
          }}
        />
      }
    >
      {wrong.value && (
        <p class="trade-wrong trade-pad" role="alert">
          {wrong.value}
        </p>
      )}
      {now && now.rows.length === 0 && <Empty>Nothing yet.</Empty>}
      {!now && !wrong.value && <Empty>Reading …</Empty>}
      {now && now.rows.length > 0 && (
        <div class="scroll-x">
          <table class="trade-table">
            <Heads kind={what} />
            <tbody>{now.rows.map(line)}</tbody>
          </table>
        </div>
      )}
      {(at !== null || now?.next) && (
        <div class="trade-row trade-pad">
          <Button
            disabled={at === null}
            onClick={() => {
              cursors.value = cursors.value.slice(0, -1);
            }}
          >
            Newer
          </Button>
          <Button
            disabled={!now?.next}
            onClick={() => {
              if (now?.next) cursors.value = [...cursors.value, now.next];
            }}
          >
            Older
          </Button>
          <span class="soft">Page {cursors.value.length}</span>
        </div>
      )}
    </Panel>
  );
}

const HEADS: Record<Kind, readonly (readonly [text: string, classes: string])[]> = {
  fills: [
    ["Time", ""],
    ["Window", "trade-wide"],
    ["Trade", ""],
    ["Price", "number"],
    ["Quantity", "number"],
    ["Fee", "number"],
  ],
  orders: [
    ["Time", ""],
    ["Window", "trade-wide"],
    ["Order", ""],
    ["Price", "number"],
    ["Filled / of", "number"],
    ["State", ""],
  ],
  ledger: [
    ["Time", ""],
    ["What", ""],
    ["Outcome", "trade-wide"],
    ["Amount", "number"],
    ["Cash after", "number"],
  ],
};

function Heads({ kind }: { kind: Kind }): JSX.Element {
  return (
    <thead>
      <tr>
        {HEADS[kind].map(([text, classes]) => (
          <th key={text} class={classes}>
            {text}
          </th>
        ))}
      </tr>
    </thead>
  );
}

function line(each: Row): JSX.Element {
  if (each.kind === "fills") return <FillRow key={`${each.row.trade_id}${each.row.order_id}`} fill={each.row} />;
  if (each.kind === "orders") return <OrderRow key={each.row.order_id} order={each.row} />;
  return <CashRow key={`${each.row.seq}${each.row.kind}${each.row.balance_after_cents}`} entry={each.row} />;
}

function What({ side, more }: { side: Fill["side"]; more?: string }): JSX.Element {
  const framing = ticket.value.framing;
  const action = sideOf(framing, side);
  return (
    <td>
      <span class={action === "BUY" ? "up" : "down"}>
        {action === "BUY" ? "Buy" : "Sell"} {framing}
      </span>
      {more && <span class="trade-flag">{more}</span>}
    </td>
  );
}

function FillRow({ fill }: { fill: Fill }): JSX.Element {
  return (
    <tr>
      <td class="number trade-left">{clockTime(fill.ts)}</td>
      <td class="number trade-wide trade-left">{windowName(fill.symbol)}</td>
      <What side={fill.side} more={fill.liquidity.toLowerCase()} />
      <td class="number">{framed(ticket.value.framing, fill.price)}¢</td>
      <td class="number">{count(fill.qty)}</td>
      <td class="number">{money(fill.fee_cents)}</td>
    </tr>
  );
}

function OrderRow({ order }: { order: Order }): JSX.Element {
  const { framing } = ticket.value;
  const why = order.reject_reason ?? whyEnded(order);
  return (
    <tr>
      <td class="number trade-left">{clockTime(order.created_at)}</td>
      <td class="number trade-wide trade-left">{windowName(order.symbol)}</td>
      <What side={order.side} />
      <td class="number">
        {order.price !== null
          ? `${framed(framing, order.price)}¢`
          : order.filled_qty
            ? averagePrice(framing, order.filled_notional_cents, order.filled_qty)
            : "market"}
      </td>
      <td class="number">
        {count(order.filled_qty)}
        <span class="soft"> / {count(order.qty)}</span>
      </td>
      <td title={order.reject_message ?? undefined}>
        {statusWord(order)}
        {why && <span class="trade-why trade-wide">{why}</span>}
      </td>
    </tr>
  );
}

const CASH: Record<LedgerEntry["kind"], string> = {
  SIGNUP_GRANT: "Test cash at signup",
  FAUCET: "Test cash claimed",
  GRANT: "Granted by the operator",
  TRANSFER: "Transfer",
  SETTLEMENT: "Settlement",
  FEES: "Fees",
};

function CashRow({ entry }: { entry: LedgerEntry }): JSX.Element {
  const market = entry.market_id ? markets.value.get(entry.market_id) : undefined;
  const known = desk.value?.results.find((each) => each.market_id === entry.market_id);
  const symbol = market?.symbol ?? known?.symbol ?? null;
  const outcome = market?.resolution ?? known?.resolution ?? null;
  return (
    <tr>
      <td class="number trade-left">{clockTime(entry.ts)}</td>
      <td>
        {CASH[entry.kind] ?? entry.kind}
        {entry.market_id && (
          <a class="trade-proof" href={`#/proof/${symbol ?? entry.market_id}`}>
            {symbol ? windowName(symbol) : "proof"}
          </a>
        )}
      </td>
      <td class={`trade-wide ${outcome === "YES" ? "up" : outcome === "NO" ? "down" : "soft"}`}>{outcome ?? ""}</td>
      <td class={`number ${entry.amount_cents >= 0 ? "up" : "down"}`}>{money(entry.amount_cents, true)}</td>
      <td class="number">{money(entry.balance_after_cents)}</td>
    </tr>
  );
}
