/** Small pieces that every page is made of. They look like `parts.css` says, and know nothing of the venue. */

import { signal } from "@preact/signals";
import type { ButtonHTMLAttributes, ComponentChildren, InputHTMLAttributes, JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import "./parts.css";

/** A framed part of a page with a heading. */
export function Panel(props: {
  title: string;
  aside?: ComponentChildren;
  class?: string;
  children: ComponentChildren;
}): JSX.Element {
  const id = useId();
  return (
    <section class={`panel ${props.class ?? ""}`} aria-labelledby={id}>
      <header class="panel-head">
        <h2 id={id}>{props.title}</h2>
        {props.aside && <div class="panel-aside">{props.aside}</div>}
      </header>
      {props.children}
    </section>
  );
}

/** A labelled input. `error` is read out with it. */
export function Field(
  props: { label: string; hint?: string; error?: string | null } & InputHTMLAttributes<HTMLInputElement>,
): JSX.Element {
  const { label, hint, error, ...input } = props;
  const id = useId();
  const note = error ?? hint;
  return (
    <div class={`field ${error ? "field-wrong" : ""}`}>
      <label for={id}>{label}</label>
      <input
        {...input}
        id={id}
        aria-invalid={error ? true : undefined}
        aria-describedby={note ? `${id}-note` : undefined}
      />
      {note && (
        <p class="field-note" id={`${id}-note`} role={error ? "alert" : undefined}>
          {note}
        </p>
      )}
    </div>
  );
}

/** One of a few; arrow keys move, as in any group of radio buttons. */
export function Choice<T extends string>(props: {
  label: string;
  value: T;
  options: readonly (readonly [value: T, text: string])[];
  onChange: (value: T) => void;
  class?: string;
}): JSX.Element {
  const name = useId();
  return (
    <fieldset class={`choice ${props.class ?? ""}`}>
      <legend class="hidden">{props.label}</legend>
      {props.options.map(([value, text]) => (
        <label key={value} class={value === props.value ? "chosen" : ""} data-value={value}>
          <input type="radio" name={name} checked={value === props.value} onChange={() => props.onChange(value)} />
          {text}
        </label>
      ))}
    </fieldset>
  );
}

export function Button(
  props: {
    kind?: "plain" | "main" | "danger" | "buy" | "sell";
    busy?: boolean;
  } & ButtonHTMLAttributes<HTMLButtonElement>,
): JSX.Element {
  const { kind = "plain", busy, class: more, children, disabled, ...rest } = props;
  return (
    <button
      type="button"
      {...rest}
      class={`button button-${kind} ${more ?? ""}`}
      disabled={disabled || busy}
      aria-busy={busy}
    >
      {children}
    </button>
  );
}

/** A modal dialog; Escape closes it, and the focus goes back to where it was. A click beside it does not: what was typed stays. */
export function Dialog(props: { title: string; onClose: () => void; children: ComponentChildren }): JSX.Element {
  const ref = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    ref.current?.showModal();
  }, []);
  return (
    <dialog ref={ref} class="dialog" aria-labelledby={id} onClose={props.onClose}>
      <div class="dialog-body">
        <h2 id={id}>{props.title}</h2>
        {props.children}
      </div>
    </dialog>
  );
}

interface Toast {
  id: number;
  kind: "good" | "bad" | "info";
  text: string;
}

const toasts = signal<Toast[]>([]);
let made = 0;

/** Say something that passes: what came of a click. */
export function toast(kind: Toast["kind"], text: string, forMs = 6_000): void {
  const id = ++made;
  toasts.value = [...toasts.value.slice(-3), { id, kind, text }];
  setTimeout(() => {
    toasts.value = toasts.value.filter((each) => each.id !== id);
  }, forMs);
}

export function Toasts(): JSX.Element {
  return (
    <div class="toasts" role="status" aria-live="polite">
      {toasts.value.map(({ id, kind, text }) => (
        <p key={id} class={`toast toast-${kind}`}>
          {text}
        </p>
      ))}
    </div>
  );
}

/** What is there when a list has nothing in it. */
export function Empty(props: { children: ComponentChildren }): JSX.Element {
  return <p class="empty">{props.children}</p>;
}

/** A word in a frame: a state, an outcome. */
export function Tag(props: {
  kind?: "up" | "down" | "warn" | "quiet" | "live";
  children: ComponentChildren;
}): JSX.Element {
  return <span class={`tag tag-${props.kind ?? "quiet"}`}>{props.children}</span>;
}
