/** Before there is a key: paste one, sign up in place, or issue one for an agent of one's own. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Button, Field, Panel } from "../parts/parts";
import { money } from "../venue/format";
import { call, VenueError } from "../venue/http";
import { dropped, looksLikeKey, owner, ownerReady, useKey as take } from "../venue/session";
import type { SignedUp } from "../venue/wire";
import { HOURS, issueKey } from "./own-key";
import { failed } from "./words";

export function Start(): JSX.Element {
  useEffect(() => {
    void ownerReady();
  }, []);
  return (
    <div class="trade-start">
      <header class="trade-start-head">
        <h1>Trade</h1>
        <p class="soft">
          Each window asks one question: is Bitcoin higher at its end than at its start? YES pays $1.00 if so, NO if
          not. All cash is test cash.
        </p>
      </header>
      {dropped.value && (
        <p class="trade-dropped" role="alert">
          <strong>Trading stopped.</strong> {dropped.value}
        </p>
      )}
      {owner.value && <OwnAgents />}
      <div class="trade-start-pair">
        <SignUp />
        <PasteKey />
      </div>
    </div>
  );
}

function PasteKey(): JSX.Element {
  const text = useSignal("");
  const shown = useSignal(false);
  const remember = useSignal(false);
  const wrong = useSignal<string | null>(null);
  const begin = (event: Event) => {
    event.preventDefault();
    if (looksLikeKey(text.value)) take(text.value, remember.value);
    else wrong.value = "A key begins with rk_live_ and is about 90 characters long.";
  };
  return (
    <Panel title="I have a key">
      <form class="trade-form" onSubmit={begin}>
        <div class="trade-key">
          <Field
            label="API key"
            type={(shown.value ? "text" : "password") as "password"}
            value={text.value}
            autocomplete="off"
            spellcheck={false}
            placeholder="rk_live_…"
            error={wrong.value}
            onInput={(event) => {
              text.value = event.currentTarget.value;
              wrong.value = null;
            }}
          />
          <Button
            aria-pressed={shown.value}
            onClick={() => {
              shown.value = !shown.value;
            }}
          >
            {shown.value ? "Hide" : "Show"}
          </Button>
        </div>
        <label class="trade-check">
          <input
            type="checkbox"
            checked={remember.value}
            onChange={(event) => {
              remember.value = event.currentTarget.checked;
            }}
          />
          Remember on this device
        </label>
        <p class="trade-note">
          {remember.value
            ? "The key is kept in this browser until you stop trading. Not on a shared machine."
            : "The key is kept by this tab alone and is gone when you close it."}
        </p>
        <Button kind="main" type="submit" disabled={!text.value.trim()}>
          Trade with this key
        </Button>
      </form>
    </Panel>
  );
}

function SignUp(): JSX.Element {
  const email = useSignal("");
  const name = useSignal("");
  const password = useSignal("");
  const busy = useSignal(false);
  const wrong = useSignal<{ text: string; field: string | null } | null>(null);
  const made = useSignal<SignedUp | null>(null);
  const begin = async (event: Event) => {
    event.preventDefault();
    busy.value = true;
    wrong.value = null;
    const body = {
      email: email.value.trim(),
      agent_name: name.value.trim(),
      ...(password.value ? { password: password.value } : {}),
    };
    try {
      made.value = await call<SignedUp>("/auth/signup", { method: "POST", body });
      password.value = "";
    } catch (error) {
      wrong.value = explained(error);
    } finally {
      busy.value = false;
    }
  };
  if (made.value) return <NewKey made={made.value} />;
  const of = (field: string) => (wrong.value?.field === field ? wrong.value.text : null);
  const typed = (to: { value: string }) => (event: { currentTarget: HTMLInputElement }) => {
    to.value = event.currentTarget.value;
  };
  return (
    <Panel title="I am new here">
      <form class="trade-form" onSubmit={begin}>
        <Field
          label="Email"
          type="email"
          required
          autocomplete="email"
          value={email.value}
          onInput={typed(email)}
          error={of("email")}
        />
        <Field
          label="Agent name"
          required
          minlength={3}
          maxlength={32}
          pattern="[A-Za-z0-9][A-Za-z0-9_.\-]{2,31}"
          autocomplete="off"
          hint="3 to 32 letters, digits, . _ -   Everybody sees it on the leaderboard."
          value={name.value}
          onInput={typed(name)}
          error={of("agent_name")}
        />
        <Field
          label="Password (optional)"
          type="password"
          minlength={8}
          autocomplete="new-password"
          hint="With one you can sign in as the owner: more keys, more agents."
          value={password.value}
          onInput={typed(password)}
          error={of("password")}
        />
        {wrong.value && !wrong.value.field && (
          <p class="trade-wrong" role="alert">
            {wrong.value.text}
          </p>
        )}
        <Button kind="main" type="submit" busy={busy.value}>
          {busy.value ? "Signing up …" : "Sign up and trade"}
        </Button>
      </form>
    </Panel>
  );
}

function explained(error: unknown): { text: string; field: string | null } {
  const { text, code } = failed(error, "");
  if (code === "EMAIL_TAKEN") return { text: "This address has an account already.", field: "email" };
  if (code === "AGENT_NAME_TAKEN") return { text: "This name is taken or reserved.", field: "agent_name" };
  if (error instanceof VenueError && Array.isArray(error.details)) {
    const first = error.details[0] as { field?: string; message?: string } | undefined;
    if (first?.field) return { text: first.message ?? text, field: first.field };
  }
  if (error instanceof VenueError && error.status === 0)
    return {
      text: "The venue did not answer. If the account was made after all, its key was lost: use another address.",
      field: null,
    };
  return { text: `${text.trim()} (${code})`, field: null };
}

function NewKey({ made }: { made: SignedUp }): JSX.Element {
  const copied = useSignal(false);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(made.api_key);
      copied.value = true;
    } catch {
      const selection = getSelection();
      const node = document.getElementById("trade-new-key");
      if (selection && node) selection.selectAllChildren(node);
    }
  };
  return (
    <Panel title={`${made.agent_name} is ready`}>
      <div class="trade-form">
        <p>
          It has {money(made.testnet_cash_cents)} of test cash. This is its key. <strong>It is shown this once.</strong>
        </p>
        <code class="trade-secret" id="trade-new-key">
          {made.api_key}
        </code>
        <div class="trade-row">
          <Button onClick={copy}>{copied.value ? "Copied" : "Copy"}</Button>
          <Button kind="main" onClick={() => take(made.api_key, false)}>
            I have kept it
          </Button>
        </div>
        <p class="hidden" role="status">
          {copied.value ? "The key was copied." : ""}
        </p>
      </div>
    </Panel>
  );
}

function OwnAgents(): JSX.Element {
  const busy = useSignal<string | null>(null);
  const wrong = useSignal<string | null>(null);
  const account = owner.value;
  const issue = async (id: string) => {
    busy.value = id;
    wrong.value = null;
    try {
      await issueKey(id);
    } catch (error) {
      const { text, code } = failed(error, "No key was issued.");
      wrong.value = `${text} (${code})`;
    } finally {
      busy.value = null;
    }
  };
  return (
    <Panel title="My agents" aside={account?.email}>
      <div class="trade-form">
        <p class="trade-note">
          To trade takes a key of the agent's. One can be issued for this tab: it may read and trade, ends after {HOURS}{" "}
          hours, and is revoked when you stop trading here.
        </p>
        <ul class="trade-agents">
          {account?.agents.map((agent) => (
            <li key={agent.agent_id}>
              <span class="trade-agent-name">{agent.name}</span>
              <span class="number soft">{money(agent.free_cash_cents)} free</span>
              <Button
                kind="main"
                busy={busy.value === agent.agent_id}
                disabled={agent.suspended || busy.value !== null}
                onClick={() => issue(agent.agent_id)}
              >
                {agent.suspended ? "Suspended" : "Trade here"}
              </Button>
            </li>
          ))}
        </ul>
        {wrong.value && (
          <p class="trade-wrong" role="alert">
            {wrong.value}
          </p>
        )}
      </div>
    </Panel>
  );
}
