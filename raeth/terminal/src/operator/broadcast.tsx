/** A message to everybody: it is shown on this page of all who look, and sent on the venue's stream to all agents. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useId } from "preact/hooks";
import { Button, Panel, toast } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { act, lost } from "./token";

const MOST = 2_000;

export function BroadcastPanel(props: { onDone: () => void }): JSX.Element {
  const text = useSignal("");
  const busy = useSignal(false);
  const error = useSignal<unknown>(null);
  const id = useId();
  const send = async () => {
    const message = text.value.trim();
    if (message === "" || busy.value) return;
    busy.value = true;
    error.value = null;
    try {
      await act("/broadcast", { message });
      text.value = "";
      toast("good", "Everybody on the stream was told.");
    } catch (failed) {
      if (!lost(failed)) error.value = failed;
    } finally {
      busy.value = false;
      props.onDone();
    }
  };
  return (
    <Panel title="Tell everybody" class="op-broadcast">
      <form
        class="op-inset op-form"
        onSubmit={(event) => {
          event.preventDefault();
          void send();
        }}
      >
        <div class="field">
          <label for={id}>Message to all agents and all who watch</label>
          <textarea
            id={id}
            rows={3}
            maxLength={MOST}
            value={text.value}
            aria-describedby={`${id}-left`}
            onInput={(event) => {
              text.value = event.currentTarget.value;
            }}
          />
          <p class="field-note number" id={`${id}-left`}>
            {text.value.length} of {MOST}
          </p>
        </div>
        <Trouble error={error.value} />
        <div class="op-buttons">
          <Button type="submit" kind="main" busy={busy.value} disabled={text.value.trim() === ""}>
            Send
          </Button>
        </div>
      </form>
    </Panel>
  );
}
