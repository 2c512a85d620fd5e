"""Who wins: the statements that keep the leaderboard's tables equal to the journal. Rules: docs/leaderboard.md.

Like every projection it keeps nothing between two batches: what a row needs and its event does not carry, the
statement finds itself, in the transaction that brings all tables forward. All of it is integer arithmetic, so that
every machine and database comes to the same cells: what is divided is never negative, and products stay below 2^63
because their factors are capped. Must not know who may see a standing.
"""

from __future__ import annotations

from typing import Any, Final

from raeth.engine import events as ev
from raeth.engine.types import VOID
from raeth.journal.base import Write

HOUSE: Final = "house"
"""The reserved name of the house's agent. The account that signed up with it is not ranked and colludes with nobody."""

GRANTS: Final = frozenset({"SIGNUP_GRANT", "FAUCET", "GRANT"})

TOLERANCE_CENTS: Final = 5
"""How far from fair a contract taken over from one and the same counterparty may be and still count in full."""

ALLOWANCE_CENTS: Final = 1_000
"""What an account may win beyond that from one and the same counterparty, over all time, and still count."""

# ---- the venue's own fair value: Φ(d), d² = (S/K − 1)² / (σ²τ), in whole cents ----

UNKNOWN_FAIR: Final = 50
"""Until strike and price are known the one is as likely above the other as below."""

PPB: Final = 1_000_000_000
"""Moves of the price are counted in parts of a billion, variances in their squares a second."""

SAMPLE_MS: Final = 1_000
"""Returns over less than this are mostly noise of the venues."""
MEMORY_MS: Final = 33_000
"""A sample over one second weighs 1/33: λ = 0.97."""
FIRST_VARIANCE: Final = 10_000_000_000
LEAST_VARIANCE: Final = 100_000_000
MOST_VARIANCE: Final = 1_000_000_000_000
"""σ is 1 basis point a √second to begin with, never less than 0.1 nor more than 10."""
MOST_RETURN: Final = 10_000_000
MOST_DISTANCE: Final = 20_000_000
MOST_LEFT_MS: Final = 3_600_000
PRICE_CENTS_MAX: Final = 9_000_000_000
"""A reference price above this says nothing about fair; times `PPB` it would leave 63 bits."""

# fmt: off
THRESHOLDS: Final = (
    157, 1_414, 3_932, 7_717, 12_778, 19_128, 26_784, 35_766, 46_097, 57_805, 70_921, 85_483, 101_531, 119_112,
    138_277, 159_085, 181_602, 205_900, 232_061, 260_175, 290_344, 322_683, 357_317, 394_392, 434_067, 476_526,
    521_976, 570_652, 622_823, 678_801, 738_942, 803_664, 873_457, 948_898, 1_030_676, 1_119_621, 1_216_747,
    1_323_304, 1_440_861, 1_571_426, 1_717_618, 1_882_943, 2_072_251, 2_292_505, 2_554_221, 2_874_373, 3_283_020,
    3_841_459, 4_709_292,
)
# fmt: on
"""d² in millionths from which on the nearer side is worth 51, 52, … 99: Φ⁻¹(0.505)², Φ⁻¹(0.515)², … Φ⁻¹(0.985)²."""


def _least(one: str, other: str) -> str:
    return f"CASE WHEN {one} < {other} THEN {one} ELSE {other} END"


def _most(one: str, other: str) -> str:
    return f"CASE WHEN {one} > {other} THEN {one} ELSE {other} END"


_NEARER: Final = f"""CASE {" ".join(f"WHEN d2 < {t} THEN {50 + n}" for n, t in enumerate(THRESHOLDS))} ELSE 99 END"""

