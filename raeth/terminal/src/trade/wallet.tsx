/** The agent's cash, and what else holds for it as a whole: suspended, dead-man switch, how to stop. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Button, Dialog } from "../parts/parts";
import { countdown, money } from "../venue/format";
import { frozen, nowS } from "../venue/live";
import { claim, claiming, faucetOver, nextClaim } from "./act";
import { desk, polling, trouble, wallet } from "./mine";
import { isIssued, stopTrading } from "./own-key";

export function Wallet(): JSX.Element {
  const all = wallet.value;
  const account = desk.value?.account;
  const asking = useSignal(false);
  return (
    <section class="trade-wallet" aria-label="Account">
      <div class="trade-who">
        <strong>{account?.agent_name ?? "…"}</strong>
        <span class="trade-states">
          <Deadman />
          {account?.suspended && <span class="tag tag-warn">Suspended: no new orders</span>}
          {polling.value && (
            <span class="tag tag-warn" title={`The private stream was refused (${polling.value}).`}>
              Read every 3 s
            </span>
          )}
        </span>
      </div>
      <dl class="trade-sums">
        <Sum name="Cash" cents={all?.cash_cents} />
        <Sum name="Locked" cents={all?.locked_cents} />
        <Sum name="Free" cents={all?.free_cents} strong />
        <Sum name="Equity" cents={all?.equity_cents} />
        <Sum name="Pending" cents={all?.pending_cents} sign />
      </dl>
      <div class="trade-row trade-wallet-acts">
        <Faucet />
        <Button
          onClick={() => {
            asking.value = true;
          }}
        >
          Stop trading
        </Button>
      </div>
      {trouble.value && (
        <p class="trade-wrong" role="alert">
          The account cannot be read: {trouble.value} Trying again …
        </p>
      )}
      {asking.value && (
        <Dialog
          title="Stop trading in this tab?"
          onClose={() => {
            asking.value = false;
          }}
        >
          <p>
            {isIssued()
              ? "The key that was issued for this tab is revoked."
              : "The key is forgotten here and stays valid elsewhere."}{" "}
            {desk.value?.orders.size ? "Orders that rest go on resting." : ""}
          </p>
          <div class="trade-row">
            <Button kind="danger" onClick={() => void stopTrading()}>
              Stop trading
            </Button>
            <Button
              onClick={() => {
                asking.value = false;
              }}
            >
              Go on
            </Button>
          </div>
        </Dialog>
      )}
    </section>
  );
}

function Sum(props: { name: string; cents: number | undefined; strong?: boolean; sign?: boolean }): JSX.Element {
  const { name, cents, strong, sign } = props;
  const tone = sign && cents ? (cents > 0 ? "up" : "down") : "";
  return (
    <div>
      <dt>{name}</dt>
      <dd class={`number ${strong ? "trade-strong" : ""} ${tone}`}>{money(cents, sign)}</dd>
    </div>
  );
}

function Faucet(): JSX.Element | null {
  if (faucetOver.value) return <span class="soft trade-faucet-over">{faucetOver.value}</span>;
  const wait = nextClaim.value - nowS.value * 1000;
  return (
    <Button onClick={claim} busy={claiming.value} disabled={wait > 0 || frozen.value.frozen}>
      {wait > 0 ? <span class="number">Test cash in {countdown(wait)}</span> : "Claim test cash"}
    </Button>
  );
}

function Deadman(): JSX.Element | null {
  const timer = desk.value?.account.deadman;
  if (!timer) return null;
  const now = nowS.value * 1000;
  const armed = [{ ...timer, symbol: "all orders" }, ...timer.markets]
    .map((each) => ({ name: each.symbol, left: each.armed_until ? Date.parse(each.armed_until) - now : 0 }))
    .filter((each) => each.left > 0);
  return (
    <>
      {armed.map((each) => (
        <span key={each.name} class="tag tag-warn number" title={`Cancels ${each.name} unless it is renewed in time.`}>
          Dead-man switch {countdown(each.left)}
        </span>
      ))}
    </>
  );
}
