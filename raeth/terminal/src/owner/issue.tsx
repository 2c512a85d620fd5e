/** One more key for an agent: its rights, its end, and the networks it works from. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useId } from "preact/hooks";
import { Button, Dialog, Field } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { faultsOf, unsure } from "../venue/failure";
import { call } from "../venue/http";
import type { ApiKey, OwnAgent } from "../venue/wire";
import { EXPIRIES, networksOf, SCOPES, type Scope } from "./keyform";
import { shown } from "./shown";
import "./keys.css";

export function IssueDialog(props: { agent: OwnAgent; onClose: () => void; onDone: () => void }): JSX.Element {
  const { agent } = props;
  const name = useSignal("");
  const scopes = useSignal<ReadonlySet<Scope>>(new Set<Scope>(["read", "trade"]));
  const expires = useSignal("never");
  const networks = useSignal("");
  const faults = useSignal<{ name?: string; scopes?: string; networks?: string }>({});
  const error = useSignal<unknown>(null);
  const busy = useSignal(false);
  const id = useId();

  const submit = async () => {
    const called = name.value.trim();
    faults.value = {
      ...(called === "" ? { name: "What it is for, such as laptop." } : {}),
      ...(scopes.value.size === 0 ? { scopes: "At least one." } : {}),
    };
    if (Object.keys(faults.value).length > 0 || busy.value) return;
    busy.value = true;
    error.value = null;
    const lasts = EXPIRIES.find(([each]) => each === expires.value)?.[2] ?? null;
    const allowed = networksOf(networks.value);
    try {
      const made = await call<ApiKey>(`/me/agents/${agent.agent_id}/keys`, {
        method: "POST",
        body: {
          name: called,
          scopes: SCOPES.map(([scope]) => scope).filter((scope) => scopes.value.has(scope)),
          ...(lasts === null ? {} : { expires_at_ms: Date.now() + lasts }),
          ...(allowed.length === 0 ? {} : { allowed_ips: allowed }),
        },
      });
      shown.value = {
        agentName: agent.name,
        apiKey: made.api_key ?? "",
        scopes: made.scopes,
        why: `The new key “${made.name}”`,
      };
      props.onClose();
    } catch (failed) {
      const wrong = [...faultsOf(failed)].find(([field]) => field.startsWith("allowed_ips"));
      if (wrong) faults.value = { networks: wrong[1] };
      else error.value = failed;
    } finally {
      busy.value = false;
      props.onDone();
    }
  };

  return (
    <Dialog title={`New key for ${agent.name}`} onClose={props.onClose}>
      <form
        class="owner-form"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Field
          label="Name"
          maxLength={64}
          autocomplete="off"
          placeholder="laptop"
          value={name.value}
          error={faults.value.name ?? null}
          onInput={(event) => {
            name.value = event.currentTarget.value;
          }}
        />
        <fieldset class="owner-scopes">
          <legend>It may</legend>
          {SCOPES.map(([scope, meaning]) => (
            <label key={scope} class="owner-check">
              <input
                type="checkbox"
                checked={scopes.value.has(scope)}
                onChange={(event) => {
                  const now = new Set(scopes.value);
                  if (event.currentTarget.checked) now.add(scope);
                  else now.delete(scope);
                  scopes.value = now;
                }}
              />
              <span>
                <strong>{scope}</strong> <span class="soft">{meaning}</span>
              </span>
            </label>
          ))}
          {faults.value.scopes && (
            <p class="owner-fault" role="alert">
              {faults.value.scopes}
            </p>
          )}
        </fieldset>
        <div class="field">
          <label for={`${id}-end`}>It expires</label>
          <select
            id={`${id}-end`}
            value={expires.value}
            onChange={(event) => {
              expires.value = event.currentTarget.value;
            }}
          >
            {EXPIRIES.map(([each, text]) => (
              <option key={each} value={each}>
                {text}
              </option>
            ))}
          </select>
        </div>
        <Field
          label="Only from these addresses (may be left out)"
          placeholder="198.51.100.0/24, 2001:db8::/32"
          autocomplete="off"
          spellcheck={false}
          hint="Addresses or CIDR blocks. Left out, it works from anywhere."
          value={networks.value}
          error={faults.value.networks ?? null}
          onInput={(event) => {
            networks.value = event.currentTarget.value;
          }}
        />
        <Trouble error={error.value} words={{ VALIDATION_FAILED: "The venue does not take it." }}>
          {unsure(error.value) && <p>A key may have been made that nobody saw: if it is in the list, revoke it.</p>}
        </Trouble>
        <div class="owner-buttons">
          <Button onClick={props.onClose}>Leave it</Button>
          <Button type="submit" kind="main" busy={busy.value}>
            Issue it
          </Button>
        </div>
      </form>
    </Dialog>
  );
}
