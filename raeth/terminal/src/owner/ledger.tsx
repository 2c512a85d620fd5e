/** An agent's money over time: the curve, what came of it in sum, and the ledger's rows in words. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useMemo, useRef } from "preact/hooks";
import { Button, Choice, Empty, Panel } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { clockTime, count, money } from "../venue/format";
import { markets } from "../venue/live";
import type { LedgerEntry, OwnAgent } from "../venue/wire";
import { Chart } from "./chart";
import { curveOf, gainOf, ledgerWords, rowKey, type Summary, summary } from "./curve";
import { LEDGER_MOST, useLedger } from "./data";

const STEP = 15;

export function LedgerPanels(props: { agent: OwnAgent }): JSX.Element {
  const { agent } = props;
  const ledger = useLedger(agent.agent_id);
  const rows = ledger.data?.items ?? NONE;
  const gain = useSignal(false);
  const cash = useMemo(() => curveOf(rows), [rows]);
  const curve = useMemo(() => (gain.value ? gainOf(cash) : cash), [cash, gain.value]);
  const { refresh } = ledger;
  const was = useRef(agent.cash_cents);
  useEffect(() => {
    if (was.current !== agent.cash_cents) refresh(); // something moved: the ledger tells what
    was.current = agent.cash_cents;
  });
  const sum = useMemo(() => summary(rows), [rows]);
  const capped = rows.length >= LEDGER_MOST;
  return (
    <>
      <Panel
        title={`Cash of ${agent.name} over time`}
        class="owner-curve"
        aside={
          capped
            ? `the last ${count(LEDGER_MOST)} movements`
            : `${count(rows.length)} ${rows.length === 1 ? "movement" : "movements"}`
        }
      >
        {ledger.error ? (
          <div class="owner-inset">
            <Trouble error={ledger.error} />
          </div>
        ) : null}
        {sum && <Sums sum={sum} />}
        {rows.length > 0 && (
          <Choice
            label="What is drawn"
            class="owner-show"
            value={gain.value ? "gain" : "cash"}
            options={[
              ["cash", "Balance"],
              ["gain", "Gain alone"],
            ]}
            onChange={(chosen) => {
              gain.value = chosen === "gain";
            }}
          />
        )}
        {rows.length > 0 ? (
          <Chart curve={curve} readMs={ledger.atMs} label={described(agent.name, sum, cash.cents.at(-1) ?? 0)} />
        ) : (
          <Empty>
            {ledger.data ? "Nothing has moved yet: no cash came in, and no window was settled." : "Reading …"}
          </Empty>
        )}
      </Panel>
      <Rows rows={rows} known={ledger.data !== null} />
    </>
  );
}

const NONE: readonly LedgerEntry[] = [];

function Sums(props: { sum: Summary }): JSX.Element {
  const { sum } = props;
  const way = sum.settledCents > 0 ? "up" : sum.settledCents < 0 ? "down" : "";
  const sign = sum.settledCents > 0 ? "▲ " : sum.settledCents < 0 ? "▼ " : "";
  return (
    <dl class="owner-sums">
      <div>
        <dt>Settled gain</dt>
        <dd class={`number ${way}`}>
          {sign}
          {money(sum.settledCents, true)}
        </dd>
      </div>
      <div>
        <dt>Won / lost</dt>
        <dd class="number">
          {count(sum.won)} / {count(sum.lost)}
        </dd>
      </div>
      <div>
        <dt>Brought in</dt>
        <dd class="number">{money(sum.broughtCents)}</dd>
      </div>
      <div>
        <dt>Lowest / highest</dt>
        <dd class="number">
          {money(sum.lowCents)} / {money(sum.highCents)}
        </dd>
      </div>
    </dl>
  );
}

function described(name: string, sum: Summary | null, now: number): string {
  if (!sum) return `Cash of ${name} over time`;
  return `Cash of ${name} over time: now ${money(now)}, between ${money(sum.lowCents)} and ${money(sum.highCents)}; settled ${money(sum.settledCents, true)} in ${sum.won + sum.lost} windows.`;
}

function Rows(props: { rows: readonly LedgerEntry[]; known: boolean }): JSX.Element {
  const most = useSignal(STEP);
  const shown = props.rows.slice(0, most.value);
  return (
    <Panel title="Ledger" class="owner-ledger" aside="its sum is the balance">
      {shown.length === 0 ? (
        <Empty>{props.known ? "Nothing has moved yet." : "Reading …"}</Empty>
      ) : (
        <table class="owner-rows owner-lines">
          <thead>
            <tr>
              <th scope="col">Time, UTC</th>
              <th scope="col">What</th>
              <th scope="col" class="number">
                Amount
              </th>
              <th scope="col" class="number">
                Balance
              </th>
            </tr>
          </thead>
          <tbody>
            {shown.map((row) => (
              <tr key={rowKey(row)} data-kind={row.kind}>
                <td class="number owner-left" data-label="Time">
                  {row.ts.slice(5, 10)} {clockTime(row.ts)}
                </td>
                <td data-label="What">
                  {ledgerWords(row, windowName(row.market_id))}{" "}
                  {row.market_id && <a href={`#/proof/${row.market_id}`}>proof</a>}
                </td>
                <td
                  class={`number ${row.amount_cents > 0 ? "up" : row.amount_cents < 0 ? "down" : ""}`}
                  data-label="Amount"
                >
                  {money(row.amount_cents, true)}
                </td>
                <td class="number" data-label="Balance">
                  {money(row.balance_after_cents)}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {props.rows.length > most.value && (
        <div class="owner-inset">
          <Button class="owner-small" onClick={() => (most.value += 100)}>
            More of {count(props.rows.length - most.value)}
          </Button>
        </div>
      )}
    </Panel>
  );
}

/** "00:54–00:55", where the page still knows the window. */
function windowName(id: string | null): string | null {
  if (id === null) return null;
  const market = markets.value.get(id);
  return market ? `${clockTime(market.open_at).slice(0, 5)}–${clockTime(market.close_at).slice(0, 5)}` : "a window";
}
