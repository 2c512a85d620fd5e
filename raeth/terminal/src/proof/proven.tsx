/** One window and its proof: read from the venue, worked out again here, followed until it is settled. */

import { useComputed, useSignal, useSignalEffect } from "@preact/signals";
import type { ComponentChildren, JSX } from "preact";
import { useEffect } from "preact/hooks";
import { Button, Panel, Tag, toast } from "../parts/parts";
import { Trouble } from "../parts/trouble";
import { clock } from "../venue/clock";
import { clockTime, countdown, money } from "../venue/format";
import { call } from "../venue/http";
import { connection, markets, nowS } from "../venue/live";
import type { Market, Settlement } from "../venue/wire";
import { Move, OutcomeTag } from "./list";
import { Picture } from "./picture";
import { PrintCard } from "./print-card";
import { type Check, type Result, recompute, type Window, withPrices } from "./recompute";
import { answer, neighbours, question, reasonWords } from "./words";

interface Read {
  market: Market;
  evidence: Settlement;
}

/** While the stream is silent or the settlement is due, the evidence is asked for so often. */
const AGAIN_MS = 3_000;

export function Proven(props: { name: string }): JSX.Element {
  const { name } = props;
  const known = useSignal<Read | null>(null);
  const failed = useSignal<unknown>(null);
  const asked = useSignal(0);

  useEffect(() => {
    const stop = new AbortController();
    const at = encodeURIComponent(name);
    Promise.all([
      call<Market>(`/markets/${at}`, { signal: stop.signal }),
      call<Settlement>(`/markets/${at}/settlement`, { signal: stop.signal }),
    ])
      .then(([market, evidence]) => {
        known.value = { market, evidence };
        failed.value = null;
      })
      .catch((error) => {
        if (!stop.signal.aborted) failed.value = error;
      });
    return () => stop.abort();
  }, [name, asked.value, known, failed]);

  // What happens to this window while one looks: its print, its end, its settlement.
  const told = useComputed(() => {
    const id = known.value?.market.id;
    return (id ? markets.value.get(id)?.seq : undefined) ?? 0;
  });
  useSignalEffect(() => {
    const seq = told.value;
    const read = known.peek();
    // `peek`: an effect that reads what it sets runs for ever.
    if (read && !final(read.evidence) && seq > read.market.seq) asked.value = asked.peek() + 1;
  });
  const waits = useComputed(() => {
    const read = known.value;
    return read !== null && !final(read.evidence) && (connection.value !== "live" || due(read.market, nowS.value));
  });
  useSignalEffect(() => {
    if (!waits.value) return;
    const timer = setInterval(() => {
      asked.value += 1;
    }, AGAIN_MS);
    return () => clearInterval(timer);
  });

  const read = known.value;
  const symbol = read?.market.symbol;
  useEffect(() => {
    if (!symbol) return;
    const before = document.title;
    document.title = `${symbol} · Proof · raeth`;
    return () => {
      if (document.title.startsWith(symbol)) document.title = before;
    };
  }, [symbol]);

  if (!read) {
    return (
      <div class="proof">
        <Crumb name={name} />
        <h1>{failed.value === null ? "Proof of a window" : "No proof to show"}</h1>
        {failed.value === null ? (
          <p class="empty">Loading …</p>
        ) : (
          <Panel title="What happened">
            <div class="proof-failed">
              <Trouble
                error={failed.value}
                words={{
                  UNKNOWN_MARKET:
                    "The venue knows no window of this name or id. Names look like BTC-1M-20261120T1031Z.",
                }}
              />
              <p class="proof-row">
                <Button onClick={() => (asked.value += 1)}>Try again</Button> <a href="#/proof">All windows</a>
              </p>
            </div>
          </Panel>
        )}
      </div>
    );
  }
  return <Shown read={read} stale={failed.value} />;
}

function final(evidence: Settlement): boolean {
  return evidence.status === "RESOLVED" || evidence.status === "VOID";
}

function due(market: Market, s: number): boolean {
  return s * 1_000 >= Date.parse(market.close_at) + 1_000;
}

function windowOf(market: Market): Window {
  return {
    openAtMs: Date.parse(market.open_at),
    closeAtMs: Date.parse(market.close_at),
    printMaxAgeMs: market.rules.print_max_age_ms,
  };
}

function Crumb(props: { name: string }): JSX.Element {
  return (
    <p class="proof-crumb">
      <a href="#/proof">Proof</a> <span aria-hidden="true">/</span> <span class="number">{props.name}</span>
    </p>
  );
}

