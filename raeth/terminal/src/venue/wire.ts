/**
 * What the venue says, as it says it: the types of the public API and of its streams. Money is whole cents, a price
 * whole cents of the YES contract (1–99), a quantity whole contracts, a time ISO-8601 UTC with milliseconds.
 */

export type Side = "BUY" | "SELL";
export type MarketStatus = "PENDING" | "OPEN" | "EXPIRED" | "RESOLVED" | "VOID";
export type Outcome = "YES" | "NO" | "VOID";

export interface Page<T> {
  items: T[];
  next_cursor: string | null;
}

export interface Rules {
  outcome_rule: string;
  tie_rule: Outcome;
  print_rule: string;
  print_max_age_ms: number;
  print_grace_ms: number;
  gap_ms: number;
  window_ms: number;
}

export interface Risk {
  max_order_qty: number;
  max_order_notional_cents: number;
  fat_finger_distance: number;
  fat_finger_multiple: number;
  position_cap: number;
  reference_max_age_ms: number;
  cooldown_rejects: number;
  cooldown_window_ms: number;
  cooldown_ms: number;
  open_orders_per_market: number;
}

export interface Fees {
  taker_rate_bps: number;
  maker_rebate_bps: number;
  formula: string;
}

export interface Market {
  id: string;
  symbol: string;
  series: string;
  kind: "BTC_BINARY";
  status: MarketStatus;
  open_at: string;
  close_at: string;
  seconds_to_close: number;
  geometry: { price_min: number; price_max: number; tick: number; price_scale: number; payout: number };
  rules: Rules;
  risk: Risk;
  fees: Fees;
  reference: { open_price_cents: number | null; close_price_cents: number | null; source: string | null };
  resolution: Outcome | null;
  best_bid: number | null;
  best_ask: number | null;
  last_trade_price: number | null;
  mark_price: number | null;
  volume: number;
  open_interest: number;
  halted: boolean;
  seq: number;
}

/** `[price, qty, orders]`. */
export type Level = [price: number, qty: number, orders: number];

export interface BookData {
  market_id: string;
  bids: Level[];
  asks: Level[];
  seq?: number;
  ts?: string;
}

export interface Trade {
  trade_id: string;
  price: number;
  qty: number;
  taker_side: Side;
  ts: string;
}

export type ReferenceStatus = "LIVE" | "STALE" | "DOWN";

export interface Reference {
  symbol: string;
  price_cents: number | null;
  source_ts: string | null;
  age_ms: number | null;
  status: ReferenceStatus;
  source: string;
  synthetic: boolean;
}

export interface Health {
  status: "ok" | "degraded";
  service: string;
  now: string;
  version: string;
  persistence: { backend: string; mode: string; queue_depth: number; last_error: string | null };
  reference: Reference;
  frozen: boolean;
  seq: number;
  node?: { name: string; roles: string[]; clock_ahead_ms: number };
}

/** The body of every failure. */
export interface Failure {
  code: string;
  message: string;
  request_id: string;
  details?: unknown;
}

/** One message of a channel. */
export interface Event<T = unknown> {
  channel: string;
  type: "snapshot" | "delta" | "event";
  channel_seq: number;
  seq: number;
  ts: string;
  data: T;
}

export interface MarketsSnapshot {
  items: Market[];
}

export interface MarketChange {
  change: "PENDING" | "OPEN" | "EXPIRED" | "PRINTED" | "RESOLVED" | "VOID" | "HALTED" | "RESUMED";
  market: Market;
}

/** Of the channel `venue`: a snapshot has `frozen`, an event `event`. */
export interface Notice {
  frozen?: boolean;
  event?: "FROZEN" | "UNFROZEN" | "BROADCAST";
  reason: string | null;
  message?: string | null;
}

export interface Standing {
  rank: number;
  account_id: string;
  agent_id: string;
  name: string;
  pnl_cents: number;
  uncounted_cents: number;
  granted_cents: number;
  drawdown_cents: number;
  volume_contracts: number;
  notional_cents: number;
  windows: number;
  decided: number;
  hits: number;
  hit_rate_bps: number | null;
  last_window: string | null;
  updated_at: string;
  seq: number;
}

export interface Tick {
  ts: string;
  price_cents: number;
  source_ts: string;
}

/** An agent as its owner sees it. */
export interface OwnAgent {
  agent_id: string;
  name: string;
  created_at: string;
  suspended: boolean;
  cash_cents: number;
  locked_cents: number;
  free_cash_cents: number;
  keys: number;
}

/** `GET /me`. */
export interface OwnerAccount {
  account_id: string;
  email: string | null;
  created_at: string;
  master: { cash_cents: number };
  agents: OwnAgent[];
  seq: number;
}

/** `GET /admin/state`. */
export interface AdminState {
  frozen: boolean;
  reason: string | null;
  accounts: number;
  agents: number;
  suspended_agents: number;
  keys: number;
  open_orders: number;
  markets: AdminMarket[];
  money: {
    granted_cents: number;
    agents_cash_cents: number;
    accounts_cash_cents: number;
    fees_cents: number;
    conserved: boolean;
  };
  persistence: Health["persistence"];
  now: string;
  seq: number;
}

export interface AdminMarket {
  market_id: string;
  symbol: string;
  status: MarketStatus;
  halted: boolean;
  open_interest: number;
  volume: number;
  open_orders: number;
}

/** One operator command of `GET /admin/audit`; `refused` is the code if the venue declined it. */
export interface AdminAction {
  seq: number;
  ts: string;
  action: string;
  actor: string;
  reason: string | null;
  target: string | null;
  key_id: string | null;
  amount_cents: number | null;
  refused: string | null;
}

/** What an agent is after the operator did something to it. */
export interface AgentAction {
  agent_id: string;
  name: string;
  suspended: boolean;
  cash_cents: number;
  ts: string;
  seq: number;
}

/** `GET /reference/btc`: the price with what each venue says. */
export interface ReferenceNow extends Reference {
  venues: {
    venue: string;
    price_cents: number | null;
    source_ts: string | null;
    age_ms: number | null;
    used: boolean;
    why: string;
  }[];
}

/** `GET /meta/version`. */
export interface Version {
  service: string;
  version: string;
  api_version: string;
  engine_version: number;
  started_at: string;
  speed: number;
  reference: string;
}

/** An API key as its owner sees it, without its secret. */
export interface Key {
  key_id: string;
  agent_id: string;
  name: string;
  scopes: ("read" | "trade" | "cancel")[];
  expires_at: string | null;
  allowed_ips: string[];
  created_at: string;
}

export interface NewKey extends Key {
  api_key: string;
}

export type LedgerKind = "SIGNUP_GRANT" | "FAUCET" | "GRANT" | "TRANSFER" | "SETTLEMENT" | "FEES";

export interface LedgerRow {
  seq: number;
  ts: string;
  kind: LedgerKind;
  amount_cents: number;
  balance_after_cents: number;
  market_id: string | null;
}
