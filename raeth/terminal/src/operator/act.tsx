/** One thing an operator does: what it means, why it is done, and where it is grave a second step. */

import { useSignal } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Button, Dialog, Field, toast } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { unsure } from "../venue/failure";
import { centsOf } from "../venue/money";
import { Guard } from "./guard";
import { lost } from "./token";

export interface Act {
  title: string;
  explain: ComponentChildren;
  reason: "needed" | "optional";
  /** What is often the reason: one press instead of typing. */
  reasons?: readonly string[];
  /** Asks for dollars as well. */
  amount?: boolean;
  label: string;
  kind: "danger" | "main";
  /** The word of the second step; without it one press does it. */
  word?: string;
  words?: Readonly<Record<string, string>>;
  /** Do it; what is returned is said. */
  run: (given: { reason: string | null; cents: number }) => Promise<string>;
}

export function ActDialog(props: { act: Act; onClose: () => void; onDone: () => void }): JSX.Element {
  const { act } = props;
  const reason = useSignal("");
  const amount = useSignal("");
  const wrong = useSignal<{ reason?: string; amount?: string }>({});
  const error = useSignal<unknown>(null);
  const busy = useSignal(false);
  const form = useRef<HTMLFormElement>(null);

  useEffect(() => {
    // Where one press can give the reason, no keyboard of a phone comes up over what is to be held.
    form.current?.querySelector<HTMLElement>(".op-chip")?.focus();
  }, []);

  const run = async () => {
    const why = reason.value.trim();
    const read = act.amount ? centsOf(amount.value) : { cents: 0 };
    wrong.value = {
      ...(act.reason === "needed" && why === "" ? { reason: "Say why: it stays in the audit trail." } : {}),
      ...("fault" in read ? { amount: read.fault } : {}),
    };
    if (wrong.value.reason !== undefined || "fault" in read) {
      const first = wrong.value.amount === undefined ? "[name=reason]" : "[name=amount]";
      form.current?.querySelector<HTMLInputElement>(first)?.focus();
      return;
    }
    if (busy.value) return;
    busy.value = true;
    error.value = null;
    try {
      toast("good", await act.run({ reason: why || null, cents: read.cents }));
      props.onDone();
      props.onClose();
    } catch (failed) {
      if (lost(failed)) return;
      error.value = failed;
      props.onDone();
    } finally {
      busy.value = false;
    }
  };

  return (
    <Dialog title={act.title} onClose={props.onClose}>
      <div class="op-explain">{act.explain}</div>
      <form
        ref={form}
        class="op-form"
        onSubmit={(event) => {
          event.preventDefault();
          if (!act.word) void run();
        }}
      >
        {act.amount && (
          <Field
            label="Amount in dollars"
            name="amount"
            inputMode="decimal"
            autocomplete="off"
            value={amount.value}
            error={wrong.value.amount}
            onInput={(event) => {
              amount.value = event.currentTarget.value;
            }}
          />
        )}
        <Field
          label={act.reason === "needed" ? "Reason" : "Reason (may be left out)"}
          name="reason"
          maxLength={500}
          autocomplete="off"
          value={reason.value}
          error={wrong.value.reason}
          onInput={(event) => {
            reason.value = event.currentTarget.value;
          }}
        />
        {act.reasons && (
          <div class="op-chips">
            {act.reasons.map((text) => (
              <Button
                key={text}
                class="op-chip"
                onClick={() => {
                  reason.value = text;
                  wrong.value = {};
                }}
              >
                {text}
              </Button>
            ))}
          </div>
        )}
        {!act.word && (
          <div class="op-buttons">
            <Button onClick={props.onClose}>Leave it</Button>
            <Button type="submit" kind={act.kind} busy={busy.value}>
              {act.label}
            </Button>
          </div>
        )}
      </form>
      {act.word && (
        <Guard word={act.word} label={act.label} kind={act.kind} busy={busy.value} onConfirm={() => void run()} />
      )}
      <Trouble error={error.value} words={act.words}>
        {unsure(error.value) && !act.words?.NO_ANSWER && (
          <p>It may have been done: the audit trail tells. Look there before you do it again.</p>
        )}
      </Trouble>
      {act.word && <Button onClick={props.onClose}>Leave it as it is</Button>}
    </Dialog>
  );
}
