/** What became of the order that was sent, and what to do about it. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Button } from "../parts/parts";
import { clock } from "../venue/clock";
import { VenueError } from "../venue/http";
import type { Order } from "../venue/wire";
import { trySend } from "./act";
import { windowName } from "./frame";
import { Repairs } from "./preview-box";
import { type Answer, answer, lookUp } from "./send";
import { ticket } from "./state";
import { failed, said } from "./words";

export function AnswerBox(): JSX.Element {
  const now = answer.value;
  return (
    <div class="trade-answer" role="status" data-answer={now?.state}>
      {now && <Body now={now} />}
    </div>
  );
}

function Body({ now }: { now: Answer }): JSX.Element {
  switch (now.state) {
    case "sending":
      return <p class="soft">Sending …</p>;
    case "unknown":
      return now.gaveUp ? (
        <Box kind="bad" title="Not known">
          <p>The venue does not answer, so it is not known whether the order was placed. Nothing else was sent.</p>
          <Button onClick={() => void lookUp(now.clientId, now.body)}>Look again</Button>
          <Small code="NO_ANSWER" id={`order id ${now.clientId}`} />
        </Box>
      ) : (
        <Box kind="info" title="No answer yet">
          <p>The venue is asked what became of the order. It is not sent a second time.</p>
        </Box>
      );
    case "never":
      return (
        <Box kind="info" title="It was never placed">
          <p>The venue never saw the order. The ticket is as it was.</p>
        </Box>
      );
    case "failed":
      return <Failure error={now.error} at={now.at} />;
    case "answered":
      return <Answered order={now.order} late={now.late} />;
  }
}

function Answered(props: { order: Order; late: boolean }): JSX.Element {
  const { order } = props;
  const { kind, title, text } = said(order, ticket.value.framing);
  const wait = order.reject_details?.retry_after_ms;
  return (
    <Box kind={kind} title={title}>
      {props.late && <p>The answer got lost; the order was found by its id: it was placed.</p>}
      <p>
        {text} <span class="soft">Window {windowName(order.symbol)}.</span>
      </p>
      {order.reject_reason && (
        <>
          <div class="trade-row">
            {wait ? <Wait ms={wait / Math.max(0.001, clock.rate)} since={order.order_id} /> : null}
          </div>
          <Repairs code={order.reject_reason} details={order.reject_details} waits />
          <Small code={order.reject_reason} id={`order ${order.order_id.slice(-12)}`} />
        </>
      )}
    </Box>
  );
}

function Failure({ error, at }: { error: unknown; at: number }): JSX.Element {
  const { title, text, code, requestId } = failed(error, "Nothing was placed.");
  const wait = error instanceof VenueError ? error.retryAfterS : null;
  return (
    <Box kind="bad" title={title}>
      <p>{text}</p>
      {wait !== null && <Wait ms={wait * 1000} since={String(at)} />}
      <Small code={code} id={requestId ? `request ${requestId}` : null} />
    </Box>
  );
}

function Box(props: { kind: string; title: string; children: preact.ComponentChildren }): JSX.Element {
  const mark = props.kind === "good" ? "✓" : props.kind === "bad" ? "✕" : "•";
  return (
    <div class={`trade-said trade-said-${props.kind}`}>
      <div class="trade-said-head">
        <strong>
          <span aria-hidden="true">{mark} </span>
          {props.title}
        </strong>
        <button
          type="button"
          class="trade-close"
          aria-label="Dismiss"
          onClick={() => {
            answer.value = null;
          }}
        >
          ×
        </button>
      </div>
      {props.children}
    </div>
  );
}

function Small(props: { code: string; id: string | null }): JSX.Element {
  return (
    <p class="trade-small">
      <code class="trade-code">{props.code}</code> {props.id && <span>{props.id}</span>}
    </p>
  );
}

/** Counts down, and then sends what the ticket holds. */
function Wait(props: { ms: number; since: string }): JSX.Element {
  const left = useSignal(props.ms);
  useEffect(() => {
    const end = performance.now() + props.ms;
    left.value = props.ms;
    const timer = setInterval(() => {
      left.value = Math.max(0, end - performance.now());
      if (left.value === 0) clearInterval(timer);
    }, 100);
    return () => clearInterval(timer);
  }, [props.ms, props.since]);
  return (
    <Button class="trade-repair" disabled={left.value > 0} onClick={trySend}>
      {left.value > 0 ? <span class="number">Wait {(left.value / 1000).toFixed(1)} s</span> : "Send again"}
    </Button>
  );
}
