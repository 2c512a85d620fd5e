/** A new key. The venue keeps no copy, so the dialog does not go before somebody says that the key was kept. */

import { signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { Button } from "../parts/parts";
import { useKey } from "../venue/session";
import "./keys.css";

export interface Shown {
  agentName: string;
  apiKey: string;
  scopes: readonly string[];
  why: string;
}

export const shown = signal<Shown | null>(null);

export function ShownKey(): JSX.Element | null {
  return shown.value && <KeyDialog key={shown.value.apiKey} of={shown.value} />;
}

function KeyDialog(props: { of: Shown }): JSX.Element {
  const { agentName, apiKey, scopes, why } = props.of;
  const kept = useSignal(false);
  const copied = useSignal<boolean | null>(null);
  const dialog = useRef<HTMLDialogElement>(null);
  const field = useRef<HTMLTextAreaElement>(null);
  const id = useId();

  useEffect(() => {
    dialog.current?.showModal();
    field.current?.select();
    const leaving = (event: BeforeUnloadEvent) => event.preventDefault();
    window.addEventListener("beforeunload", leaving);
    return () => window.removeEventListener("beforeunload", leaving);
  }, []);

  const copy = async () => {
    try {
      await navigator.clipboard.writeText(apiKey);
      copied.value = true;
    } catch {
      // Without HTTPS there is no clipboard to write to: the key is marked, to be copied by hand.
      field.current?.select();
      copied.value = false;
    }
  };
  const done = () => {
    if (kept.value) shown.value = null;
  };

  return (
    <dialog
      ref={dialog}
      class="dialog"
      aria-labelledby={id}
      data-key-dialog
      onCancel={(event) => event.preventDefault()}
      onClose={() => {
        // A browser may close it against our wish; it comes back until the key is kept.
        if (shown.peek()?.apiKey === apiKey) dialog.current?.showModal();
      }}
    >
      <div class="dialog-body">
        <h2 id={id}>{why}</h2>
        <p>
          <strong>This key is shown this once.</strong> The venue keeps only a fingerprint of it: lost, it can be
          replaced, never shown again. Whoever has it acts as <strong>{agentName}</strong> ({scopes.join(", ")}).
        </p>
        <div class="owner-key">
          <label class="hidden" for={`${id}-key`}>
            API key
          </label>
          <textarea
            id={`${id}-key`}
            ref={field}
            rows={3}
            readOnly
            value={apiKey}
            class="number"
            spellcheck={false}
            onFocus={(event) => event.currentTarget.select()}
          />
          <Button kind="main" onClick={() => void copy()}>
            Copy
          </Button>
        </div>
        <p class="owner-said" role="status">
          {copied.value === null
            ? ""
            : copied.value
              ? "Copied. Put it where only your agent reads it."
              : "This browser does not let the page copy: the key is marked, copy it by hand."}
        </p>
        <label class="owner-check">
          <input
            type="checkbox"
            checked={kept.value}
            onChange={(event) => {
              kept.value = event.currentTarget.checked;
            }}
          />
          I have kept it
        </label>
        <div class="owner-buttons">
          <Button
            disabled={!kept.value}
            onClick={() => {
              useKey(apiKey);
              done();
              location.hash = "#/trade";
            }}
          >
            Trade with it here
          </Button>
          <Button kind="main" disabled={!kept.value} onClick={done}>
            Done
          </Button>
        </div>
      </div>
    </dialog>
  );
}