function Shown(props: { read: Read; stale: unknown }): JSX.Element {
  const { market, evidence } = props.read;
  const tried = useSignal<ReadonlyMap<string, number>>(new Map());
  const experiment = useSignal(false);
  const round = useSignal(0);
  const window = windowOf(market);
  const real = recompute(evidence, window);
  const edited = experiment.value && tried.value.size > 0;
  const shown = edited ? recompute(withPrices(evidence, tried.value), window) : real;
  const change = (which: "open" | "close", venue: string, cents: number) => {
    const next = new Map(tried.value);
    const print = which === "open" ? evidence.open_print : evidence.close_print;
    const own = print?.inputs.find((input) => input.venue === venue)?.price_cents;
    if (cents === own) next.delete(`${which} ${venue}`);
    else next.set(`${which} ${venue}`, cents);
    tried.value = next;
  };
  const { before, after } = neighbours(market);
  const cards = (["open", "close"] as const).map((which) => (
    <PrintCard
      key={`${which} ${round.value}`}
      which={which}
      market={market}
      print={which === "open" ? evidence.open_print : evidence.close_print}
      result={which === "open" ? shown.open : shown.close}
      edit={experiment.value ? (venue, cents) => change(which, venue, cents) : null}
      tried={tried.value}
    />
  ));
  return (
    <div class={`proof ${experiment.value ? "proof-trying" : ""}`}>
      <div class="proof-top">
        <Crumb name={market.symbol} />
        <nav class="proof-near" aria-label="Windows near this one">
          <a href={`#/proof/${before}`}>
            <span aria-hidden="true">←</span> before
          </a>
          {market.status !== "PENDING" && (
            <a href={`#/proof/${after}`}>
              after <span aria-hidden="true">→</span>
            </a>
          )}
        </nav>
      </div>
      <h1>{question(market)}</h1>
      <Verdict market={market} evidence={evidence} result={real} />
      {props.stale !== null && <Trouble error={props.stale} />}
      {final(evidence) || evidence.open_print ? (
        <>
          <Recomputed evidence={evidence} real={real} shown={shown} edited={edited}>
            <Button
              class="proof-noprint"
              aria-pressed={experiment.value}
              onClick={() => {
                experiment.value = !experiment.value;
                if (!experiment.value) tried.value = new Map();
              }}
            >
              {experiment.value ? "End the experiment" : "Change an input and see"}
            </Button>
            {edited && (
              <Button
                class="proof-noprint"
                onClick={() => {
                  tried.value = new Map();
                  round.value += 1;
                }}
              >
                Reset the prices
              </Button>
            )}
          </Recomputed>
          <div class="proof-prints">{cards}</div>
          <Picture market={market} evidence={evidence} />
        </>
      ) : null}
      <Limits evidence={evidence} market={market} />
    </div>
  );
}

function Verdict(props: { market: Market; evidence: Settlement; result: Result }): JSX.Element {
  const { market, evidence } = props;
  const open = evidence.open_print?.price_cents ?? null;
  const close = evidence.close_print?.price_cents ?? null;
  if (!final(evidence)) return <Waiting market={market} strike={open} />;
  return (
    <div class="proof-verdict">
      <OutcomeTag outcome={evidence.resolution} />
      <p>
        <strong>{answer(evidence)}</strong> <span class="soft">{reasonWords(evidence.reason)}</span>
      </p>
      {open !== null && close !== null && (
        <p class="proof-sum number">
          {money(open)} → {money(close)} <Move cents={close - open} />
        </p>
      )}
    </div>
  );
}

function Waiting(props: { market: Market; strike: number | null }): JSX.Element {
  const { market, strike } = props;
  const now = Math.max(nowS.value * 1_000, clock.now());
  const opens = Date.parse(market.open_at);
  const closes = Date.parse(market.close_at);
  const grace = Math.ceil(market.rules.print_grace_ms / 1_000);
  let text: JSX.Element;
  if (now < opens)
    text = (
      <>
        It opens in <b class="number">{countdown(opens - now)}</b> and closes a window later.
      </>
    );
  else if (now < closes) {
    text = (
      <>
        It closes in <b class="number">{countdown(closes - now)}</b>, at {clockTime(closes)} UTC, and is settled by the
        price then: mostly within a second, at the latest {grace} s after. This page follows along.
      </>
    );
  } else text = <>It is over, and its close print is awaited: for {grace} s at most, then it ends void.</>;
  return (
    <div class="proof-verdict" role="status" aria-live="off">
      <Tag kind="live">{now < opens ? "not open yet" : now < closes ? "open" : "settling"}</Tag>
      <p>{text}</p>
      {strike !== null && <p class="proof-sum number">strike {money(strike)}</p>}
    </div>
  );
}

