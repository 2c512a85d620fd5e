"""What a set of journals must have met, and what it did meet.

What must be met is read off the engine itself where it can be: a command, an event, a refusal or a decline that is new
there is missing here until a golden shows it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import raeth.engine
from raeth.engine import codec
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.types import EXPIRED, REJECTED, Order
from raeth.errors import CATALOGUE
from tests.golden.replay import Golden

Facets = dict[str, set[str]]


def wanted() -> Facets:
    """Everything a venue can be asked and can say, by kind."""
    source = "".join(path.read_text("utf-8") for path in Path(raeth.engine.__path__[0]).glob("*.py"))
    return {
        "command": {kind.__name__ for kind in get_args(cmd.AnyCommand)},
        "event": {kind.__name__ for kind in get_args(ev.AnyEvent)},
        "refusal": set(re.findall(r'Refused\(\s*"([A-Z_]+)"', source)),
        "decline": {str(entry.code) for entry in CATALOGUE.values() if entry.is_decline},
        "cancel": {
            *("USER", "IOC_REMAINDER", "MARKET_CLOSED", "SELF_TRADE", "REDUCE_ONLY", "DEAD_MAN", "DISCONNECT"),
            *("REPLACED", "ADMIN"),
        },
        "resolution": {
            *("YES UP", "NO DOWN", "VOID TIE", "YES TIE", "VOID OPEN_PRINT_UNUSABLE", "VOID NO_CLOSE_PRINT"),
            *("VOID VENUE_DOWN", "VOID OPERATOR"),
        },
        "cash": {"SIGNUP_GRANT", "FAUCET", "GRANT", "TRANSFER", "SETTLEMENT", "FEES"},
        "print": {"usable", "NO_TICK", "PRICE_TOO_OLD", "GRACE_PASSED"},
        "order": {
            *("LIMIT GTC", "LIMIT IOC", "LIMIT FOK", "LIMIT POST_ONLY", "MARKET IOC", "MARKET FOK"),
            *("reduce-only", "expired", "slippage cap", "maker and taker", "quoted", "filled by an amend"),
        },
        "self-trade": {"CANCEL_MAKER", "CANCEL_TAKER", "CANCEL_BOTH"},
        "batch": {"plain", "atomic done", "atomic declined"},
        "reduced": {"AMEND", "QUOTE", "REDUCE_ONLY"},
    }


def seen(goldens: Iterable[Golden]) -> Facets:
    met: Facets = defaultdict(set)
    for golden in goldens:
        for _, command, events in golden.rows:
            _note(met, codec.decode_command(command), codec.decode_events(events))
    return met


def _note(met: Facets, command: cmd.Command, events: list[ev.Event]) -> None:
    met["command"].add(type(command).__name__)
    placed = [event.order for event in events if isinstance(event, ev.OrderPlaced)]
    if isinstance(command, cmd.PlaceBatch) and placed:
        outcome = "declined" if placed[0].status == REJECTED or placed[-1].status == REJECTED else "done"
        met["batch"].add(f"atomic {outcome}" if command.atomic else "plain")
    if isinstance(command, cmd.PlaceOrder) and command.order.slippage_cap is not None:
        met["order"].add("slippage cap")
    for event in events:
        met["event"].add(type(event).__name__)
        _note_event(met, command, event)


def _note_event(met: Facets, command: cmd.Command, event: ev.Event) -> None:
    match event:
        case ev.Refused():
            met["refusal"].add(event.code)
        case ev.OrderPlaced(order=order) | ev.OrderEnded(order=order):
            _note_order(met, command, order)
        case ev.AmendRejected():
            met["decline"].add(event.reason)
        case ev.OrderReduced():
            met["reduced"].add(event.reason)
        case ev.OrderAmended() if len(event.order.fills) > event.fills_before:
            met["order"].add("filled by an amend")
        case ev.MarketResolved():
            met["resolution"].add(f"{event.outcome} {event.reason}")
        case ev.CashMoved():
            met["cash"].add(event.kind)
        case ev.Printed():
            met["print"].add(event.fact.reason or "usable")


def _note_order(met: Facets, command: cmd.Command, order: Order) -> None:
    if order.status == REJECTED:
        assert order.reject_reason is not None
        met["decline"].add(order.reject_reason)
        return
    met["order"].add(f"{order.type} {order.tif}")
    if order.cancel_reason is not None:
        met["cancel"].add(order.cancel_reason)
    if order.cancel_reason == "SELF_TRADE" and isinstance(command, cmd.PlaceOrder):
        met["self-trade"].add(command.order.stp)
    traits = {
        "reduce-only": order.reduce_only,
        "expired": order.status == EXPIRED,
        "quoted": order.quote_id is not None,
        "maker and taker": len({fill.liquidity for fill in order.fills}) == 2,
    }
    met["order"].update(trait for trait, has in traits.items() if has)
