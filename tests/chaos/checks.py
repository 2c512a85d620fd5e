"""What must hold after everything that went wrong: what clients were told, held against the journal."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable
from itertools import pairwise

from raeth.engine import snapshot
from tests.chaos.faults import Fault
from tests.chaos.load import Ledger
from tests.chaos.readers import Levels, MarketReader
from tests.chaos.record import Database, Record, Window

PRINT_MAX_AGE_MS = 5_000
PRINT_GRACE_MS = 5_000
GAP_MS = 5_000
"""The venue's defaults (contract, section 7)."""
AFTERMATH_MS = 30_000
"""A fault may be felt for so long on a busy machine: a node has to start, and to take over what another one did."""


def executed(database: Database, readers: Iterable[MarketReader]) -> Record:
    """The journal from its first command to its last: whole, and every book that a reader has held was that book."""
    wanted: dict[int, list[tuple[str, Levels, Levels]]] = defaultdict(list)
    for reader in readers:
        for seq, symbol, bids, asks in reader.books:
            wanted[seq].append((symbol, bids, asks))
    snapshots = database.snapshots()
    record = Record()
    for state in record.execute(database, set(snapshots)):
        for symbol, bids, asks in wanted.pop(state.seq, ()):
            assert record.books(symbol) == (bids, asks), f"the book of {symbol} at seq {state.seq}"
    assert not wanted, f"books of commands that never were: {sorted(wanted)[:5]}"
    for seq, blob in snapshots.items():
        state = snapshot.load(blob)
        assert (state.seq, snapshot.state_hash(state)) == (seq, record.hashes[seq]), f"a node's state at seq {seq}"
    return record


def check_orders(ledger: Ledger, record: Record) -> None:
    """Nothing lost, nothing doubled, and every answer what the journal says."""
    assert set(ledger.told) == set(ledger.sent), "an order without an answer"
    doubled = {key: len(orders) for key, orders in record.placed.items() if len(orders) > 1}
    assert not doubled, f"placed more than once: {doubled}"
    mine = {(ledger.agents[sent.owner].id, key) for key, sent in ledger.sent.items()}
    assert set(record.placed) == mine, "orders that nobody sent, or sent and not in the journal"
    for key, answers in ledger.told.items():
        (order,) = record.placed[ledger.agents[ledger.sent[key].owner].id, key]
        for answer in answers:
            assert answer == order | {"replayed": answer["replayed"]}, f"{key} was answered otherwise than it is"
        fresh = sum(not answer["replayed"] for answer in answers)
        assert fresh <= 1, f"{key} was new {fresh} times"
    for order in ledger.ended:
        assert order in record.ended[order["order_id"]], f"a cancel was answered otherwise than it is: {order}"


def check_trades(record: Record, readers: Iterable[MarketReader]) -> int:
    """Every run of trades that a reader heard is a piece of the journal, without a gap; how many there were."""
    traded = {window.symbol: window.traded for window in record.windows.values()}
    heard = 0
    for reader in readers:
        for symbol, runs in reader.trades.items():
            places = {trade["trade_id"]: place for place, trade in enumerate(traded[symbol])}
            for run in filter(None, runs):
                heard += len(run)
                start = places[run[0]["trade_id"]]
                assert run == traded[symbol][start : start + len(run)], f"trades of {symbol}"
    return heard


def check_windows(record: Record, faults: list[Fault]) -> tuple[Counter[str], list[str]]:
    """Every window on time, and none void without a reason that was a fault; how many ended how, and why any was void,
    in seconds since the first fault."""
    ended: Counter[str] = Counter()
    voids: list[str] = []
    before: Window | None = None
    silences = list(silent(record))
    for window in record.windows.values():
        if window.opened_ts is None:
            # Either it is still to come, or its beginning fell into a time in which nothing was written.
            assert window.why in ("", "VENUE_DOWN"), f"{window.symbol} never opened, and ended {window.why}"
        else:
            assert window.opened_ts == window.open_at, f"{window.symbol} opened late"
            assert all(window.open_at <= stamp < window.close_at for stamp in window.active), window.symbol
        if window.expired_ts is not None:
            assert window.expired_ts == window.close_at, f"{window.symbol} closed late"
        if before is not None and before.close_at != window.open_at:
            assert before.why == "VENUE_DOWN", f"nothing was listed between {before.symbol} and {window.symbol}"
        if window.outcome is not None:
            ended[f"{window.outcome} {window.why}"] += 1
        if window.outcome == "VOID":
            blamed = check_void(record, window, silences, faults)
            times = ", ".join(f"{since(faults, began)} to {since(faults, over)}" for began, over in blamed)
            voids.append(f"{since(faults, window.close_at)} {window.why}: nothing from {times}")
        before = window
    return ended, voids


def since(faults: list[Fault], moment_ms: int) -> str:
    return f"{(moment_ms - faults[0].began_ms) / 1000:.1f}"


def check_void(
    record: Record, window: Window, silences: list[tuple[int, int]], faults: list[Fault]
) -> list[tuple[int, int]]:
    """A window may be void for a tie, or because there was no price for one of its boundaries while a fault lasted; the
    times in which nothing came."""
    if window.why == "TIE":
        prices = {record.prints[boundary][1] for boundary in (window.open_at, window.close_at)}
        assert len(prices) == 1, f"{window.symbol} is no tie"
        return []
    if window.why == "VENUE_DOWN":
        spans = [span for span in pairwise(record.stamps) if span[1] - span[0] > GAP_MS]
        blamed = [span for span in spans if span[0] < window.close_at <= span[1] or span[0] < window.open_at <= span[1]]
    else:
        assert window.why in ("OPEN_PRINT_UNUSABLE", "NO_CLOSE_PRINT"), window.why
        boundary = window.open_at if window.why == "OPEN_PRINT_UNUSABLE" else window.close_at
        assert record.prints[boundary][1] is None
        # Nobody had a price that was young enough, or nobody was there to bring it while there was time.
        blamed = [
            span
            for span in silences
            if span[1] - span[0] >= min(PRINT_MAX_AGE_MS, PRINT_GRACE_MS) * 4 // 5
            and span[0] < boundary + PRINT_GRACE_MS
            and span[1] > boundary - PRINT_MAX_AGE_MS
        ]
    assert blamed, f"{window.symbol} is void by {window.why}, though the venue ran and had a price"
    for began, ended in blamed:
        assert any(caused(fault, began, ended) for fault in faults), (
            f"{window.symbol} is void by {window.why}: nothing came from {began} to {ended}, and no fault explains it"
        )
    return blamed


def caused(fault: Fault, began: int, ended: int) -> bool:
    over = fault.ended_ms if fault.ended_ms is not None else ended
    return fault.began_ms <= ended and began <= over + AFTERMATH_MS


def silent(record: Record) -> Iterable[tuple[int, int]]:
    """Times between one index tick and the next, by their stamps."""
    return pairwise([stamp for stamp, _ in record.ticks])


def settled(record: Record, after_ms: int, before_ms: int) -> int:
    """Windows that got their prints and were resolved between two moments."""
    return sum(
        window.outcome in ("YES", "NO") and after_ms < window.resolved_ts < before_ms
        for window in record.windows.values()
    )