# One row a tick or print: `(seq, ts, price or None for the one before, seq, ts, seq)`. Without MATERIALIZED a
# database computes `d2` anew for each of its thresholds, which takes four times as long.
INSERT_FAIR: Final = f"""
INSERT INTO fair_values (seq, ts, market, price_cents, fair, sampled_ts, sampled_price_cents, variance)
WITH given AS (
    SELECT CAST(? AS BIGINT) AS seq, CAST(? AS BIGINT) AS ts, CAST(? AS BIGINT) AS price_cents
), past AS (
    SELECT seq, price_cents, sampled_ts, sampled_price_cents, variance
    FROM fair_values WHERE seq < ? ORDER BY seq DESC LIMIT 1
), here AS (
    SELECT p.opens AS market, m.close_at,
        CASE WHEN p.price_cents BETWEEN 1 AND {PRICE_CENTS_MAX} THEN p.price_cents END AS strike_cents
    FROM prints p JOIN markets m ON m.id = p.opens
    WHERE p.boundary = (SELECT boundary FROM prints WHERE boundary <= ? AND seq <= ? ORDER BY boundary DESC LIMIT 1)
), known AS (
    SELECT given.seq, given.ts, COALESCE(given.price_cents, past.price_cents) AS price_cents,
        COALESCE(past.sampled_ts, given.ts) AS sampled_ts,
        COALESCE(past.sampled_price_cents, given.price_cents) AS sampled_price_cents,
        COALESCE(past.variance, {FIRST_VARIANCE}) AS variance,
        CASE WHEN given.price_cents IS NOT NULL AND given.ts - past.sampled_ts >= {SAMPLE_MS} THEN 1 ELSE 0 END AS due
    FROM given LEFT JOIN past ON 1 = 1
    WHERE given.price_cents IS NOT NULL OR past.seq IS NOT NULL
), moved AS (
    SELECT known.*, {_least("ts - sampled_ts", str(MEMORY_MS))} AS passed_ms,
        ABS(price_cents - sampled_price_cents) * {PPB} / sampled_price_cents AS move
    FROM known
), capped AS (
    SELECT moved.*, {_least("move", str(MOST_RETURN))} AS capped_move FROM moved
), learned AS (
    SELECT seq, ts, price_cents,
        CASE WHEN due = 1 THEN ts ELSE sampled_ts END AS sampled_ts,
        CASE WHEN due = 1 THEN price_cents ELSE sampled_price_cents END AS sampled_price_cents,
        CASE WHEN due = 1
            THEN (variance * ({MEMORY_MS} - passed_ms) + capped_move * capped_move * 1000) / {MEMORY_MS}
            ELSE variance END AS variance
    FROM capped
), held AS (
    SELECT seq, ts, price_cents, sampled_ts, sampled_price_cents,
        CASE WHEN variance < {LEAST_VARIANCE} THEN {LEAST_VARIANCE}
            WHEN variance > {MOST_VARIANCE} THEN {MOST_VARIANCE} ELSE variance END AS variance
    FROM learned
), apart AS (
    SELECT held.*, here.market, here.strike_cents,
        ABS(held.price_cents - here.strike_cents) * {PPB} / here.strike_cents AS distance,
        CASE WHEN here.close_at - held.ts < 1 THEN 1
            WHEN here.close_at - held.ts > {MOST_LEFT_MS} THEN {MOST_LEFT_MS}
            ELSE here.close_at - held.ts END AS left_ms
    FROM held LEFT JOIN here ON 1 = 1
), near AS (
    SELECT apart.*, {_least("distance", str(MOST_DISTANCE))} AS capped_distance,
        variance * left_ms / 100000 AS spread
    FROM apart
), measured AS MATERIALIZED (
    SELECT near.*, capped_distance * capped_distance * 10000 / ({_most("spread", "1")}) AS d2 FROM near
)
SELECT seq, ts, market, price_cents,
    CASE WHEN strike_cents IS NULL THEN NULL
        WHEN price_cents >= strike_cents THEN {_NEARER}
        ELSE 100 - ({_NEARER}) END,
    sampled_ts, sampled_price_cents, variance
FROM measured
"""  # noqa: S608, everything put in is a number of ours

# A fair value is asked for by whoever trades after it, up to the next one: the newest is enough once windows ended.
FORGET_FAIR: Final = "DELETE FROM fair_values WHERE seq < (SELECT MAX(seq) FROM fair_values WHERE seq <= ?)"

# What two agents did with each other between two ticks: `(market, agent, other, qty, notional, net, net, market, seq,
# what `net` cost, seq)`, `agent` being the older one, `net` what it bought less what it sold.
ADD_PAIR: Final = f"""
INSERT INTO window_pairs (market, agent, other, qty, notional_cents, net, edge_cents, seq)
VALUES (?, ?, ?, ?, ?, ?, CAST(? AS BIGINT) * COALESCE(
    (SELECT CASE WHEN market = ? THEN fair END FROM fair_values WHERE seq <= ? ORDER BY seq DESC LIMIT 1),
    {UNKNOWN_FAIR}) - CAST(? AS BIGINT), ?)
ON CONFLICT (market, agent, other) DO UPDATE SET
    seq = excluded.seq,
    qty = window_pairs.qty + excluded.qty,
    notional_cents = window_pairs.notional_cents + excluded.notional_cents,
    net = window_pairs.net + excluded.net,
    edge_cents = window_pairs.edge_cents + excluded.edge_cents
"""  # noqa: S608

FORGET_PAIRS: Final = "DELETE FROM window_pairs WHERE market = ?"

# ---- accounts ----

