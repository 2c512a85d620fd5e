/** The living keys of one agent: what they may do, until when, from where; to issue, to rotate, to revoke. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Button, Dialog, Empty, Panel, Tag, toast } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { unsure } from "../venue/failure";
import { call } from "../venue/http";
import { agentKey, forgetKey } from "../venue/session";
import type { ApiKey, OwnAgent } from "../venue/wire";
import { CopyId } from "./copy";
import { useKeys } from "./data";
import { IssueDialog } from "./issue";
import { shown } from "./shown";
import "./keys.css";

type Asked = { what: "issue" } | { what: "rotate" | "revoke"; key: ApiKey };

export function KeysPanel(props: { agent: OwnAgent; onDone: () => void }): JSX.Element {
  const { agent } = props;
  const keys = useKeys(agent.agent_id);
  const asked = useSignal<Asked | null>(null);
  const close = () => {
    asked.value = null;
  };
  const done = () => {
    keys.refresh();
    props.onDone();
  };
  return (
    <Panel
      title={`Keys of ${agent.name}`}
      class="owner-keys"
      aside={
        <Button class="owner-small" onClick={() => (asked.value = { what: "issue" })}>
          New key …
        </Button>
      }
    >
      {keys.error ? (
        <div class="owner-inset">
          <Trouble error={keys.error} />
        </div>
      ) : null}
      {keys.data?.length === 0 && <Empty>No key: nobody can trade as {agent.name}.</Empty>}
      <ul class="owner-list">
        {keys.data?.map((key) => (
          <li key={key.key_id} data-key={key.key_id}>
            <p class="owner-line">
              <strong>{key.name}</strong>
              {agentKey.value?.includes(`_${key.key_id}_`) && <Tag kind="live">in this tab</Tag>}
              {key.scopes.map((scope) => (
                <Tag key={scope}>{scope}</Tag>
              ))}
            </p>
            <p class="owner-facts">
              <CopyId id={key.key_id} what={`id of the key ${key.name}`} /> made {key.created_at.slice(0, 10)} ·{" "}
              {expiry(key)}
              {key.allowed_ips.length > 0 && ` · only from ${key.allowed_ips.join(", ")}`}
            </p>
            <div class="owner-buttons">
              <Button class="owner-small" onClick={() => (asked.value = { what: "rotate", key })}>
                Rotate …
              </Button>
              <Button class="owner-small owner-quiet-danger" onClick={() => (asked.value = { what: "revoke", key })}>
                Revoke …
              </Button>
            </div>
          </li>
        ))}
      </ul>
      {asked.value?.what === "issue" && <IssueDialog agent={agent} onClose={close} onDone={done} />}
      {asked.value && asked.value.what !== "issue" && (
        <Confirm agent={agent} of={asked.value} onClose={close} onDone={done} />
      )}
    </Panel>
  );
}

function expiry(key: ApiKey): string {
  if (key.expires_at === null) return "does not expire";
  const over = Date.parse(key.expires_at) <= Date.now();
  return `${over ? "expired" : "expires"} ${key.expires_at.slice(0, 16).replace("T", " ")} UTC`;
}

const WORDS = { NOT_FOUND: "This key is gone already: it was revoked or rotated elsewhere." };

function Confirm(props: {
  agent: OwnAgent;
  of: { what: "rotate" | "revoke"; key: ApiKey };
  onClose: () => void;
  onDone: () => void;
}): JSX.Element {
  const { key, what } = props.of;
  const error = useSignal<unknown>(null);
  const busy = useSignal(false);
  const path = `/me/agents/${props.agent.agent_id}/keys/${key.key_id}`;
  const run = async () => {
    if (busy.value) return;
    busy.value = true;
    error.value = null;
    try {
      if (what === "rotate") {
        const made = await call<ApiKey>(`${path}/rotate`, { method: "POST" });
        shown.value = {
          agentName: props.agent.name,
          apiKey: made.api_key ?? "",
          scopes: made.scopes,
          why: `The new key “${made.name}”`,
        };
      } else {
        await call(path, { method: "DELETE" });
        toast("good", `The key “${key.name}” is refused from now on.`);
      }
      if (agentKey.peek()?.includes(`_${key.key_id}_`)) forgetKey("Its owner took this key back.");
      props.onClose();
    } catch (failed) {
      error.value = failed;
    } finally {
      busy.value = false;
      props.onDone();
    }
  };
  return (
    <Dialog title={what === "rotate" ? `Rotate “${key.name}”` : `Revoke “${key.name}”`} onClose={props.onClose}>
      <p class="soft">
        {what === "rotate"
          ? "A new key with the same rights takes its place. The old one is refused from the next request on: whoever uses it stops until it has the new one."
          : "It is refused from the next request on, and cannot be brought back. What its agent has resting stays."}
      </p>
      <Trouble error={error.value} words={WORDS}>
        {unsure(error.value) && (
          <p>
            {what === "rotate"
              ? "It may have been rotated, and then the new key is lost: look at the list, and rotate that one."
              : "It may be revoked already: revoking it again does no harm."}
          </p>
        )}
      </Trouble>
      <div class="owner-buttons">
        <Button onClick={props.onClose}>Leave it</Button>
        <Button kind={what === "rotate" ? "main" : "danger"} busy={busy.value} onClick={() => void run()}>
          {what === "rotate" ? "Rotate it" : "Revoke it"}
        </Button>
      </div>
    </Dialog>
  );
}
