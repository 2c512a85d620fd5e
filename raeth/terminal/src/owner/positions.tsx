/** What an agent holds in windows that are not settled, with both outcomes; and, with its key, its orders and fills. */

import type { JSX } from "preact";
import { Empty, Panel, Tag } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { clockTime, count, money, price } from "../venue/format";
import { call } from "../venue/http";
import { usePolled } from "../venue/poll";
import { agentKey } from "../venue/session";
import type { Account, Fill, Order, OwnAgent, Page } from "../venue/wire";
import { usePositions } from "./data";

export function PositionsPanel(props: { agent: OwnAgent }): JSX.Element {
  const positions = usePositions(props.agent.agent_id);
  return (
    <Panel title="Positions" class="owner-positions" aside="windows not yet settled">
      {positions.error ? (
        <div class="owner-inset">
          <Trouble error={positions.error} />
        </div>
      ) : null}
      {!positions.data?.length ? (
        <Empty>{positions.data ? "Nothing is held, and nothing rests." : "Reading …"}</Empty>
      ) : (
        <table class="owner-rows">
          <thead>
            <tr>
              <th scope="col">Window</th>
              <th scope="col" class="number">
                Holds
              </th>
              <th scope="col" class="number">
                If YES
              </th>
              <th scope="col" class="number">
                If NO
              </th>
              <th scope="col" class="number">
                Locked
              </th>
              <th scope="col" class="number">
                At mark
              </th>
            </tr>
          </thead>
          <tbody>
            {positions.data.map((each) => (
              <tr key={each.market_id}>
                <td class="number owner-left">{each.symbol}</td>
                <td class="number" data-label="Holds">
                  {each.net_qty === 0 ? "0" : `${count(Math.abs(each.net_qty))} ${each.net_qty > 0 ? "YES" : "NO"}`}
                </td>
                <Amount label="If YES" cents={each.payoff_if_yes_cents} />
                <Amount label="If NO" cents={each.payoff_if_no_cents} />
                <td class="number" data-label="Locked">
                  {money(each.locked_cents)}
                </td>
                <Amount label="At mark" cents={each.unrealized_pnl_cents} />
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </Panel>
  );
}

function Amount(props: { label: string; cents: number }): JSX.Element {
  const way = props.cents > 0 ? "up" : props.cents < 0 ? "down" : "";
  return (
    <td class={`number ${way}`} data-label={props.label}>
      {money(props.cents, true)}
    </td>
  );
}

export function OrdersPanel(props: { agent: OwnAgent; open: number | null }): JSX.Element {
  return (
    <Panel title="Orders and fills" class="owner-orders" aside={`${count(props.open)} resting`}>
      {agentKey.value === null ? (
        <WithoutKey agent={props.agent} />
      ) : (
        <WithKey agent={props.agent} bearer={agentKey.value} />
      )}
    </Panel>
  );
}

function WithoutKey(props: { agent: OwnAgent }): JSX.Element {
  return (
    <Empty>
      Single orders and fills are read with the agent's own key, not with a session. With a key of {props.agent.name} in
      this tab (<a href="#/trade">Trade</a>) they are shown here.
    </Empty>
  );
}

function WithKey(props: { agent: OwnAgent; bearer: string }): JSX.Element {
  const { agent, bearer } = props;
  const orders = usePolled(`orders ${agent.agent_id} ${bearer}`, 5_000, async (signal) => {
    const whose = await call<Account>("/account", { bearer, signal });
    if (whose.agent_id !== agent.agent_id) return null;
    const [resting, fills] = await Promise.all([
      call<Page<Order>>("/orders", { bearer, query: { status: ["OPEN", "PARTIALLY_FILLED"], limit: 50 }, signal }),
      call<Page<Fill>>("/fills", { bearer, query: { limit: 12 }, signal }),
    ]);
    return { resting: resting.items, fills: fills.items };
  });
  if (orders.error) {
    return (
      <div class="owner-inset">
        <Trouble error={orders.error} />
      </div>
    );
  }
  if (orders.atMs === null) return <Empty>Reading …</Empty>;
  if (orders.data === null) return <WithoutKey agent={agent} />;
  const lines = [
    ...orders.data.resting.map((order) => ({
      id: order.order_id,
      time: order.created_at,
      what: <Tag kind="live">resting</Tag>,
      side: order.side,
      qty: `${count(order.remaining_qty)} of ${count(order.qty)}`,
      price: price(order.price),
      symbol: order.symbol ?? "",
    })),
    ...orders.data.fills.map((fill) => ({
      id: fill.trade_id + fill.order_id,
      time: fill.ts,
      what: <Tag>{fill.liquidity === "MAKER" ? "filled as maker" : "filled as taker"}</Tag>,
      side: fill.side,
      qty: count(fill.qty),
      price: price(fill.price),
      symbol: fill.symbol,
    })),
  ];
  if (lines.length === 0) return <Empty>No order rests, and nothing was filled yet.</Empty>;
  return (
    <table class="owner-rows">
      <thead>
        <tr>
          <th scope="col">Time, UTC</th>
          <th scope="col">What</th>
          <th scope="col">Side</th>
          <th scope="col" class="number">
            Contracts
          </th>
          <th scope="col" class="number">
            Price
          </th>
          <th scope="col">Window</th>
        </tr>
      </thead>
      <tbody>
        {lines.map((line) => (
          <tr key={line.id}>
            <td class="number owner-left">{clockTime(line.time)}</td>
            <td>{line.what}</td>
            <td class={line.side === "BUY" ? "up" : "down"}>{line.side === "BUY" ? "▲ BUY" : "▼ SELL"}</td>
            <td class="number" data-label="Contracts">
              {line.qty}
            </td>
            <td class="number" data-label="Price">
              {line.price}
            </td>
            <td class="soft">{line.symbol}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}
