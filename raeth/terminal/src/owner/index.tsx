/** The owner's page: an account, its agents, their keys, their cash and what became of it. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Button, toast } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { said } from "../venue/failure";
import { count, money } from "../venue/format";
import { usePolled } from "../venue/poll";
import { owner, ownerReady, readOwner, signOut } from "../venue/session";
import type { Account, OwnerAccount } from "../venue/wire";
import { AgentsPanel } from "./agents";
import { useAccounts } from "./data";
import { FaucetPanel } from "./faucet";
import { Gate } from "./gate";
import { KeysPanel } from "./keys";
import { LedgerPanels } from "./ledger";
import { OrdersPanel, PositionsPanel } from "./positions";
import { ShownKey } from "./shown";
import { TransferPanel } from "./transfer";
import "./owner.css";

export default function Owner(): JSX.Element {
  const asked = useSignal(false);
  const left = useSignal(false);
  const was = useSignal(false);
  useEffect(() => {
    void ownerReady().then(() => {
      asked.value = true;
    });
  }, [asked]);
  useEffect(() => {
    if (owner.value) was.value = true;
  }, [owner.value, was]);
  return (
    <>
      {owner.value ? (
        <Signed account={owner.value} onLeave={() => (left.value = true)} />
      ) : asked.value ? (
        <Gate ended={was.value && !left.value} />
      ) : (
        <p class="empty">Looking whether you are signed in …</p>
      )}
      <ShownKey />
    </>
  );
}

function Signed(props: { account: OwnerAccount; onLeave: () => void }): JSX.Element {
  const { account } = props;
  const me = usePolled("me", 6_000, () => readOwner());
  const accounts = useAccounts(account.agents);
  const chosen = useSignal<string | null>(null);
  const agent = account.agents.find((each) => each.agent_id === chosen.value) ?? account.agents[0];
  const changed = () => {
    me.refresh();
    accounts.refresh();
  };
  return (
    <div class="owner">
      <h1 class="hidden">Owner</h1>
      <Strip account={account} accounts={accounts.data} onLeave={props.onLeave} />
      {me.error || accounts.error ? <Trouble error={me.error ?? accounts.error} /> : null}
      <div class="owner-column">
        <AgentsPanel
          agents={account.agents}
          accounts={accounts.data}
          chosen={chosen}
          current={agent?.agent_id ?? null}
          onDone={changed}
        />
        {agent && <LedgerPanels key={agent.agent_id} agent={agent} />}
        {agent && <PositionsPanel agent={agent} />}
        {agent && <OrdersPanel agent={agent} open={accounts.data?.get(agent.agent_id)?.open_orders ?? null} />}
      </div>
      <div class="owner-column">
        <TransferPanel account={account} onDone={changed} />
        {agent && <KeysPanel key={agent.agent_id} agent={agent} onDone={changed} />}
        {agent && <FaucetPanel agent={agent} onDone={changed} />}
      </div>
    </div>
  );
}

function Strip(props: {
  account: OwnerAccount;
  accounts: ReadonlyMap<string, Account> | null;
  onLeave: () => void;
}): JSX.Element {
  const { account, accounts } = props;
  const busy = useSignal(false);
  const agentsCents = account.agents.reduce((sum, agent) => sum + agent.cash_cents, 0);
  const all = accounts && [...accounts.values()];
  const equityCents = all?.reduce((sum, each) => sum + each.equity_cents, account.master.cash_cents);
  const leave = async () => {
    busy.value = true;
    props.onLeave();
    try {
      await signOut();
    } catch (error) {
      toast("bad", `Still signed in. ${said(error).text}`);
      busy.value = false;
    }
  };
  return (
    <section class="owner-strip" aria-label="Account">
      <dl>
        <div class="owner-who">
          <dt>Account</dt>
          <dd>{account.email ?? account.account_id}</dd>
        </div>
        <div>
          <dt>Equity in all</dt>
          <dd class="number">{money(equityCents)}</dd>
        </div>
        <div>
          <dt>Master wallet</dt>
          <dd class="number" data-master>
            {money(account.master.cash_cents)}
          </dd>
        </div>
        <div>
          <dt>With agents</dt>
          <dd class="number">{money(agentsCents)}</dd>
        </div>
        <div>
          <dt>Agents</dt>
          <dd class="number">{count(account.agents.length)}</dd>
        </div>
      </dl>
      <Button busy={busy.value} onClick={() => void leave()}>
        Sign out
      </Button>
    </section>
  );
}
