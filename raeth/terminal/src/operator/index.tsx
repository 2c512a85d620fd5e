/** The operator's page: a console for one venue, and above all its kill switch. */

import { useSignalEffect } from "@preact/signals";
import type { JSX } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Button, Panel } from "../parts/parts";
import { call, VenueError } from "../venue/http";
import { frozen as announced, markets, nowS } from "../venue/live";
import { usePolled } from "../venue/poll";
import { adminToken } from "../venue/session";
import type { AdminState, Health, ReferenceNow, Version } from "../venue/wire";
import { AgentsPanel } from "./agents";
import { AuditPanel, useTrail } from "./audit";
import { BroadcastPanel } from "./broadcast";
import { readDirectory } from "./directory";
import { Gate } from "./gate";
import { gauges } from "./gauges";
import { HealthPanel, SourcesPanel } from "./health";
import { KillSwitch, type Trading } from "./kill";
import { asOperator, lost, turnedAway } from "./token";
import { WindowsPanel } from "./windows";
import { lastFreeze } from "./wording";
import "./operator.css";

const STATE_MS = 3_000;
/** Older than this, the last word of the venue is not shown as what is. */
const BELIEVED_MS = 10_000;

export default function Operator(): JSX.Element {
  return adminToken.value === null ? <Gate /> : <Console />;
}

function Console(): JSX.Element {
  const state = usePolled("state", STATE_MS, (signal) => asOperator<AdminState>("/state", { signal }));
  const health = usePolled("health", STATE_MS, (signal) => call<Health>("/health", { signal }));
  const ready = usePolled("ready", 10_000, readReady);
  const reference = usePolled("reference", STATE_MS, (signal) => call<ReferenceNow>("/reference/btc", { signal }));
  const version = usePolled("version", 60_000, (signal) => call<Version>("/meta/version", { signal }));
  const directory = usePolled("directory", 30_000, readDirectory);
  const trail = useTrail();
  const changed = () => {
    state.refresh();
    ready.refresh();
    health.refresh();
    trail.refresh();
  };

  const heard = useRef(announced.peek());
  useSignalEffect(() => {
    const now = announced.value; // somebody else froze it, or lifted it: the stream tells at once
    if (now !== heard.current) changed();
    heard.current = now;
  });
  useEffect(() => {
    if (state.error) lost(state.error);
  }, [state.error]);

  void nowS.value; // ages are drawn again every second
  const ageMs = state.atMs === null ? null : performance.now() - state.atMs;
  const isFrozen = state.data?.frozen ?? false;
  const trading: Trading = ageMs === null || ageMs > BELIEVED_MS ? "unknown" : isFrozen ? "frozen" : "open";
  const known = directory.data ?? [];
  const name = (id: string) => markets.value.get(id)?.symbol ?? known.find((each) => each.id === id)?.name ?? null;

  return (
    <div class="op">
      <h1 class="hidden">Operator</h1>
      <KillSwitch
        trading={trading}
        frozen={isFrozen}
        reason={state.data?.reason ?? null}
        by={lastFreeze(trail.rows)}
        ageMs={ageMs}
        onDone={changed}
      />
      <HealthPanel
        gauges={gauges({
          health: health.data,
          heard: health.atMs !== null && performance.now() - health.atMs <= BELIEVED_MS,
          refused: ready.data ? ready.data.refused : undefined,
          state: state.data,
          version: version.data,
          nowMs: Date.now(),
        })}
        atMs={health.atMs}
        error={state.error ?? health.error}
      />
      <div class="op-column">
        <WindowsPanel live={state.data?.markets ?? []} onDone={changed} />
        <AuditPanel trail={trail} name={name} />
      </div>
      <div class="op-column">
        <AgentsPanel directory={known} actions={trail.rows} onDone={changed} />
        <BroadcastPanel onDone={changed} />
        <SourcesPanel reference={reference.data} error={reference.error} atMs={reference.atMs} />
        <Elsewhere />
      </div>
    </div>
  );
}

function Elsewhere(): JSX.Element {
  return (
    <Panel title="Elsewhere" class="op-links">
      <ul class="op-inset">
        <li>
          <a href="/status">Status</a> for people
        </li>
        <li>
          <a href="/metrics">Metrics</a> for Prometheus
        </li>
        <li>
          <a href="/docs">API</a>, with every call below <code>/admin</code>
        </li>
        <li>
          Runbooks: <code>docs/operating.md</code> in the project's folder
        </li>
      </ul>
      <div class="op-inset">
        <Button
          onClick={() => {
            turnedAway.value = null;
            adminToken.value = null;
          }}
        >
          Forget the token
        </Button>
      </div>
    </Panel>
  );
}

/** A venue that takes no orders answers 503 with the reason: an answer, not a failure. */
async function readReady(signal: AbortSignal): Promise<{ refused: string | null }> {
  try {
    await call("/ready", { signal });
    return { refused: null };
  } catch (error) {
    if (error instanceof VenueError && error.status === 503) return { refused: error.code };
    throw error;
  }
}
