/** The audit trail: what operators did, when, why; newest first, older ones on demand. */

import { useSignal } from "@preact/signals";
import type { JSX } from "preact";
import { Button, Empty, Panel } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { clock } from "../venue/clock";
import { type Kept, withNewest, withOlder } from "../venue/pages";
import { usePolled } from "../venue/poll";
import type { AdminAction, Page } from "../venue/wire";
import { stamp } from "./stamp";
import { asOperator, lost } from "./token";
import { actionWords } from "./wording";

const PAGE = 50;
const MOST = 1_000;
const EVERY_MS = 10_000;

export interface Trail {
  rows: AdminAction[];
  more: boolean;
  error: unknown;
  refresh: () => void;
  older: () => Promise<void>;
}

export function useTrail(): Trail {
  const kept = useSignal<Kept<AdminAction> | null>(null);
  const failed = useSignal<unknown>(null);
  const polled = usePolled("audit", EVERY_MS, async (signal) => {
    const page = await asOperator<Page<AdminAction>>("/audit", { query: { limit: PAGE }, signal });
    kept.value = withNewest(kept.peek(), page, (row) => String(row.seq), MOST);
    return true;
  });
  const older = async () => {
    const now = kept.peek();
    if (!now?.cursor) return;
    try {
      const page = await asOperator<Page<AdminAction>>("/audit", { query: { limit: PAGE, cursor: now.cursor } });
      const then = kept.peek();
      if (then?.cursor === now.cursor) kept.value = withOlder(then, page, MOST);
      failed.value = null;
    } catch (error) {
      if (!lost(error)) failed.value = error;
    }
  };
  return {
    rows: kept.value?.items ?? [],
    more: kept.value?.cursor != null,
    error: polled.error ?? failed.value,
    refresh: polled.refresh,
    older,
  };
}

export function AuditPanel(props: { trail: Trail; name: (id: string) => string | null }): JSX.Element {
  const { trail } = props;
  return (
    <Panel title="Audit trail" class="op-audit" aside="every command, done or refused">
      {trail.error ? (
        <div class="op-inset">
          <Trouble error={trail.error} />
        </div>
      ) : null}
      {trail.rows.length === 0 ? (
        <Empty>No operator has done anything yet.</Empty>
      ) : (
        <table class="op-rows op-trail">
          <thead>
            <tr>
              <th scope="col">Time</th>
              <th scope="col">What</th>
              <th scope="col">Why, or what was said</th>
              <th scope="col">Who</th>
              <th scope="col" class="number">
                Seq
              </th>
            </tr>
          </thead>
          <tbody>
            {trail.rows.map((row) => (
              <tr key={row.seq} data-action={row.action}>
                <td class="number" data-label="Time">
                  <time dateTime={row.ts}>{stamp(row.ts, clock.now())}</time>
                </td>
                <td data-label="What" class="op-wrap">
                  {actionWords(row, props.name)}
                </td>
                <td data-label="Why" class="op-wrap soft">
                  {row.reason ?? "–"}
                </td>
                <td data-label="Who">{row.actor}</td>
                <td data-label="Seq" class="number soft">
                  {row.seq}
                </td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
      {trail.more && (
        <div class="op-inset">
          <Button onClick={() => void trail.older()}>Older ones</Button>
        </div>
      )}
    </Panel>
  );
}
