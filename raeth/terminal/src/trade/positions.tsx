/** What is held in each window that has not resolved, and what it pays either way. */

import type { JSX } from "preact";
import { Empty, Panel } from "../parts/parts";
import { price as cents, money } from "../venue/format";
import { markets } from "../venue/live";
import type { Position } from "../venue/wire";
import { unrealised } from "./desk";
import { framed, holding, windowName } from "./frame";
import { desk, markOf } from "./mine";
import { costOf } from "./payoff";

export function Positions(): JSX.Element {
  const held = [...(desk.value?.positions.values() ?? [])].sort((a, b) => (a.symbol < b.symbol ? 1 : -1));
  const last = desk.value?.results[0];
  return (
    <Panel
      title="Positions"
      class="trade-positions"
      aside={
        last && last.amount_cents !== null ? (
          <span>
            {windowName(last.symbol)} ended {last.resolution ?? ""}{" "}
            <span class={`number ${last.amount_cents >= 0 ? "up" : "down"}`}>{money(last.amount_cents, true)}</span>
          </span>
        ) : undefined
      }
    >
      {held.length === 0 ? (
        <Empty>{desk.value ? "No position. What you trade shows here until its window resolves." : "Reading …"}</Empty>
      ) : (
        <ul class="trade-held">
          {held.map((position) => (
            <Held key={position.market_id} position={position} />
          ))}
        </ul>
      )}
    </Panel>
  );
}

function Held({ position }: { position: Position }): JSX.Element {
  const { net_qty: net, locked_cents, payoff_if_yes_cents: yes, payoff_if_no_cents: no } = position;
  const framing = net < 0 ? "NO" : "YES";
  const mark = markOf(position.market_id);
  const status = markets.value.get(position.market_id)?.status;
  const gain = unrealised(position, mark);
  const cost = costOf(position);
  return (
    <li>
      <p class="trade-held-name">
        <span class="number">{windowName(position.symbol)}</span>
        <strong class={net ? (net > 0 ? "up" : "down") : "soft"}>{holding(net)}</strong>
        {status === "EXPIRED" && <span class="tag tag-quiet">resolving</span>}
      </p>
      <dl class="trade-facts">
        <Fact
          name="Cost"
          text={net ? `${money(cost)} (${(cost / Math.abs(net)).toFixed(1)}¢)` : money(-position.cash_flow_cents)}
        />
        <Fact name="Mark" text={mark === null ? "–" : cents(framed(framing, mark))} />
        <Fact name="Unrealised" text={money(gain, true)} tone={gain ?? 0} />
        <Fact name="Locked" text={money(locked_cents)} />
        <Fact name="If YES" text={money(yes, true)} tone={yes} />
        <Fact name="If NO" text={money(no, true)} tone={no} />
      </dl>
    </li>
  );
}

function Fact(props: { name: string; text: string; tone?: number }): JSX.Element {
  const { name, text, tone } = props;
  return (
    <div>
      <dt>{name}</dt>
      <dd class={`number ${tone ? (tone > 0 ? "up" : "down") : ""}`}>{text}</dd>
    </div>
  );
}
