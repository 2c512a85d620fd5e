/** The order ticket: what, how much, at what price, until when. */

import type { JSX } from "preact";
import { Button, Choice, Panel } from "../parts/parts";
import { countdown } from "../venue/format";
import { frozen, nowS, old } from "../venue/live";
import type { OrderType, Side } from "../venue/wire";
import { type Ask, ask, enter, setAsk, showingKeys, trySend } from "./act";
import { AnswerBox } from "./answer";
import { type Framing, otherWording, wording } from "./frame";
import { PreviewBox } from "./preview-box";
import { answer } from "./send";
import { change, checked, choice, market, ticket, turn } from "./state";
import { PriceField, QtyField, Quick, SlippageField, Terms } from "./ticket-fields";
import { WindowBar } from "./window";

export function TicketPanel(): JSX.Element {
  const { framing, action, type } = ticket.value;
  return (
    <Panel
      title="Order"
      class="trade-ticket"
      aside={
        <button
          type="button"
          class="trade-help"
          aria-label="Keyboard shortcuts"
          title="Keyboard shortcuts"
          onClick={() => {
            showingKeys.value = true;
          }}
        >
          ?
        </button>
      }
    >
      <WindowBar />
      <form class="trade-form" noValidate onKeyDown={onEnter} onSubmit={(event) => event.preventDefault()}>
        <div class="trade-two">
          <Choice<Framing>
            label="Contract"
            class="trade-framing"
            value={framing}
            options={[
              ["YES", "YES ▲"],
              ["NO", "NO ▼"],
            ]}
            onChange={turn}
          />
          <Choice<Side>
            label="Buy or sell"
            class="trade-action"
            value={action}
            options={[
              ["BUY", "Buy"],
              ["SELL", "Sell"],
            ]}
            onChange={(to) => change({ action: to })}
          />
        </div>
        <Choice<OrderType>
          label="Type of order"
          value={type}
          options={[
            ["LIMIT", "Limit"],
            ["MARKET", "Market"],
          ]}
          onChange={(to) => change({ type: to })}
        />
        <div class="trade-two trade-numbers">
          {type === "LIMIT" ? <PriceField /> : <SlippageField />}
          <QtyField />
          <Quick />
        </div>
        <Terms />
        <PreviewBox />
        <SendRow />
      </form>
    </Panel>
  );
}

function onEnter(event: KeyboardEvent): void {
  const target = event.target as HTMLElement;
  if (event.key !== "Enter" || !(target instanceof HTMLInputElement) || target.type === "checkbox") return;
  event.preventDefault();
  event.stopPropagation();
  enter();
}

function SendRow(): JSX.Element {
  const { framing, action } = ticket.value;
  const { body, price, qty } = checked.value;
  const now = answer.value;
  const under = now?.state === "sending" || (now?.state === "unknown" && !now.gaveUp);
  const stopped = frozen.value.frozen && !old.value;
  const waits = choice.value === "next" || market.value?.status === "PENDING";
  const missing = qty === null ? "Enter a quantity" : price === null ? "Enter a price" : "Check the ticket";
  const text = under
    ? "Sending …"
    : stopped
      ? "Venue frozen"
      : waits
        ? `Opens in ${countdown(Date.parse(market.value?.open_at ?? "") - nowS.value * 1000)}`
        : body
          ? wording(framing, action, price, qty)
          : missing;
  return (
    <div class="trade-send">
      <AnswerBox />
      <Button
        kind={action === "BUY" ? "buy" : "sell"}
        class="trade-send-button"
        disabled={!body || stopped || waits}
        busy={under}
        onClick={trySend}
      >
        {text}
      </Button>
      <p class="trade-same">
        {body ? `= ${otherWording(framing, action, price)}` : "YES and NO trade in one book."}
        <label>
          <span class="hidden">Ask before sending</span>
          <select value={ask.value} onChange={(event) => setAsk(event.currentTarget.value as Ask)}>
            <option value="first">Ask before the first</option>
            <option value="always">Always ask</option>
            <option value="never">Never ask</option>
          </select>
        </label>
      </p>
    </div>
  );
}
