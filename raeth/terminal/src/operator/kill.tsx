/** The kill switch: what state the venue is in, since when and by whom, and the one button that changes it. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Button } from "../parts/parts";
import { clock } from "../venue/clock";
import { ago } from "../venue/format";
import { nowS } from "../venue/live";
import type { AdminAction } from "../venue/wire";
import { type Act, ActDialog } from "./act";
import { stamp } from "./stamp";
import { act } from "./token";
import "./kill.css";

/** `unknown`: the venue was not heard for so long that the last word may no longer hold. */
export type Trading = "open" | "frozen" | "unknown";

const FREEZE: Act = {
  title: "Freeze the venue",
  explain: (
    <>
      <p>
        From the next command on, new orders, amends, quotes, transfers and the faucet are declined, for everybody, on
        every node. It holds over a restart.
      </p>
      <p>Cancels, reads and settlement go on. Resting orders stay where they are.</p>
    </>
  ),
  reason: "needed",
  reasons: ["Runaway agent", "Reference price looks wrong", "Maintenance"],
  label: "Freeze the venue",
  kind: "danger",
  word: "FREEZE",
  words: { NO_ANSWER: "No answer: it may be frozen, or not. Freezing twice does no harm, so do it again." },
  run: async ({ reason }) => {
    await act("/freeze", { reason });
    return "The venue is frozen.";
  },
};

const UNFREEZE: Act = {
  title: "Lift the freeze",
  explain: <p>Orders are taken again from the next command on. What rested is still there, at its old prices.</p>,
  reason: "optional",
  label: "Lift the freeze",
  kind: "main",
  word: "UNFREEZE",
  words: { NO_ANSWER: "No answer: it may be lifted, or not. Lifting it twice does no harm, so do it again." },
  run: async ({ reason }) => {
    await act("/unfreeze", reason === null ? {} : { reason });
    return "The freeze is lifted: orders are taken again.";
  },
};

const WORDS: Record<Trading, string> = { open: "Trading is open", frozen: "Frozen", unknown: "Not known" };

export function KillSwitch(props: {
  trading: Trading;
  /** The last that was heard, also where it is too old to be believed. */
  frozen: boolean;
  reason: string | null;
  by: AdminAction | null;
  ageMs: number | null;
  onDone: () => void;
}): JSX.Element {
  const { trading } = props;
  const open = useSignal<Act | null>(null);
  const button = (id: string) =>
    props.frozen ? (
      <Button kind="main" class="op-kill-button" data-kill={id} onClick={() => (open.value = UNFREEZE)}>
        Lift the freeze …
      </Button>
    ) : (
      <Button kind="danger" class="op-kill-button" data-kill={id} onClick={() => (open.value = FREEZE)}>
        Freeze the venue …
      </Button>
    );
  return (
    <>
      <section class={`op-kill op-kill-${trading}`} aria-labelledby="op-kill-head" data-trading={trading}>
        <div class="op-kill-text">
          <h2 id="op-kill-head">Kill switch</h2>
          <p class="op-kill-state">
            <Sign trading={trading} />
            {WORDS[trading]}
          </p>
          <p class="op-kill-why">{why(props)}</p>
        </div>
        {button("panel")}
      </section>
      <div class={`op-thumb op-thumb-${trading}`}>
        <p>
          <Sign trading={trading} />
          {WORDS[trading]}
        </p>
        {button("thumb")}
      </div>
      {open.value && <ActDialog act={open.value} onClose={() => (open.value = null)} onDone={props.onDone} />}
    </>
  );
}

function why(props: {
  trading: Trading;
  frozen: boolean;
  reason: string | null;
  by: AdminAction | null;
  ageMs: number | null;
}) {
  if (props.trading === "unknown") {
    const last = props.frozen ? "frozen" : "open";
    return props.ageMs === null
      ? "The venue has not answered yet."
      : `No answer for ${ago(props.ageMs)}; it was ${last} then.`;
  }
  if (!props.frozen) return "Orders are taken. Freezing stops order entry everywhere; cancels and settlement go on.";
  const { by } = props;
  // The seconds of venue time that pass draw this again.
  const now = Math.max(clock.now(), nowS.value * 1_000);
  return (
    <>
      {by ? (
        <>
          Since <time dateTime={by.ts}>{stamp(by.ts, now)}</time> ({ago(now - Date.parse(by.ts))}), by{" "}
          <strong>{by.actor}</strong>:{" "}
        </>
      ) : (
        "Reason: "
      )}
      <q>{props.reason ?? "none was given"}</q>
    </>
  );
}

function Sign(props: { trading: Trading }): JSX.Element {
  return (
    <svg viewBox="0 0 16 16" class="op-sign" aria-hidden="true">
      {props.trading === "open" ? (
        <path d="M4 2.5v11l9-5.500z" />
      ) : props.trading === "frozen" ? (
        <path d="M3 3h10v10H3z" />
      ) : (
        <path d="M8 1.500 15 14.500H1z" />
      )}
    </svg>
  );
}