# The first agent of an account gives it its name.
INSERT_STANDING: Final = """
INSERT INTO standings (account, agent, name, house, granted_cents, pnl_cents, uncounted_cents, ranked_cents, peak_cents,
    drawdown_cents, volume, notional_cents, windows, decided, hits, last_market, updated_ts, seq)
VALUES (?, ?, ?, ?, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, NULL, ?, ?)
ON CONFLICT (account) DO NOTHING
"""
ADD_GRANT: Final = "UPDATE standings SET granted_cents = granted_cents + ? WHERE account = ?"

# ---- the settlement of a window, statement by statement ----

_EXCESS: Final = f"""
    CASE WHEN edge > {TOLERANCE_CENTS} * ABS(net) THEN edge - {TOLERANCE_CENTS} * ABS(net)
        WHEN -edge > {TOLERANCE_CENTS} * ABS(net) THEN edge + {TOLERANCE_CENTS} * ABS(net) ELSE 0 END"""


def _uncounted(won: str) -> str:
    return f"CASE WHEN {won} > {ALLOWANCE_CENTS} THEN {won} - {ALLOWANCE_CENTS} ELSE 0 END"


# What accounts won off fair from each other: `(market, market, market, seq)`. Both ways, one the other's negative.
ADD_EXCESS: Final = f"""
INSERT INTO account_pairs (account, other, market, seq, off_fair_cents, uncounted_cents, change_cents)
WITH sides AS (
    SELECT agent, other, edge_cents AS edge, net FROM window_pairs WHERE market = ?
    UNION ALL SELECT other, agent, -edge_cents, -net FROM window_pairs WHERE market = ?
), sums AS (
    SELECT a.account AS account, b.account AS other, SUM(sides.edge) AS edge, SUM(sides.net) AS net
    FROM sides JOIN agents a ON a.id = sides.agent JOIN agents b ON b.id = sides.other
    GROUP BY a.account, b.account
), wins AS (
    SELECT sums.account, sums.other, {_EXCESS} AS excess
    FROM sums JOIN standings s ON s.account = sums.account JOIN standings o ON o.account = sums.other
    WHERE NOT s.house AND NOT o.house
)
SELECT account, other, CAST(? AS BIGINT), CAST(? AS BIGINT), excess, {_uncounted("excess")}, {_uncounted("excess")}
FROM wins WHERE excess <> 0
ON CONFLICT (account, other) DO UPDATE SET
    market = excluded.market,
    seq = excluded.seq,
    off_fair_cents = account_pairs.off_fair_cents + excluded.off_fair_cents,
    uncounted_cents = {_uncounted("(account_pairs.off_fair_cents + excluded.off_fair_cents)")},
    change_cents = {_uncounted("(account_pairs.off_fair_cents + excluded.off_fair_cents)")}
        - account_pairs.uncounted_cents
"""  # noqa: S608

# `(seq, market, market, market, market, seq, ts, market)`.
INSERT_RESULTS: Final = """
INSERT INTO window_results (market, account, seq, ts, pnl_cents, uncounted_cents, volume, notional_cents)
WITH traded AS (
    SELECT sides.agent, SUM(sides.qty) AS volume, SUM(sides.notional_cents) AS notional_cents,
        COALESCE((SELECT SUM(amount_cents) FROM ledger WHERE wallet = sides.agent AND seq = ? AND market = ?), 0) AS pnl
    FROM (
        SELECT agent, qty, notional_cents FROM window_pairs WHERE market = ?
        UNION ALL SELECT other, qty, notional_cents FROM window_pairs WHERE market = ?
    ) AS sides
    GROUP BY sides.agent
)
SELECT CAST(? AS BIGINT), a.account, CAST(? AS BIGINT), CAST(? AS BIGINT), SUM(traded.pnl),
    COALESCE((SELECT SUM(p.change_cents) FROM account_pairs p WHERE p.account = a.account AND p.market = ?), 0),
    SUM(traded.volume), SUM(traded.notional_cents)
FROM traded JOIN agents a ON a.id = traded.agent
GROUP BY a.account
"""

# `(market,)`. What counted is the result less what was not counted of it.
UPDATE_STANDINGS: Final = f"""
UPDATE standings SET
    pnl_cents = standings.pnl_cents + w.pnl_cents,
    uncounted_cents = standings.uncounted_cents + w.uncounted_cents,
    ranked_cents = standings.ranked_cents + w.counted,
    peak_cents = {_most("standings.ranked_cents + w.counted", "standings.peak_cents")},
    drawdown_cents = {_most("standings.peak_cents - standings.ranked_cents - w.counted", "standings.drawdown_cents")},
    volume = standings.volume + w.volume,
    notional_cents = standings.notional_cents + w.notional_cents,
    windows = standings.windows + 1,
    decided = standings.decided + CASE WHEN w.counted <> 0 THEN 1 ELSE 0 END,
    hits = standings.hits + CASE WHEN w.counted > 0 THEN 1 ELSE 0 END,
    last_market = w.market,
    updated_ts = w.ts,
    seq = w.seq
FROM (SELECT r.*, r.pnl_cents - r.uncounted_cents AS counted FROM window_results r WHERE r.market = ?) AS w
WHERE w.account = standings.account
"""  # noqa: S608

