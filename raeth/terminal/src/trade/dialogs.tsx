/** The question before an order goes out, and the list of keys. */

import type { JSX } from "preact";
import { Button, Dialog } from "../parts/parts";
import { price as cents, count, money } from "../venue/format";
import type { OrderBody } from "../venue/wire";
import { asking, sendNow, showingKeys } from "./act";
import { framed, otherWording, windowName, wording } from "./frame";
import { SHORTCUTS } from "./keys";
import { currentPreview } from "./preview";
import { checked, market, ticket } from "./state";

export function AskDialog(): JSX.Element | null {
  const body = asking.value;
  if (!body) return null;
  const close = () => {
    asking.value = null;
  };
  return (
    <Dialog title="Send this order?" onClose={close}>
      <Question body={body} />
      <div class="trade-row">
        <Button
          kind={ticket.value.action === "BUY" ? "buy" : "sell"}
          disabled={checked.value.body === null}
          autofocus
          onClick={() => {
            const now = checked.peek().body;
            if (now) sendNow(now);
          }}
        >
          Send
        </Button>
        <Button onClick={close}>Not yet</Button>
      </div>
    </Dialog>
  );
}

/** Always of the ticket as it is: a window may roll while somebody thinks. */
function Question({ body }: { body: OrderBody }): JSX.Element {
  const { framing, action, expiryS } = ticket.value;
  const now = checked.value.body;
  if (!now) return <p class="trade-wrong">The ticket changed while you were asked: it makes no order now.</p>;
  const price = now.price === undefined ? null : framed(framing, now.price);
  const preview = currentPreview()?.preview;
  return (
    <>
      <p class="trade-question">{wording(framing, action, price, now.qty)}</p>
      <p class="soft">
        = {otherWording(framing, action, price)}, window {windowName(market.value?.symbol ?? null)},{" "}
        {now.tif === "FOK"
          ? "all or nothing"
          : now.type === "MARKET" || now.tif === "IOC"
            ? "what trades now, the rest ends"
            : now.tif === "POST_ONLY"
              ? "only to rest"
              : "what does not trade now rests"}
        {now.slippage_cap_cents === undefined ? "" : `, at most ${cents(now.slippage_cap_cents)} from the best`}
        {expiryS ? `, ends after ${expiryS} s` : ""}
        {now.reduce_only ? ", reduce only" : ""}
        {now.confirm_fat_finger ? ", unusual size or price confirmed" : ""}.
      </p>
      {preview && (
        <p>
          {preview.would === "ACCEPT"
            ? `Collateral ${money(preview.required_cents, true)}, fee ${money(preview.fee_cents)}, ${count(preview.fills.reduce((sum, each) => sum + each.qty, 0))} fill at once.`
            : `It would be declined now: ${preview.reject_message}`}
        </p>
      )}
      {body.market_id !== now.market_id && (
        <p class="trade-wrong" role="alert">
          The window changed while you were asked.
        </p>
      )}
    </>
  );
}

export function KeysDialog(): JSX.Element | null {
  if (!showingKeys.value) return null;
  return (
    <Dialog
      title="Keyboard"
      onClose={() => {
        showingKeys.value = false;
      }}
    >
      <dl class="trade-keys">
        {SHORTCUTS.map(([keys, what]) => (
          <div key={keys}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{what}</dd>
          </div>
        ))}
      </dl>
      <p class="soft">Letters do nothing while you type in a field.</p>
      <Button
        onClick={() => {
          showingKeys.value = false;
        }}
      >
        Close
      </Button>
    </Dialog>
  );
}