function Recomputed(props: {
  evidence: Settlement;
  real: Result;
  shown: Result;
  edited: boolean;
  children: ComponentChildren;
}): JSX.Element {
  const { evidence, real, shown, edited } = props;
  const all = [...shown.checks, ...(shown.open?.checks ?? []), ...(shown.close?.checks ?? [])];
  const counts = { good: 0, bad: 0, open: 0 };
  for (const { agrees } of all) counts[agrees === null ? "open" : agrees ? "good" : "bad"] += 1;
  return (
    <Panel
      title="Worked out again, in your browser"
      class={`proof-again ${edited ? "proof-edited" : shown.agrees ? "" : "proof-wrong"}`}
    >
      <div class="proof-body">
        {edited ? (
          <p class="proof-result" role="status" data-proof="experiment">
            <Tag kind="warn">Experiment</Tag>{" "}
            <span>
              With your prices it would be <strong>{shown.outcome ?? "undecided"}</strong>; with those of the venue it
              is <strong>{real.outcome ?? "undecided"}</strong>. {shown.why}
            </span>
          </p>
        ) : (
          <p
            class="proof-result"
            role={shown.agrees ? undefined : "alert"}
            data-proof={shown.agrees ? "agrees" : "differs"}
          >
            <span class={`proof-mark ${shown.agrees ? "up" : "down"}`} aria-hidden="true">
              {shown.agrees ? "✓" : "✗"}
            </span>
            <span>
              {shown.agrees ? (
                <strong>{headline(evidence)}</strong>
              ) : (
                <strong>This does not agree with the venue. {counts.bad} of the checks below failed.</strong>
              )}{" "}
              <span class="soft">
                {counts.good} of {all.length} checks came out the same
                {counts.open > 0 && `; ${counts.open} cannot be told from the evidence alone`}. {shown.why}
              </span>
            </span>
          </p>
        )}
        {!edited && shown.checks.length > 0 && <Checks checks={shown.checks} label="Checks of the outcome" />}
        <p class="proof-row">{props.children}</p>
      </div>
    </Panel>
  );
}

function headline(evidence: Settlement): string {
  if (!final(evidence)) return "Agrees with the venue so far.";
  // What did not come of prints cannot come out of them here.
  if (evidence.reason === "OPERATOR" || evidence.reason === "VENUE_DOWN") return "Nothing here contradicts the venue.";
  return "Agrees with the venue.";
}

export function Checks(props: { checks: readonly Check[]; label: string }): JSX.Element {
  return (
    <ul class="proof-checks" aria-label={props.label}>
      {props.checks.map(({ what, venue, here, agrees }) => (
        <li key={what} class={agrees === false ? "proof-differs" : ""}>
          <span class={`proof-sign ${agrees === null ? "soft" : agrees ? "up" : "down"}`} aria-hidden="true">
            {agrees === null ? "?" : agrees ? "✓" : "✗"}
          </span>
          <span class="proof-what">{what}</span>
          <span class="proof-said number">
            {agrees ? (
              <>
                {short(here)}
                <span class="hidden"> agrees with the venue</span>
              </>
            ) : agrees === null ? (
              <>
                <span class="soft">the venue:</span> {short(venue)} <span class="soft">· here: {short(here)}</span>
              </>
            ) : (
              <>
                the venue: {short(venue)} · here: <strong>{short(here)}</strong>
                <span class="hidden"> disagrees</span>
              </>
            )}
          </span>
        </li>
      ))}
    </ul>
  );
}

/** A stamp as the time of day; anything else as it is. */
function short(text: string): string {
  return /^\d{4}-\d\d-\d\dT[\d:.]+Z$/.test(text) ? clockTime(text, true) : text;
}

function Limits(props: { evidence: Settlement; market: Market }): JSX.Element {
  const { evidence, market } = props;
  const text = JSON.stringify({ market: { ...market }, settlement: evidence }, null, 2);
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
      toast("good", "The evidence is in your clipboard.");
    } catch {
      toast("bad", "The browser did not allow it. Download it instead.");
    }
  };
  const download = () => {
    const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
    const link = document.createElement("a");
    link.href = url;
    link.download = `${market.symbol}-settlement.json`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
  };
  return (
    <Panel title="What this does not prove">
      <div class="proof-body proof-limits">
        <p>
          That the inputs are what the price venues really sent: this page only proves that the outcome follows from
          them by the published rule. And that the page itself is honest: its arithmetic is a few dozen lines you can
          read, and the evidence below is all it uses.
        </p>
        <p>
          Whoever has the venue's data can go further: <code>raeth audit</code> executes the whole journal again,
          command by command, checks its chain of hashes, every event byte for byte and every cent, and names the first{" "}
          <code>seq</code> that differs. Both prints above carry the <code>seq</code> under which they stand in that
          journal; what was journaled once cannot be changed without breaking the chain.
        </p>
        <p class="proof-row proof-noprint">
          <Button onClick={copy}>Copy the evidence</Button>
          <Button onClick={download}>Download as JSON</Button>
          <a href={`/api/v1/markets/${encodeURIComponent(market.id)}/settlement`}>Read it from the venue</a>
        </p>
      </div>
    </Panel>
  );
}
