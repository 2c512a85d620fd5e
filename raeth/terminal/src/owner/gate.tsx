/** Where an owner signs in, or makes an account: with its first agent, that agent's key and test cash. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Button, Choice, Field, Panel } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { faultsOf } from "../venue/failure";
import { call } from "../venue/http";
import { signIn } from "../venue/session";
import type { SignedUp } from "../venue/wire";
import { NAME_RULE, nameFault, passwordFault } from "./keyform";
import { shown } from "./shown";

type Faults = { email?: string | null; password?: string | null; name?: string | null };

const WORDS = {
  INVALID_CREDENTIALS:
    "Email and password do not fit together, or the account was made without a password (then it has only its key).",
  EMAIL_TAKEN: "There is an account with this email already: sign in instead, and add agents there.",
  AGENT_NAME_TAKEN: "Another agent has this name, or it is reserved. Choose another: a number at the end is enough.",
  RATE_LIMITED: "Too many attempts from this address.",
};

export function Gate(props: { ended: boolean }): JSX.Element {
  const mode = useSignal<"in" | "up">("in");
  const email = useSignal("");
  const password = useSignal("");
  const name = useSignal("");
  const faults = useSignal<Faults>({});
  const error = useSignal<unknown>(null);
  const busy = useSignal(false);
  const up = mode.value === "up";

  const submit = async () => {
    if (busy.value) return;
    faults.value = {
      email: /^\s*[^@\s]+@[^@\s]+\s*$/.test(email.value) ? null : "An email address, such as ada@example.org.",
      password: up ? passwordFault(password.value) : password.value === "" ? "The password is missing." : null,
      name: up ? nameFault(name.value) : null,
    };
    if (Object.values(faults.value).some((fault) => fault)) return;
    busy.value = true;
    error.value = null;
    try {
      if (up) {
        const body = { email: email.value.trim(), agent_name: name.value, password: password.value };
        const made = await call<SignedUp>("/auth/signup", { method: "POST", body });
        shown.value = {
          agentName: made.agent_name,
          apiKey: made.api_key,
          scopes: made.scopes,
          why: "The key of your first agent",
        };
        mode.value = "in"; // the account is there, whatever becomes of signing in
      }
      await signIn(email.value, password.value);
    } catch (failed) {
      error.value = failed;
      const by = faultsOf(failed);
      faults.value = { email: by.get("email"), password: by.get("password"), name: by.get("agent_name") };
    } finally {
      busy.value = false;
    }
  };

  return (
    <div class="owner-gate">
      <h1 class="hidden">Owner</h1>
      <Panel title={up ? "Make an account" : "Owner"}>
        <form
          class="owner-inset owner-form"
          noValidate
          onSubmit={(event) => {
            event.preventDefault();
            void submit();
          }}
        >
          {props.ended && !shown.value && (
            <p class="owner-note" role="status">
              The session has ended. Sign in again; nothing was lost.
            </p>
          )}
          <Choice
            label="Sign in or make an account"
            value={mode.value}
            options={[
              ["in", "Sign in"],
              ["up", "New account"],
            ]}
            onChange={(chosen) => {
              mode.value = chosen;
              faults.value = {};
              error.value = null;
            }}
          />
          <Field
            label="Email"
            type="email"
            name="email"
            autocomplete="username"
            value={email.value}
            error={faults.value.email ?? null}
            onInput={(event) => {
              email.value = event.currentTarget.value;
            }}
          />
          <Field
            label="Password"
            type="password"
            name="password"
            autocomplete={up ? "new-password" : "current-password"}
            value={password.value}
            error={faults.value.password ?? null}
            hint={up ? "At least 8 characters." : undefined}
            onInput={(event) => {
              password.value = event.currentTarget.value;
            }}
          />
          {up && (
            <Field
              label="Name of your first agent"
              name="agent"
              autocomplete="off"
              spellcheck={false}
              maxLength={32}
              value={name.value}
              error={faults.value.name ?? null}
              hint={NAME_RULE}
              onInput={(event) => {
                name.value = event.currentTarget.value;
              }}
            />
          )}
          <Trouble error={error.value} words={WORDS} />
          <Button type="submit" kind="main" busy={busy.value}>
            {busy.value ? "Asking the venue …" : up ? "Make the account" : "Sign in"}
          </Button>
          <p class="field-note">
            {up
              ? "No message is sent to the address, and the venue cannot reset a password. All cash is test cash."
              : "The session is a cookie that scripts cannot read, and ends after a day."}
          </p>
        </form>
      </Panel>
    </div>
  );
}
