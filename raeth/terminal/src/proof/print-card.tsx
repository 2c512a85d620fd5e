/** One print: what the venue says of it, its inputs as they are judged here, and whether both come to the same. */

import type { JSX } from "preact";
import { useId } from "preact/hooks";
import { Empty, Panel, Tag } from "../parts/parts";
import { clockTime, count, money } from "../venue/format";
import { centsOf } from "../venue/money";
import type { Market, Print } from "../venue/wire";
import { Checks } from "./proven";
import type { Judged, PrintResult } from "./recompute";
import { printReason, ruleWords, sourceWords } from "./words";

interface Props {
  which: "open" | "close";
  market: Market;
  print: Print | null;
  result: PrintResult | null;
  /** Set a venue's price; null while there is no experiment. */
  edit: ((venue: string, cents: number) => void) | null;
  tried: ReadonlyMap<string, number>;
}

export function PrintCard(props: Props): JSX.Element {
  const { which, print, result } = props;
  const title = which === "open" ? "Open print" : "Close print";
  if (!print || !result) {
    return (
      <Panel title={title}>
        <Empty>
          {props.market.status === "VOID" ? "There is none." : "Not there yet: it is taken at the boundary."}
        </Empty>
      </Panel>
    );
  }
  const edited = [...props.tried.keys()].some((key) => key.startsWith(`${which} `));
  return (
    <Panel
      title={title}
      class="proof-print"
      aside={edited ? <Tag kind="warn">Experiment</Tag> : <span class="number">{clockTime(print.boundary)} UTC</span>}
    >
      <div class="proof-body">
        <p class="proof-price number">
          {print.price_cents === null ? <span class="soft">no usable price</span> : money(print.price_cents)}
        </p>
        {print.price_cents === null && <p>{printReason(print)}</p>}
        <Facts print={print} />
        {result.inputs.length > 0 && <Inputs {...props} result={result} />}
        <Steps result={result} edited={edited} />
        {!edited && <Checks checks={result.checks} label={`Checks of the ${title.toLowerCase()}`} />}
      </div>
    </Panel>
  );
}

function Facts({ print }: { print: Print }): JSX.Element {
  return (
    <dl class="proof-facts">
      <div>
        <dt>Price from</dt>
        <dd class="number">{print.source_ts ? clockTime(print.source_ts, true) : "–"}</dd>
      </div>
      <div>
        <dt>Age at the boundary</dt>
        <dd class="number">{print.age_ms === null ? "–" : `${count(print.age_ms)} ms`}</dd>
      </div>
      <div>
        <dt>Journaled</dt>
        <dd class="number">
          {clockTime(print.ts, true)} · seq {count(print.seq)}
        </dd>
      </div>
      <div class="proof-fact-long">
        <dt>Source</dt>
        <dd>{sourceWords(print.source)}</dd>
      </div>
    </dl>
  );
}

function Inputs(props: Props & { result: PrintResult }): JSX.Element {
  const { result, edit, which, tried } = props;
  const converts = result.inputs.some((each) => each.input.quote_price_cents !== null);
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keyboard
    <section class="scroll-x" tabIndex={0} aria-label={`Inputs of the ${which} print`}>
      <table class="proof-inputs">
        <thead>
          <tr>
            <th scope="col">Input</th>
            <th scope="col" class="number">
              Price
            </th>
            {converts && (
              <th scope="col" class="number">
                In USDT × rate
              </th>
            )}
            <th scope="col" class="number">
              Its time
            </th>
            <th scope="col" class="number">
              Age
            </th>
            <th scope="col">Counts</th>
          </tr>
        </thead>
        <tbody>
          {result.inputs.map((each) => (
            <tr key={each.input.venue} class={each.counts ? "" : "proof-out"}>
              <th scope="row">{each.input.venue}</th>
              <td class="number">
                {edit ? (
                  <PriceInput
                    label={`Price of ${each.input.venue} at the ${which}`}
                    cents={each.input.price_cents}
                    changed={tried.has(`${which} ${each.input.venue}`)}
                    set={(cents) => edit(each.input.venue, cents)}
                  />
                ) : (
                  money(each.input.price_cents)
                )}
              </td>
              {converts && (
                <td class="number">
                  {conversionText(each)}
                  {each.input.rate_source_ts && (
                    <span class="soft proof-rate">rate of {clockTime(each.input.rate_source_ts, true)}</span>
                  )}
                </td>
              )}
              <td class="number">{each.input.source_ts ? clockTime(each.input.source_ts, true) : "–"}</td>
              <td class="number">{each.ageMs === null ? "–" : `${count(each.ageMs)} ms`}</td>
              <td>
                {each.counts ? <span class="up">✓ yes</span> : <span class="soft">no: {each.why}</span>}
                {!each.agrees && !tried.has(`${which} ${each.input.venue}`) && (
                  <strong class="down"> ✗ the venue says {each.input.used ? "yes" : "no"}</strong>
                )}
              </td>
            </tr>
          ))}
        </tbody>
      </table>
    </section>
  );
}

