/**
 * Where test cash comes from. The venue takes a claim from an agent's key alone, so one is made for the claim and revoked
 * right after it; should that fail, it expires by itself.
 */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Button, Empty, Panel, toast } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { ago, countdown, money } from "../venue/format";
import { call, VenueError } from "../venue/http";
import { lendKey, takeBackKey } from "../venue/keys";
import { frozen, nowS } from "../venue/live";
import { usePolled } from "../venue/poll";

const KEY_MS = 2 * 60_000;

interface Claimed {
  amount_cents: number;
  cash_cents: number;
  next_claim_at: string;
}

async function claimFor(agentId: string): Promise<Claimed> {
  const made = await lendKey(agentId, "faucet", ["trade"], KEY_MS);
  try {
    return await call<Claimed>("/faucet", { method: "POST", bearer: made.api_key });
  } finally {
    await takeBackKey(agentId, made.key_id).catch(() => undefined);
  }
}

interface Limits {
  faucet: {
    enabled: boolean;
    signup_grant_cents: number;
    amount_cents: number;
    cooldown_ms: number;
    account_cap_cents: number;
  };
}

export function FaucetPanel(props: { agent: { agent_id: string; name: string }; onDone: () => void }): JSX.Element {
  const { agent, onDone } = props;
  const busy = useSignal(false);
  const error = useSignal<unknown>(null);
  const next = useSignal(0);
  const waitMs = next.value - nowS.value * 1_000;
  const claim = async () => {
    busy.value = true;
    error.value = null;
    try {
      const got = await claimFor(agent.agent_id);
      next.value = Date.parse(got.next_claim_at);
      toast("good", `${money(got.amount_cents)} of test cash for ${agent.name}.`);
      onDone();
    } catch (failed) {
      const wait = failed instanceof VenueError && failed.code === "FAUCET_COOLDOWN" ? failed.retryAfterS : null;
      if (wait === null) error.value = failed;
      else next.value = (nowS.value + wait) * 1_000;
    } finally {
      busy.value = false;
    }
  };
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
          <Trouble error={error.value} />
          {faucet.enabled ? (
            <Button busy={busy.value} disabled={waitMs > 0 || frozen.value.frozen} onClick={() => void claim()}>
              {waitMs > 0 ? (
                <span class="number">Again in {countdown(waitMs)}</span>
              ) : (
                `Claim ${money(faucet.amount_cents)} for ${agent.name}`
              )}
            </Button>
          ) : (
            <p class="field-note">The operator has switched the faucet off; an operator can grant cash.</p>
          )}
        </div>
      )}
    </Panel>
  );
}
