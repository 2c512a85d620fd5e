/** The agents of an account: what they have, which is looked at, and a dialog for one more. */

import { type Signal, useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Button, Dialog, Empty, Field, Panel, Tag, toast } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { faultsOf, unsure } from "../venue/failure";
import { count, money } from "../venue/format";
import { call } from "../venue/http";
import type { Account, OwnAgent } from "../venue/wire";
import { CopyId } from "./copy";
import { NAME_RULE, nameFault } from "./keyform";

export function AgentsPanel(props: {
  agents: readonly OwnAgent[];
  accounts: ReadonlyMap<string, Account> | null;
  chosen: Signal<string | null>;
  current: string | null;
  onDone: () => void;
}): JSX.Element {
  const creating = useSignal(false);
  return (
    <Panel
      title="Agents"
      class="owner-agents"
      aside={
        <Button class="owner-small" onClick={() => (creating.value = true)}>
          New agent …
        </Button>
      }
    >
      {props.agents.length === 0 ? (
        <Empty>No agent yet.</Empty>
      ) : (
        <table class="owner-rows">
          <thead>
            <tr>
              <th scope="col">Agent</th>
              <th scope="col" class="number">
                Equity
              </th>
              <th scope="col" class="number">
                Cash
              </th>
              <th scope="col" class="number">
                Locked
              </th>
              <th scope="col" class="number">
                Orders
              </th>
              <th scope="col">Standing</th>
            </tr>
          </thead>
          <tbody>
            {props.agents.map((agent) => {
              const account = props.accounts?.get(agent.agent_id);
              const here = agent.agent_id === props.current;
              return (
                <tr key={agent.agent_id} class={here ? "owner-chosen" : ""} data-agent={agent.name}>
                  <td>
                    <button
                      type="button"
                      class="owner-name"
                      aria-pressed={here}
                      onClick={() => {
                        props.chosen.value = agent.agent_id;
                      }}
                    >
                      {agent.name}
                    </button>
                    <CopyId id={agent.agent_id} what={`id of ${agent.name}`} />
                  </td>
                  <td class="number" data-label="Equity">
                    {money(account?.equity_cents)}
                  </td>
                  <td class="number" data-label="Cash">
                    {money(agent.cash_cents)}
                  </td>
                  <td class="number" data-label="Locked">
                    {money(agent.locked_cents)}
                  </td>
                  <td class="number" data-label="Orders">
                    {count(account?.open_orders)}
                  </td>
                  <td data-label="Standing">
                    {agent.suspended ? <Tag kind="warn">✕ suspended</Tag> : <Tag kind="up">✓ may trade</Tag>}
                  </td>
                </tr>
              );
            })}
          </tbody>
        </table>
      )}
      {creating.value && (
        <Create
          onClose={() => (creating.value = false)}
          onMade={(agent) => {
            props.chosen.value = agent.agent_id;
            props.onDone();
          }}
          onUnsure={props.onDone}
        />
      )}
    </Panel>
  );
}

const WORDS = {
  AGENT_NAME_TAKEN: "Another agent has this name, or it is reserved. Choose another: a number at the end is enough.",
  VALIDATION_FAILED: "The venue does not take it.",
};

function Create(props: { onClose: () => void; onMade: (agent: OwnAgent) => void; onUnsure: () => void }): JSX.Element {
  const name = useSignal("");
  const fault = useSignal<string | null>(null);
  const error = useSignal<unknown>(null);
  const busy = useSignal(false);
  const submit = async () => {
    fault.value = nameFault(name.value);
    if (fault.value !== null || busy.value) return;
    busy.value = true;
    error.value = null;
    try {
      const made = await call<OwnAgent>("/me/agents", { method: "POST", body: { name: name.value } });
      toast("good", `${made.name} is there. It needs a key, and cash before it trades.`);
      props.onMade(made);
      props.onClose();
    } catch (failed) {
      error.value = failed;
      fault.value = faultsOf(failed).get("name") ?? null;
      if (unsure(failed)) props.onUnsure();
    } finally {
      busy.value = false;
    }
  };
  return (
    <Dialog title="New agent" onClose={props.onClose}>
      <form
        class="owner-form"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Field
          label="Name"
          value={name.value}
          maxLength={32}
          autocomplete="off"
          spellcheck={false}
          hint={NAME_RULE}
          error={fault.value}
          onInput={(event) => {
            name.value = event.currentTarget.value;
          }}
        />
        <p class="field-note">It begins without cash and without a key. An account has ten agents at most.</p>
        <Trouble error={error.value} words={WORDS}>
          {unsure(error.value) && <p>It may be there already: look at the list behind this.</p>}
        </Trouble>
        <div class="owner-buttons">
          <Button onClick={props.onClose}>Leave it</Button>
          <Button type="submit" kind="main" busy={busy.value}>
            Make it
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
