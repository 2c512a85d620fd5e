/** What the venue says the order would do. As many rows whatever it says, so that nothing moves below it. */

import type { JSX } from "preact";
import { count, money } from "../venue/format";
import type { OrderBody, Preview } from "../venue/wire";
import { repair } from "./act";
import { averagePrice, type Framing, holding } from "./frame";
import { positionIn } from "./mine";
import { payoffAfter, rests } from "./payoff";
import { currentPreview } from "./preview";
import { repairs } from "./repair";
import { change, checked, market, ticket } from "./state";
import { failed, foretold } from "./words";

export function PreviewBox(): JSX.Element {
  const { body } = checked.value;
  const now = currentPreview();
  const preview = now?.preview ?? null;
  const waits = preview?.reject_reason === "MARKET_NOT_OPEN";
  const no = preview?.would === "REJECT" && !waits;
  const payoff = body && preview?.would === "ACCEPT" ? payoffAfter(positionIn(body.market_id), preview, body) : null;
  return (
    <section class={`trade-preview ${no ? "trade-preview-no" : ""}`} aria-label="Preview" data-would={preview?.would}>
      <p class="trade-would">
        <Verdict body={body} preview={preview} error={now?.error} />
      </p>
      <dl class="trade-facts">
        <Fact name="Fills now" value={preview ? fills(preview, ticket.value.framing) : null} />
        <Fact name="Fee" value={preview ? money(preview.fee_cents) : null} />
        <Fact name="Collateral" value={preview ? money(preview.required_cents, true) : null} />
        <Fact name="Free after" value={preview ? money(preview.free_cash_after_cents) : null} />
        <Fact name="Position after" value={preview ? holding(preview.position_after) : null} />
        <Fact name="Worst case" value={preview ? money(-preview.worst_case_loss_cents) : null} />
        <Fact
          name="Total if YES"
          value={payoff ? money(payoff.if_yes_cents, true) : null}
          tone={payoff?.if_yes_cents}
        />
        <Fact name="Total if NO" value={payoff ? money(payoff.if_no_cents, true) : null} tone={payoff?.if_no_cents} />
      </dl>
      {no && preview.reject_reason && (
        <Repairs code={preview.reject_reason} details={preview.reject_details} waits={false} />
      )}
    </section>
  );
}

function Verdict(props: {
  body: OrderBody | null;
  preview: Preview | null;
  error: Parameters<typeof failed>[0];
}): JSX.Element | string {
  const { body, preview, error } = props;
  if (!body) return market.value ? "Fill in price and quantity to see what it would do." : "No window is listed.";
  if (error) {
    const { text, code } = failed(error, "");
    return `No preview: ${text.trim()} (${code})`;
  }
  if (!preview) return "Asking the venue …";
  if (preview.reject_reason === "MARKET_NOT_OPEN") return "A preview follows once this window is open.";
  if (preview.would === "REJECT")
    return (
      <>
        <strong class="down">✕ Would be declined.</strong> {preview.reject_message}{" "}
        <code class="trade-code">{preview.reject_reason}</code>
      </>
    );
  return (
    <>
      <strong class="up">✓ Accepted.</strong> {foretold(preview, body.qty, rests(body))}
    </>
  );
}

/** Buttons that put it right. `waits`: also what only time puts right. */
export function Repairs(props: {
  code: string;
  details: Preview["reject_details"];
  waits: boolean;
}): JSX.Element | null {
  const { code, details } = props;
  const found = repairs(code, details, ticket.value).filter((each) => each.kind !== "wait");
  const confirms = found.find((each) => each.kind === "change" && each.change.confirm);
  const rest = found.filter((each) => each !== confirms);
  if (found.length === 0) return null;
  return (
    <div class="trade-repairs">
      {rest.map((each) => (
        <button key={each.label} type="button" class="button trade-repair" onClick={() => repair(each)}>
          {each.label}
        </button>
      ))}
      {confirms && (
        <label class="trade-check trade-mean">
          <input
            type="checkbox"
            checked={ticket.value.confirm}
            onChange={(event) => change({ confirm: event.currentTarget.checked })}
          />
          I mean it: {details?.mark_price != null ? "this price" : "this size"}
        </label>
      )}
    </div>
  );
}

function Fact(props: { name: string; value: string | null; tone?: number | undefined }): JSX.Element {
  const { name, value, tone } = props;
  return (
    <div>
      <dt>{name}</dt>
      <dd class={`number ${tone ? (tone > 0 ? "up" : "down") : ""}`}>{value ?? "–"}</dd>
    </div>
  );
}

function fills(preview: Preview, framing: Framing): string {
  const qty = preview.fills.reduce((sum, each) => sum + each.qty, 0);
  if (qty === 0) return "none";
  const notional = preview.fills.reduce((sum, each) => sum + each.qty * each.price, 0);
  return `${count(qty)} at ${averagePrice(framing, notional, qty)}`;
}