function conversionText(each: Judged): string {
  const { quote_price_cents: quote, rate_e8: rate } = each.input;
  if (quote === null) return "";
  if (rate === null) return `${money(quote).slice(1)} × no rate`;
  const whole = Math.trunc(rate / 1e8);
  return `${money(quote).slice(1)} × ${whole}.${String(rate % 1e8).padStart(8, "0")}`;
}

function PriceInput(props: {
  label: string;
  cents: number | null;
  changed: boolean;
  set: (cents: number) => void;
}): JSX.Element {
  const id = useId();
  const { cents } = props;
  const text = cents === null ? "" : `${Math.trunc(cents / 100)}.${String(cents % 100).padStart(2, "0")}`;
  const take = (input: HTMLInputElement) => {
    const read = centsOf(input.value);
    const wrong = !("cents" in read) || read.cents > 1e12;
    input.setAttribute("aria-invalid", String(wrong));
    if (!wrong) props.set(read.cents);
  };
  return (
    <>
      <label class="hidden" for={id}>
        {props.label}
      </label>
      <input
        id={id}
        class={`proof-try number ${props.changed ? "proof-tried" : ""}`}
        inputMode="decimal"
        autocomplete="off"
        defaultValue={text}
        onInput={(event) => take(event.currentTarget)}
      />
    </>
  );
}

/** From the inputs to the price, with the numbers. */
function Steps(props: { result: PrintResult; edited: boolean }): JSX.Element {
  const { result } = props;
  const { rule } = result;
  const out = result.inputs.filter((each) => !each.counts);
  return (
    <ol class="proof-steps">
      <li>{ruleWords(rule)}</li>
      {rule.kind === "median" && result.firstMedian !== null && (
        <li>
          Median of those young enough: <b class="number">{money(result.firstMedian)}</b>. Its {rule.outlierBps / 100} %
          are <span class="number">{money(band(result.firstMedian, rule.outlierBps))}</span>, and the furthest price is{" "}
          <span class="number">{furthest(result.inputs)}</span> away.
        </li>
      )}
      {result.inputs.length > 0 && (
        <li>
          {result.inputs.length - out.length} of {result.inputs.length} count
          {rule.kind === "median" && `, ${rule.quorum} are needed`}
          {out.length > 0 && ` (not ${out.map((each) => `${each.input.venue}: ${each.why}`).join("; ")})`}.
        </li>
      )}
      {result.counted.length > 1 && (
        <li class="proof-ordered">
          {result.counted.map((cents, n) => (
            <span key={n} class={`number ${middle(n, result.counted.length) ? "proof-middle" : ""}`}>
              {money(cents)}
            </span>
          ))}
        </li>
      )}
      <li>
        {result.priceCents === null ? (
          <strong>No price. {result.noPrice}</strong>
        ) : (
          <>
            {props.edited ? "With your prices: " : "So the price is "}
            <b class="number">{money(result.priceCents)}</b>
            {result.counted.length > 1 &&
              (result.counted.length % 2 ? ", the one in the middle" : ", the mean of the middle two, rounded down")}
            , <span class="number">{count(result.ageMs)} ms</span> old at the boundary.
          </>
        )}
      </li>
    </ol>
  );
}

function band(median: number, bps: number): number {
  return Number((BigInt(median) * BigInt(bps)) / 10_000n);
}

function middle(n: number, of: number): boolean {
  return of % 2 ? n === of >> 1 : n === of >> 1 || n === (of >> 1) - 1;
}

function furthest(inputs: readonly Judged[]): string {
  const most = Math.max(0, ...inputs.map((each) => each.offE2Bps ?? 0));
  return `${Math.trunc(most / 1e4)}.${String(most % 1e4).padStart(4, "0")} %`;
}