STATEMENTS: Final = frozenset(
    {
        INSERT_STANDING,
        ADD_GRANT,
        INSERT_FAIR,
        ADD_PAIR,
        ADD_EXCESS,
        INSERT_RESULTS,
        UPDATE_STANDINGS,
        FORGET_PAIRS,
        FORGET_FAIR,
    }
)
"""All that write the leaderboard's tables, and no other table."""

_Row = tuple[Any, ...]


# What an order of statements there is: a settlement reads all that the rest of its batch has written.
_BEFORE: Final = (INSERT_STANDING, ADD_GRANT, INSERT_FAIR, ADD_PAIR)


class Standings:
    """Collects the leaderboard's rows of a batch. Times are epoch milliseconds; events come in journal order."""

    __slots__ = ("_ended", "_pairs", "_rows")

    def __init__(self) -> None:
        self._rows: dict[str, list[_Row]] = {}
        self._pairs: dict[tuple[int, int, int], list[int]] = {}
        self._ended: list[Write] = []

    def agent_created(self, seq: int, event: ev.AgentCreated) -> None:
        is_house = event.name.lower() == HOUSE
        self._note(INSERT_STANDING, (event.account, event.agent, event.name, is_house, event.ts, seq))

    def cash_moved(self, event: ev.CashMoved) -> None:
        if event.kind in GRANTS:
            self._note(ADD_GRANT, (event.amount_cents, event.account))

    def traded(self, seq: int, market: int, buyer: int, seller: int, price: int, qty: int) -> None:
        """A fill. Between two ticks fair stands still, so that what two agents did with each other adds up."""
        if buyer < seller:
            key, net = (market, buyer, seller), qty
        else:
            key, net = (market, seller, buyer), -qty
        pair = self._pairs.get(key)
        if pair is None:
            self._pairs[key] = [seq, qty, price * qty, net, price * net]
        else:
            pair[0] = seq
            pair[1] += qty
            pair[2] += price * qty
            pair[3] += net
            pair[4] += price * net

    def index_moved(self, seq: int, event: ev.IndexMoved) -> None:
        price_cents = event.price_cents if 0 < event.price_cents <= PRICE_CENTS_MAX else None
        self._fair(seq, event.ts, price_cents)

    def printed(self, seq: int, event: ev.Printed) -> None:
        """From here on the strike of a window is known."""
        if event.opens is not None and event.fact.price_cents is not None:
            self._fair(seq, event.fact.ts, None)

    def resolved(self, seq: int, event: ev.MarketResolved) -> None:
        """A window that is void leaves nothing behind."""
        m, ts = event.market, event.ts
        if event.outcome != VOID:
            self._ended += (
                Write(ADD_EXCESS, [(m, m, m, seq)]),
                Write(INSERT_RESULTS, [(seq, m, m, m, m, seq, ts, m)]),
                Write(UPDATE_STANDINGS, [(m,)]),
            )
        self._ended += (Write(FORGET_PAIRS, [(m,)]), Write(FORGET_FAIR, [(seq,)]))

    def take(self) -> list[Write]:
        """The statements of everything since the last `take`, to run after all others of the batch."""
        self._close_pairs()
        rows, ended = self._rows, self._ended
        if not rows and not ended:
            return []
        self._rows, self._ended = {}, []
        return [*(Write(sql, rows[sql]) for sql in _BEFORE if sql in rows), *ended]

    def _fair(self, seq: int, ts: int, price_cents: int | None) -> None:
        self._close_pairs()
        self._note(INSERT_FAIR, (seq, ts, price_cents, seq, ts, seq))

    def _close_pairs(self) -> None:
        """What was traded until now was traded at the fair value until now."""
        if not self._pairs:
            return
        for (market, agent, other), (seq, qty, notional_cents, net, cost_cents) in self._pairs.items():
            what = (market, agent, other, qty, notional_cents, net)
            self._note(ADD_PAIR, (*what, net, market, seq, cost_cents, seq))
        self._pairs = {}

    def _note(self, sql: str, row: _Row) -> None:
        rows = self._rows.get(sql)
        if rows is None:
            rows = self._rows[sql] = []
        rows.append(row)
