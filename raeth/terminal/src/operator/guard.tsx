/** The second step before what cannot be taken back: hold the button for a moment, or type the word and press it. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Button, Field } from "../parts/parts";

export const HOLD_MS = 1_200;

export function Guard(props: {
  word: string;
  label: string;
  kind: "danger" | "main";
  busy: boolean;
  onConfirm: () => void;
}): JSX.Element {
  const typed = useSignal("");
  const holding = useSignal(false);
  const slipped = useSignal(false);
  const timer = useRef<ReturnType<typeof setTimeout>>(undefined);
  const done = useRef(0);
  const armed = typed.value.trim().toUpperCase() === props.word;

  const confirm = () => {
    done.current = performance.now();
    holding.value = false;
    slipped.value = false;
    props.onConfirm();
  };
  const start = () => {
    if (props.busy || armed) return;
    clearTimeout(timer.current);
    holding.value = true;
    timer.current = setTimeout(confirm, HOLD_MS);
  };
  const stop = () => {
    if (!holding.value) return;
    clearTimeout(timer.current);
    holding.value = false;
    slipped.value = true;
  };
  useEffect(() => () => clearTimeout(timer.current), []);

  return (
    <div class="op-guard">
      <Button
        kind={props.kind}
        busy={props.busy}
        class={`op-hold ${holding.value ? "op-holding" : ""}`}
        data-guard={props.word}
        onPointerDown={start}
        onPointerUp={stop}
        onPointerLeave={stop}
        onPointerCancel={stop}
        onContextMenu={(event: Event) => event.preventDefault()}
        onKeyDown={(event: KeyboardEvent) => {
          if (event.repeat || (event.key !== "Enter" && event.key !== " ") || armed) return;
          event.preventDefault();
          start();
        }}
        onKeyUp={stop}
        onBlur={stop}
        onClick={() => {
          if (armed) confirm();
          else if (performance.now() - done.current > 1_000) slipped.value = true;
        }}
      >
        <span>
          {props.busy
            ? "Asking the venue …"
            : armed
              ? props.label
              : holding.value
                ? "Keep holding …"
                : `Hold: ${props.label}`}
        </span>
      </Button>
      <form
        onSubmit={(event) => {
          event.preventDefault();
          if (armed && !props.busy) confirm();
        }}
      >
        <Field
          label={`or type ${props.word} and press it`}
          value={typed.value}
          autocomplete="off"
          autocapitalize="characters"
          spellcheck={false}
          onInput={(event) => {
            typed.value = event.currentTarget.value;
          }}
        />
      </form>
      <p class="op-guard-note" aria-live="polite">
        {slipped.value && !armed && !holding.value
          ? `Nothing was done: hold it for a good second, or type ${props.word} first.`
          : ""}
      </p>
    </div>
  );
}
