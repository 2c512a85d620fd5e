/** Cash between the master wallet and agents. A repeat after a lost answer moves nothing twice. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useId, useMemo } from "preact/hooks";
import { Button, Field, Panel, toast } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { unsure } from "../venue/failure";
import { money } from "../venue/format";
import { call } from "../venue/http";
import { centsOf } from "../venue/money";
import type { OwnerAccount } from "../venue/wire";
import { Once } from "./once";

interface Wallet {
  id: string;
  name: string;
  freeCents: number;
}

export function TransferPanel(props: { account: OwnerAccount; onDone: () => void }): JSX.Element {
  const { account } = props;
  const wallets: Wallet[] = [
    { id: "master", name: "Master wallet", freeCents: account.master.cash_cents },
    ...account.agents.map((agent) => ({ id: agent.agent_id, name: agent.name, freeCents: agent.free_cash_cents })),
  ];
  const from = useSignal(account.agents[0]?.agent_id ?? "master");
  const to = useSignal("master");
  const amount = useSignal("");
  const fault = useSignal<string | null>(null);
  const error = useSignal<unknown>(null);
  const busy = useSignal(false);
  const once = useMemo(() => new Once(), []);
  const source = wallets.find(({ id }) => id === from.value);
  const target = wallets.find(({ id }) => id === to.value);

  const submit = async () => {
    const read = centsOf(amount.value);
    fault.value = "fault" in read ? read.fault : null;
    if (from.value === to.value) fault.value = "From and to are the same wallet.";
    if ("fault" in read || fault.value !== null || busy.value || !source || !target) return;
    busy.value = true;
    error.value = null;
    try {
      const body = {
        from: from.value,
        to: to.value,
        amount_cents: read.cents,
        client_transfer_id: once.idFor(from.value, to.value, read.cents),
      };
      const done = await call<{ replayed: boolean }>("/me/transfers", { method: "POST", body });
      once.settled();
      const words = `${money(read.cents)} from ${source.name} to ${target.name}`;
      toast("good", done.replayed ? `${words}: that had been done the first time, and once only.` : `Moved ${words}.`);
      amount.value = "";
    } catch (failed) {
      error.value = failed;
      if (!unsure(failed)) once.settled();
    } finally {
      busy.value = false;
      props.onDone();
    }
  };

  const words = {
    INSUFFICIENT_BALANCE: `${source?.name ?? "The paying wallet"} has not so much free cash. What is locked as collateral cannot move. Nothing was moved.`,
    EXCHANGE_FROZEN: "The venue is frozen: no cash moves until an operator lifts that. Nothing was moved.",
  };
  return (
    <Panel title="Move cash" class="owner-transfer">
      <form
        class="owner-inset owner-form"
        onSubmit={(event) => {
          event.preventDefault();
          void submit();
        }}
      >
        <Pick label="From" wallets={wallets} value={from.value} onChange={(id) => (from.value = id)} />
        <div class="owner-swap">
          <Button
            class="owner-small"
            onClick={() => {
              [from.value, to.value] = [to.value, from.value];
            }}
          >
            ⇅ Swap
          </Button>
        </div>
        <Pick label="To" wallets={wallets} value={to.value} onChange={(id) => (to.value = id)} />
        <Field
          label="Amount in dollars"
          inputMode="decimal"
          autocomplete="off"
          placeholder="25.00"
          class="number"
          value={amount.value}
          error={fault.value}
          onInput={(event) => {
            amount.value = event.currentTarget.value;
            fault.value = null;
          }}
        />
        <Trouble error={error.value} words={words}>
          {unsure(error.value) && <p>It may have been moved. Press again as it stands: it is not moved twice.</p>}
        </Trouble>
        <div class="owner-buttons">
          <Button
            disabled={!source || source.freeCents <= 0}
            onClick={() => {
              const cents = source?.freeCents ?? 0;
              amount.value = `${Math.trunc(cents / 100)}.${String(cents % 100).padStart(2, "0")}`;
              fault.value = null;
            }}
          >
            All that is free
          </Button>
          <Button type="submit" kind="main" busy={busy.value}>
            {unsure(error.value) ? "Ask again" : "Move"}
          </Button>
        </div>
      </form>
    </Panel>
  );
}

function Pick(props: {
  label: string;
  wallets: readonly Wallet[];
  value: string;
  onChange: (id: string) => void;
}): JSX.Element {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{props.label}</label>
      <select id={id} value={props.value} onChange={(event) => props.onChange(event.currentTarget.value)}>
        {props.wallets.map((wallet) => (
          <option key={wallet.id} value={wallet.id}>
            {wallet.name} · {money(wallet.freeCents)} free
          </option>
        ))}
      </select>
    </div>
  );
}
