/** An id, short, with its whole on the clipboard at a press. */

import type { JSX } from "preact";
import { toast } from "../parts/parts";

export function CopyId(props: { id: string; what: string }): JSX.Element {
  const { id, what } = props;
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(id);
      toast("info", `Copied: ${what}.`, 2_500);
    } catch {
      toast("info", id, 15_000); // no clipboard without HTTPS: shown whole, to be copied by hand
    }
  };
  return (
    <button type="button" class="owner-id" title={id} onClick={() => void copy()}>
      <span class="hidden">Copy the {what}: </span>
      {id.length > 18 ? `${id.slice(0, 4)}…${id.slice(-10)}` : id}{" "}
      <svg viewBox="0 0 16 16" width="11" height="11" aria-hidden="true">
        <path d="M5.5 5.5h8v8h-8zM3 10.500H2.500v-8h8V3" fill="none" stroke="currentColor" stroke-width="1.400" />
      </svg>
    </button>
  );
}
