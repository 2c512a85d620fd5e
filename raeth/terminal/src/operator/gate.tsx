/** Where the operator's token is asked for. It stays in this tab's memory and goes with it. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Button, Field, Panel } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { enter, looksLikeToken, turnedAway, WRONG_TOKEN } from "./token";

export function Gate(): JSX.Element {
  const token = useSignal("");
  const wrong = useSignal<string | null>(null);
  const busy = useSignal(false);
  const submit = async () => {
    const text = token.value.trim();
    wrong.value = looksLikeToken(text)
      ? null
      : text.startsWith("rk_live_")
        ? "This is an agent's key. The operator's token begins with rk_admin_."
        : "The operator's token begins with rk_admin_.";
    if (wrong.value !== null || busy.value) return;
    busy.value = true;
    turnedAway.value = null;
    try {
      await enter(text);
    } catch (error) {
      turnedAway.value = error;
    } finally {
      busy.value = false;
    }
  };
  return (
    <div class="op-gate">
      <h1 class="hidden">Operator</h1>
      <Panel title="Operator">
        <form
          class="op-inset op-form"
          onSubmit={(event) => {
            event.preventDefault();
            void submit();
          }}
        >
          <p class="soft">The kill switch, the windows, the agents and the audit trail of this venue.</p>
          <Field
            label="Admin token"
            type="password"
            name="admin-token"
            placeholder="rk_admin_…"
            autocomplete="off"
            spellcheck={false}
            value={token.value}
            error={wrong.value}
            hint="Kept in this tab's memory only: a reload asks for it again."
            onInput={(event) => {
              token.value = event.currentTarget.value;
            }}
          />
          <Trouble error={turnedAway.value} words={WRONG_TOKEN} />
          <Button type="submit" kind="main" busy={busy.value}>
            {busy.value ? "Asking the venue …" : "Sign in"}
          </Button>
          <p class="field-note">
            Where it is: <code>raeth serve</code> prints the path of the file when it starts (<code>admin_token</code>{" "}
            in the data dir), unless it was given one by <code>RAETH_ADMIN_TOKEN</code>.
          </p>
        </form>
      </Panel>
    </div>
  );
}
