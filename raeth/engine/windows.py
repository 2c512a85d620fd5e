"""Windows on the clock, inside the engine: list, open, expire, print, resolve, and what a gap in time does.

Time is only ever the stamp of a command. `advance` brings the venue to that stamp first, in the order in which things
fell due, so a window closes at its boundary to the millisecond even if no timer fired (contract, section 7).
"""

from __future__ import annotations

import heapq
from typing import Final

from raeth.engine import commands as cmd
from raeth.engine import deadman
from raeth.engine import events as ev
from raeth.engine.clearing import Events, clear_book, end_order, finish, new_id
from raeth.engine.state import Market, State
from raeth.engine.types import EXPIRED, OPEN, VOID, Input, PrintFact, Settings

NEVER: Final = 1 << 62


def symbol_of(slug: str, close_at: int) -> str:
    """`BTC-1M-20261120T1031Z`: the series and the minute at which the window closes.

    Windows that are no whole minutes close within one: seconds, and if need be milliseconds, keep their names apart.
    """
    days, ms = divmod(close_at, 86_400_000)
    year, month, day = _civil(days)
    second = ms // 1000
    within = f"{second % 60:02d}" if ms % 60_000 else ""
    if ms % 1000:
        within += f"{ms % 1000:03d}"
    return f"{slug}-{year:04d}{month:02d}{day:02d}T{second // 3600:02d}{second // 60 % 60:02d}{within}Z"


