/** How the venue is: gauges, and what each source says of the price. Every figure has an age. */

import type { JSX } from "preact";
import { Empty, Panel, Tag } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { ago, money } from "../venue/format";
import { nowS } from "../venue/live";
import type { ReferenceNow } from "../venue/wire";
import type { Gauge } from "./gauges";
import "./health.css";

const SIGNS = { good: "✓", warn: "!", bad: "✕", plain: "" } as const;
const MEANINGS = { good: "good", warn: "take care", bad: "bad", plain: "" } as const;

export function HealthPanel(props: { gauges: Gauge[]; atMs: number | null; error: unknown }): JSX.Element {
  return (
    <Panel title="Health" aside={<Age atMs={props.atMs} />} class="op-health">
      {props.error ? (
        <div class="op-inset">
          <Trouble error={props.error} />
        </div>
      ) : null}
      <dl class="op-gauges">
        {props.gauges.map(({ name, value, note, tone }) => (
          <div key={name} class={`op-gauge op-gauge-${tone}`} data-gauge={name} data-tone={tone}>
            <dt>{name}</dt>
            <dd class="op-gauge-value">
              {SIGNS[tone] && (
                <span class="op-gauge-sign" role="img" aria-label={MEANINGS[tone]}>
                  {SIGNS[tone]}
                </span>
              )}
              <span>{value}</span>
            </dd>
            <dd class="op-gauge-note">{note}</dd>
          </div>
        ))}
      </dl>
    </Panel>
  );
}

export function SourcesPanel(props: {
  reference: ReferenceNow | null;
  error: unknown;
  atMs: number | null;
}): JSX.Element {
  const { reference } = props;
  return (
    <Panel title="Reference inputs" aside={<Age atMs={props.atMs} />} class="op-sources">
      {props.error ? (
        <div class="op-inset">
          <Trouble error={props.error} />
        </div>
      ) : null}
      {reference && reference.venues.length > 0 ? (
        <div class="scroll-x">
          <table>
            <thead>
              <tr>
                <th scope="col">Source</th>
                <th scope="col" class="number">
                  Price
                </th>
                <th scope="col" class="number">
                  Age
                </th>
                <th scope="col">Counts</th>
              </tr>
            </thead>
            <tbody>
              {reference.venues.map((each) => (
                <tr key={each.venue}>
                  <td>{each.venue}</td>
                  <td class="number">{money(each.price_cents)}</td>
                  <td class="number">{each.age_ms === null ? "–" : `${each.age_ms} ms`}</td>
                  <td>{each.used ? <Tag kind="up">✓ used</Tag> : <Tag kind="warn">✕ {each.why}</Tag>}</td>
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      ) : (
        <Empty>{reference ? `The source “${reference.source}” has no inputs of its own to show.` : "Reading …"}</Empty>
      )}
    </Panel>
  );
}

/** How long ago something was read, by this machine's clock. */
export function Age(props: { atMs: number | null }): JSX.Element {
  void nowS.value; // drawn again every second
  if (props.atMs === null) return <span>not read yet</span>;
  const ms = performance.now() - props.atMs;
  return (
    <span class={`number ${ms > 10_000 ? "op-old" : ""}`}>
      {ms > 10_000 ? "OLD: " : ""}read {ago(ms)} ago
    </span>
  );
}
