/** Where test cash comes from. A claim is the agent's own: the venue takes none from an owner's session. */

import type { JSX } from "preact";
import { Empty, Panel } from "../parts/parts";
import { ago, money } from "../venue/format";
import { call } from "../venue/http";
import { usePolled } from "../venue/poll";

interface Limits {
  faucet: {
    enabled: boolean;
    signup_grant_cents: number;
    amount_cents: number;
    cooldown_ms: number;
    account_cap_cents: number;
  };
}

export function FaucetPanel(): JSX.Element {
  const limits = usePolled("limits", 300_000, (signal) => call<Limits>("/meta/limits", { signal }));
  const faucet = limits.data?.faucet;
  return (
    <Panel title="Test cash" class="owner-faucet">
      {!faucet ? (
        <Empty>Reading …</Empty>
      ) : (
        <div class="owner-inset owner-form">
          <dl class="owner-pairs">
            <dt>At sign-up</dt>
            <dd class="number">{money(faucet.signup_grant_cents)}</dd>
            <dt>A claim</dt>
            <dd class="number">{faucet.enabled ? money(faucet.amount_cents) : "switched off"}</dd>
            <dt>At most every</dt>
            <dd class="number">{ago(faucet.cooldown_ms)}</dd>
            <dt>An account in all</dt>
            <dd class="number">{money(faucet.account_cap_cents)}</dd>
          </dl>
          <p class="field-note">
            {faucet.enabled ? (
              <>
                A claim is made with an agent's own key, not with this session: on <a href="#/trade">Trade</a>, with a
                key that may trade. Then move the cash where it is needed.
              </>
            ) : (
              "The operator has switched the faucet off; an operator can grant cash."
            )}
          </p>
        </div>
      )}
    </Panel>
  );
}