def _civil(days: int) -> tuple[int, int, int]:
    """Year, month and day of a count of days since 1970-01-01, in the proleptic Gregorian calendar.

    Counted in eras of 400 years that begin on 1 March, so the leap day is the last day of its year.
    """
    era, day_of_era = divmod(days + 719_468, 146_097)
    year_of_era = (day_of_era - day_of_era // 1_460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return era * 400 + year_of_era + (month <= 2), month, day


def rules_of(state: State) -> Settings:
    assert state.settings is not None, "the first command of a journal is Configure"
    return state.settings


def list_next(state: State, open_at: int, ts: int, out: Events) -> None:
    """Pre-list the window that opens at `open_at`."""
    settings = rules_of(state)
    close_at = open_at + settings.window_ms
    market = Market(new_id(state), symbol_of(settings.slug, close_at), open_at, close_at, settings, state.seq)
    state.markets[market.id] = market
    state.symbols[market.symbol] = market.id
    state.pending = market
    out.append(ev.MarketListed(market.id, market.symbol, open_at, close_at, ts))


def next_open(state: State, after: int) -> int:
    """The first boundary strictly after `after`."""
    window = rules_of(state).window_ms
    return (after // window + 1) * window


def schedule(state: State) -> None:
    """Set the moment at which the venue next has something to do by itself."""
    due = min(_next_boundary(state), _next_deadline(state) + 1)
    if state.expiries:
        due = min(due, state.expiries[0][0])
    if state.timers:
        due = min(due, state.timers[0][0])
    state.next_due = due


def _next_boundary(state: State) -> int:
    live, pending = state.live, state.pending
    return min(live.close_at if live else NEVER, pending.open_at if pending else NEVER)


def _next_deadline(state: State) -> int:
    """The last moment at which the oldest missing print may still come."""
    for boundary, (closes, opens) in state.unprinted.items():
        market = closes or opens
        assert market is not None
        return boundary + market.settings.print_grace_ms
    return NEVER


def advance(state: State, ts: int, out: Events) -> None:
    """Do all that fell due up to and including `ts`, in due order; at one moment: expiries, dead-man timers, boundary,
    deadline."""
    gap = bool(state.ts) and ts - state.ts > rules_of(state).gap_ms
    while True:
        expiry = state.expiries[0][0] if state.expiries else NEVER
        timer = state.timers[0][0] if state.timers else NEVER
        boundary = _next_boundary(state)
        deadline = _next_deadline(state)
        sooner = min(expiry, timer, boundary)
        first = min(sooner, deadline)
        if first > ts or (first == ts and sooner > ts):
            break
        if expiry == first:
            _, order_id = heapq.heappop(state.expiries)
            order = state.orders.get(order_id)
            if order is not None and order.expires_at == expiry:
                end_order(state, order, EXPIRED, None, expiry, out)
        elif timer == first:
            deadman.fall_due(state, out)
        elif boundary == first:
            if gap:
                _cross_in_gap(state, boundary, ts, out)
            else:
                _cross(state, boundary, out)
        else:
            _print_missing(state, deadline, out)
    schedule(state)


def resurface(state: State, command: cmd.Command, ts: int, out: Events) -> None:
    """Move the dead-man timers by a time in which nobody could call: a gap, or what a `Resurface` puts an end to."""
    away_ms = ts - state.ts
    if away_ms > rules_of(state).gap_ms or (away_ms and isinstance(command, cmd.Resurface)):
        deadman.postpone(state, away_ms, ts, out)
        schedule(state)


def _cross(state: State, boundary: int, out: Events) -> None:
    """A boundary while the venue runs: the live window expires, the pre-listed one opens, the next one is listed."""
    closes, opens = _at(state, boundary)
    if closes is not None:
        _expire(state, closes, boundary, out)
        if closes.unusable:
            finish(state, closes, VOID, "OPEN_PRINT_UNUSABLE", boundary, out)
            closes = None
    if opens is not None:
        opens.status = OPEN
        opens.seq = state.seq
        state.live = opens
        out.append(ev.MarketOpened(opens.id, boundary))
        list_next(state, opens.close_at, boundary, out)
    if closes is not None or opens is not None:
        state.unprinted[boundary] = (closes, opens)


def _cross_in_gap(state: State, boundary: int, ts: int, out: Events) -> None:
    """A boundary nobody watched: both windows that touch it are void, the first whole one after the gap is listed."""
    closes, opens = _at(state, boundary)
    if closes is not None:
        _expire(state, closes, boundary, out)
        finish(state, closes, VOID, "VENUE_DOWN", boundary, out)
    if opens is not None:
        finish(state, opens, VOID, "VENUE_DOWN", boundary, out)
        list_next(state, next_open(state, ts), ts, out)


def _at(state: State, boundary: int) -> tuple[Market | None, Market | None]:
    """Take the windows that close and open at `boundary` out of their places."""
    closes = opens = None
    if state.live is not None and state.live.close_at == boundary:
        closes, state.live = state.live, None
    if state.pending is not None and state.pending.open_at == boundary:
        opens, state.pending = state.pending, None
    return closes, opens


def _expire(state: State, market: Market, boundary: int, out: Events) -> None:
    market.status = EXPIRED
    market.seq = state.seq
    out.append(ev.MarketExpired(market.id, boundary))
    clear_book(state, market, "MARKET_CLOSED", boundary, out)
    market.deadmen.clear()


def take_print(state: State, command: cmd.Print, ts: int, out: Events) -> None:
    """The print of the oldest boundary that has none. One that comes late or out of turn changes nothing."""
    boundary = command.boundary
    if boundary not in state.unprinted or boundary != next(iter(state.unprinted)):
        out.append(ev.Refused("MARKET_FINAL"))
        return
    closes, opens = state.unprinted[boundary]
    market = closes or opens
    assert market is not None
    price, reason = command.price_cents, command.reason
    if price is not None:
        age = boundary - command.source_ts if command.source_ts is not None else -1
        if price <= 0 or not 0 <= age <= market.settings.print_max_age_ms:
            price, reason = None, "PRICE_TOO_OLD"
    source_ts = command.source_ts
    fact = PrintFact(boundary, price, source_ts, command.source, command.rule, reason, command.inputs, state.seq, ts)
    _book_print(state, fact, ts, out)


def _print_missing(state: State, deadline: int, out: Events) -> None:
    """The grace has passed: the print is journaled as missing."""
    boundary = next(iter(state.unprinted))
    inputs: tuple[Input, ...] = ()
    fact = PrintFact(boundary, None, None, "none", "NO_PRINT", "GRACE_PASSED", inputs, state.seq, deadline)
    _book_print(state, fact, deadline, out)


def _book_print(state: State, fact: PrintFact, ts: int, out: Events) -> None:
    """A print, usable or not, ends one window and gives the other its strike."""
    closes, opens = state.unprinted.pop(fact.boundary)
    out.append(ev.Printed(fact, opens.id if opens else None, closes.id if closes else None))
    if closes is not None:
        outcome, reason = _outcome(closes, fact)
        finish(state, closes, outcome, reason, ts, out)
    if opens is not None:
        opens.seq = state.seq
        if fact.price_cents is None:
            opens.unusable = opens.halted = True
            out.append(ev.MarketHalted(opens.id, "venue", "OPEN_PRINT_UNUSABLE", ts))
        else:
            opens.open_print = fact


def _outcome(market: Market, close: PrintFact) -> tuple[str, str]:
    """UP (YES) if the close print is above the open print, DOWN (NO) if below; a tie follows the rule."""
    if market.open_print is None or market.open_print.price_cents is None:
        return VOID, "OPEN_PRINT_UNUSABLE"
    if close.price_cents is None:
        return VOID, "NO_CLOSE_PRINT"
    strike = market.open_print.price_cents
    if close.price_cents == strike:
        return market.settings.tie_rule, "TIE"
    return ("YES", "UP") if close.price_cents > strike else ("NO", "DOWN")


def configure(state: State, command: cmd.Configure, ts: int, out: Events) -> None:
    """Genesis, or new rules: listed markets keep theirs, the next listed one has the new."""
    settings = command.settings
    if state.settings is not None and settings.reference_kind != state.settings.reference_kind:
        out.append(ev.Refused("FORBIDDEN"))
        return
    genesis = state.settings is None
    state.settings = settings
    state.engine_version = command.engine_version
    out.append(ev.Configured(settings, command.engine_version, ts))
    if genesis:
        state.born = ts
        list_next(state, next_open(state, ts), ts, out)
    schedule(state)


def index_tick(state: State, command: cmd.IndexTick, ts: int, out: Events) -> None:
    """The newest reference price, by source time; an older one than what is known changes nothing."""
    if command.source_ts < state.reference_ts or command.price_cents <= 0:
        out.append(ev.Refused("MARKET_FINAL"))
        return
    state.reference_price = command.price_cents
    state.reference_ts = command.source_ts
    state.reference_source = command.source
    out.append(ev.IndexMoved(command.price_cents, command.source_ts, command.source, ts))
