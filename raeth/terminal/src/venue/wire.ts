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

export type OrderType = "LIMIT" | "MARKET";
export type Tif = "GTC" | "IOC" | "FOK" | "POST_ONLY";
export type OrderStatus = "OPEN" | "PARTIALLY_FILLED" | "FILLED" | "CANCELLED" | "EXPIRED" | "REJECTED";

/** The repair of a decline, as numbers. */
export interface RejectDetails {
  retryable: boolean;
  retry_after_ms?: number | null;
  max_qty?: number | null;
  min_qty?: number | null;
  best_non_crossing_price?: number | null;
  price_min?: number | null;
  price_max?: number | null;
  required_cents?: number | null;
  free_cash_cents?: number | null;
  position_cap?: number | null;
  open_orders_cap?: number | null;
  cooldown_ends_at?: string | null;
  mark_price?: number | null;
  late_by_ms?: number | null;
  recv_window_ms?: number | null;
  confirm_field?: string | null;
}

export interface OrderFill {
  trade_id: string;
  price: number;
  qty: number;
  liquidity: "MAKER" | "TAKER";
  fee_cents: number;
  ts: string;
}

/** An order wherever it appears. `side` and `price` are of the YES contract. */
export interface Order {
  order_id: string;
  client_order_id: string | null;
  market_id: string | null;
  symbol: string | null;
  agent_id: string;
  side: Side;
  type: OrderType;
  tif: Tif;
  price: number | null;
  qty: number;
  reduce_only: boolean;
  status: OrderStatus;
  filled_qty: number;
  remaining_qty: number;
  filled_notional_cents: number;
  fee_cents: number;
  reject_reason: string | null;
  reject_message: string | null;
  reject_details: RejectDetails | null;
  cancel_reason: string | null;
  fills: OrderFill[];
  created_at: string;
  updated_at: string;
  seq: number;
  replayed: boolean;
  /** Only of a declined amend: the order, untouched. */
  order?: Order;
}

/** The body of `POST /orders` and `POST /orders/preview`. */
export interface OrderBody {
  market_id: string;
  side: Side;
  type: OrderType;
  tif?: Tif;
  price?: number;
  qty: number;
  slippage_cap_cents?: number;
  reduce_only?: boolean;
  client_order_id?: string;
  expires_at_ms?: number;
  confirm_fat_finger?: boolean;
}

export interface Preview {
  would: "ACCEPT" | "REJECT";
  reject_reason: string | null;
  reject_message: string | null;
  reject_details: RejectDetails | null;
  fills: { price: number; qty: number }[];
  fee_cents: number;
  required_cents: number;
  free_cash_after_cents: number;
  position_after: number;
  worst_case_loss_cents: number;
  as_of_seq: number;
}

export interface Fill {
  trade_id: string;
  order_id: string;
  market_id: string;
  symbol: string;
  side: Side;
  price: number;
  qty: number;
  liquidity: "MAKER" | "TAKER";
  fee_cents: number;
  ts: string;
}

export interface Deadman {
  armed_until: string | null;
  last_action: { ts: string; cancelled: number } | null;
}

/** `GET /account`. */
export interface Account {
  agent_id: string;
  agent_name: string;
  account_id: string;
  cash_cents: number;
  locked_cents: number;
  free_cash_cents: number;
  equity_cents: number;
  pending_pnl_cents: number;
  open_orders: number;
  frozen: boolean;
  suspended: boolean;
  deadman: Deadman & { markets: (Deadman & { market_id: string; symbol: string })[] };
  seq: number;
}

/** An agent in one unresolved market; `net_qty` is positive for YES, negative for NO. */
export interface Position {
  market_id: string;
  symbol: string;
  net_qty: number;
  cash_flow_cents: number;
  payoff_if_yes_cents: number;
  payoff_if_no_cents: number;
  locked_cents: number;
  mark_price: number | null;
  unrealized_pnl_cents: number;
}

export interface LedgerEntry {
  seq: number;
  ts: string;
  kind: "SIGNUP_GRANT" | "FAUCET" | "GRANT" | "TRANSFER" | "SETTLEMENT" | "FEES";
  amount_cents: number;
  balance_after_cents: number;
  market_id: string | null;
}

/** What an agent is told on `private.<agent_id>`: first all there is, then each change. */
export interface PrivateSnapshot {
  account: Account;
  positions: Position[];
  orders: Order[];
}

export type PrivateEvent =
  | { kind: "order"; order: Order }
  | { kind: "fill"; fill: Fill }
  | { kind: "amend_rejected"; order: Order }
  | { kind: "cash"; entry: LedgerEntry }
  | { kind: "settled"; market_id: string; symbol: string; resolution: Outcome }
  | {
      kind: "deadman";
      event: "ARMED" | "DISARMED" | "FIRED" | "MOVED";
      market_id: string | null;
      symbol: string | null;
      armed_until: string | null;
      cancelled: number | null;
    }
  | { kind: "agent"; event: "SUSPENDED" | "REINSTATED"; reason: string | null };

/** `POST /auth/signup`; the key is shown this once. */
export interface SignedUp {
  account_id: string;
  agent_id: string;
  agent_name: string;
  api_key: string;
  scopes: string[];
  testnet_cash_cents: number;
}

/** A key's description; `api_key` only in the answer that made it. */
export interface ApiKey {
  key_id: string;
  agent_id: string;
  name: string;
  scopes: string[];
  expires_at: string | null;
  allowed_ips: string[];
  created_at: string;
  api_key?: string;
}

/** What one venue contributed to a print, and whether it was used. */
export interface PrintInput {
  venue: string;
  price_cents: number | null;
  source_ts: string | null;
  used: boolean;
  why: string | null;
  /** A USDT price before its conversion, the rate it was converted by, times 10^8, and that rate's own time. */
  quote_price_cents: number | null;
  rate_e8: number | null;
  rate_source_ts: string | null;
}

/** The reference price at a boundary, with its evidence; without a price, `reason` says why. */
export interface Print {
  boundary: string;
  price_cents: number | null;
  source_ts: string | null;
  age_ms: number | null;
  source: string;
  rule: string;
  reason: string | null;
  inputs: PrintInput[];
  seq: number;
  ts: string;
}

/** The evidence of an outcome, or what there is of it so far. */
export interface Settlement {
  market_id: string;
  symbol: string;
  status: MarketStatus;
  resolution: Outcome | null;
  reason: string | null;
  outcome_rule: string;
  tie_rule: Outcome;
  print_rule: string;
  open_print: Print | null;
  close_print: Print | null;
  resolved_at: string | null;
  fees_cents: number | null;
  seq: number;
}

/** `GET /markets/{id}/agent-context`, as far as the page reads it; what the venue does not know is null. */
export interface AgentContext {
  market: Market | null;
  fair_value_cents: number | null;
  volatility: { annual_bps: number; samples: number } | null;
  seconds_to_close: number | null;
  server_time: string;
  seq: number;
}
