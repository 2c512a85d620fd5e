/** One agent: find it by name or id, suspend it, reinstate it, grant it cash. And any key by its id. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Button, Empty, Field, Panel, Tag } from "../parts/parts";
import { money } from "../venue/format";
import type { AdminAction, AgentAction } from "../venue/wire";
import { type Act, ActDialog } from "./act";
import { act } from "./token";
import { find, type Known, keyIdOf, suspendedBy } from "./wording";

const NOBODY = { NOT_FOUND: "The venue knows no agent of this id. Names are found here; other ids have to be exact." };

type Acted = (done: AgentAction) => void;

function suspend(agent: Known, acted: Acted): Act {
  return {
    title: `Suspend ${called(agent)}`,
    explain: (
      <p>
        It can no longer send, amend or quote, and all it has resting is cancelled at once. It still reads and cancels;
        its positions settle.
      </p>
    ),
    reason: "needed",
    label: "Suspend it",
    kind: "danger",
    words: NOBODY,
    run: async ({ reason }) => {
      const done = await act<AgentAction>(`/agents/${agent.id}/suspend`, { reason });
      acted(done);
      return `${done.name} is suspended.`;
    },
  };
}

function reinstate(agent: Known, acted: Acted): Act {
  return {
    title: `Reinstate ${called(agent)}`,
    explain: <p>It may trade again. The orders it had are not put back.</p>,
    reason: "optional",
    label: "Reinstate it",
    kind: "main",
    words: NOBODY,
    run: async ({ reason }) => {
      const done = await act<AgentAction>(`/agents/${agent.id}/reinstate`, reason === null ? {} : { reason });
      acted(done);
      return `${done.name} may trade again.`;
    },
  };
}

function grant(agent: Known, acted: Acted): Act {
  return {
    title: `Grant cash to ${called(agent)}`,
    explain: <p>Test cash out of nothing: it counts as granted, not as gain, and cannot be taken back.</p>,
    reason: "needed",
    amount: true,
    label: "Grant it",
    kind: "main",
    words: NOBODY,
    run: async ({ reason, cents }) => {
      const done = await act<AgentAction>(`/agents/${agent.id}/grant`, { amount_cents: cents, reason });
      acted(done);
      return `${money(cents)} granted: ${done.name} has ${money(done.cash_cents)}.`;
    },
  };
}

function revoke(keyId: string): Act {
  return {
    title: `Revoke key ${keyId}`,
    explain: (
      <p>
        The key is refused from the next request on, and sockets opened with it are closed. Its owner can issue another.
      </p>
    ),
    reason: "optional",
    label: "Revoke it",
    kind: "danger",
    words: { NOT_FOUND: "No living key has this id: it was revoked or rotated already, or never was." },
    run: async ({ reason }) => {
      await act(`/keys/${keyId}/revoke`, reason === null ? {} : { reason });
      return `Key ${keyId} is revoked.`;
    },
  };
}

export function AgentsPanel(props: {
  directory: readonly Known[];
  actions: readonly AdminAction[];
  onDone: () => void;
}): JSX.Element {
  const text = useSignal("");
  const chosen = useSignal<Known | null>(null);
  const last = useSignal<AgentAction | null>(null);
  const open = useSignal<Act | null>(null);
  const found = find(props.directory, text.value);
  const agent = chosen.value;
  const acted: Acted = (done) => {
    last.value = done;
    chosen.value = { id: done.agent_id, name: done.name };
  };
  const ask = (wanted: Act) => {
    open.value = wanted;
  };
  return (
    <Panel title="Agents" class="op-agents">
      <div class="op-inset op-form">
        <Field
          label="Find by name or id"
          hint="Names of the leaderboard and of the house; any other agent by its whole id."
          type="search"
          autocomplete="off"
          spellcheck={false}
          value={text.value}
          onInput={(event) => {
            text.value = event.currentTarget.value;
          }}
        />
        {text.value.trim() !== "" && (
          <ul class="op-found" aria-label="Agents found">
            {found.map((each) => (
              <li key={each.id}>
                <button
                  type="button"
                  data-agent={each.id}
                  onClick={() => {
                    chosen.value = each;
                    text.value = "";
                  }}
                >
                  <strong>{each.name || "unknown name"}</strong>
                  <span class="number soft">{each.id}</span>
                </button>
              </li>
            ))}
            {found.length === 0 && <Empty>Nobody of this name. An id has to be complete.</Empty>}
          </ul>
        )}
        {agent && (
          <div class="op-agent">
            <p>
              <strong>{called(agent)}</strong> <Standing agent={agent} last={last.value} actions={props.actions} />
            </p>
            <p class="number soft op-id">{agent.id}</p>
            {last.value?.agent_id === agent.id && (
              <p class="soft">
                Cash <span class="number">{money(last.value.cash_cents)}</span> as of seq {last.value.seq}
              </p>
            )}
            <div class="op-buttons op-buttons-start">
              <Button class="op-quiet-danger" onClick={() => ask(suspend(agent, acted))}>
                Suspend …
              </Button>
              <Button onClick={() => ask(reinstate(agent, acted))}>Reinstate …</Button>
              <Button onClick={() => ask(grant(agent, acted))}>Grant cash …</Button>
            </div>
          </div>
        )}
        <RevokeKey ask={ask} />
      </div>
      {open.value && <ActDialog act={open.value} onClose={() => (open.value = null)} onDone={props.onDone} />}
    </Panel>
  );
}

function RevokeKey(props: { ask: (wanted: Act) => void }): JSX.Element {
  const typed = useSignal("");
  const wrong = useSignal<string | null>(null);
  return (
    <form
      class="op-inline"
      onSubmit={(event) => {
        event.preventDefault();
        const id = keyIdOf(typed.value);
        wrong.value = id === null ? "A key's id is 16 hex digits: what stands after rk_live_ in the key." : null;
        if (id === null) return;
        typed.value = id; // a whole key that was pasted does not stay on the screen
        props.ask(revoke(id));
      }}
    >
      <Field
        label="Revoke a key by its id"
        hint="A leaked key may be pasted whole: only its id is sent."
        error={wrong.value}
        autocomplete="off"
        spellcheck={false}
        value={typed.value}
        onInput={(event) => {
          typed.value = event.currentTarget.value;
        }}
      />
      <Button type="submit" class="op-quiet-danger">
        Revoke …
      </Button>
    </form>
  );
}

function Standing(props: {
  agent: Known;
  last: AgentAction | null;
  actions: readonly AdminAction[];
}): JSX.Element | null {
  const { agent, last, actions } = props;
  const suspended = last?.agent_id === agent.id ? last.suspended : suspendedBy(actions, agent.id);
  if (suspended === null) return <Tag>no action on record here</Tag>;
  return suspended ? <Tag kind="warn">✕ suspended</Tag> : <Tag kind="up">✓ may trade</Tag>;
}

function called(agent: Known): string {
  return agent.name || agent.id;
}
