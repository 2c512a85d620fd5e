"""Requests that were made before: which orders of a command are replays, and what became of them the first time.

A known key never becomes a second command; its answer is read back from the journal row it names (see the decision
record on idempotency). Must not know how commands are batched, nor HTTP.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from raeth.engine import codec
from raeth.engine.commands import Command, PlaceBatch, PlaceOrder
from raeth.engine.events import Event, OrderPlaced, Refused
from raeth.engine.ids import N_MAX, make_id
from raeth.engine.types import Order
from raeth.errors import Code, RaethError
from raeth.journal.base import Journal, JournalDamaged, Key

Known = dict[tuple[int, str], Key]
"""Keys by `(owner, key)`: those found in the journal, and those of this batch so far."""


@dataclass(slots=True)
class IdemKey:
    """An idempotency key of one order of a command (`place`, counted from 0), or of the command itself."""

    owner: int
    key: str
    fingerprint: bytes
    place: int = 0


@dataclass(slots=True)
class PlacedOrder:
    order: Order
    replayed: bool


@dataclass(slots=True)
class Outcome:
    """What became of a command. Durable by the time a caller holds it."""

    seq: int
    ts: int
    events: list[Event]
    orders: Sequence[PlacedOrder] = ()
    replayed: bool = False

    def refused(self) -> Refused | None:
        last = self.events[-1] if self.events else None
        return last if isinstance(last, Refused) else None


_NO_REPLAYS: dict[int, Key] = {}


class Request:
    """A command with its keys. `replays` maps the places that were asked for before to the key that knows them."""

    __slots__ = ("command", "keys", "replays")

    def __init__(self, command: Command | None, keys: Sequence[IdemKey]) -> None:
        self.command = command
        self.keys = keys
        self.replays = _NO_REPLAYS

    def without_replays(self, known: Known) -> Command | None:
        """The command less the orders that are already in the journal; None if nothing of it is left to do.

        Raises IDEMPOTENCY_CONFLICT for a known key with another body, and for an atomic batch that is known in part."""
        fresh: dict[str, IdemKey] = {}
        replays: dict[int, Key] = {}
        for key in self.keys:
            first = known.get((key.owner, key.key))
            twin = fresh.setdefault(key.key, key)
            if (first.fingerprint if first is not None else twin.fingerprint) != key.fingerprint:
                raise RaethError(Code.IDEMPOTENCY_CONFLICT)
            if first is not None:
                replays[key.place] = first
            elif twin is not key:
                # The same key twice in one batch: the second is a replay of the first, once that has a place.
                replays[key.place] = Key(key.owner, key.key, 0, twin.place, key.fingerprint)
        command = self.command
        if not replays:
            return command
        self.replays = replays
        if not isinstance(command, PlaceBatch):
            return None
        left = tuple(spec for place, spec in enumerate(command.orders) if place not in replays)
        if left and command.atomic:
            raise RaethError(Code.IDEMPOTENCY_CONFLICT)
        return PlaceBatch(command.agent, command.key_id, left, command.atomic) if left else None

    def book(self, outcome: Outcome, known: Known) -> list[Key]:
        """Where each new key's order stands, for the journal. A refused command leaves no key: it may be retried."""
        if outcome.refused() is not None:
            return []
        new = [key for key in self.keys if key.place not in self.replays]
        if isinstance(self.command, PlaceOrder | PlaceBatch):
            places = [place for place in range(self._legs()) if place not in self.replays]
            order_at = dict(zip(places, _placed(outcome.events), strict=True))
            made = [Key(k.owner, k.key, outcome.seq, order_at[k.place].id & N_MAX, k.fingerprint) for k in new]
        else:
            made = [Key(k.owner, k.key, outcome.seq, k.place, k.fingerprint) for k in new]
        for key in made:
            known[(key.owner, key.key)] = key
        for place, key in self.replays.items():
            if key.seq == 0:
                self.replays[place] = known[(key.owner, key.key)]
        return made

    def first_answer(self, outcome: Outcome) -> Outcome:
        """The outcome to give when nothing of the request is a replay."""
        kind = type(self.command)
        if kind is PlaceOrder:
            last = outcome.events[-1]  # its result; of a refused command there is no order
            if type(last) is OrderPlaced:
                outcome.orders = (PlacedOrder(last.order, False),)
        elif kind is PlaceBatch:
            outcome.orders = [PlacedOrder(order, False) for order in _placed(outcome.events)]
        return outcome

    async def answer(self, outcome: Outcome | None, journal: Journal) -> Outcome:
        """The outcome to give, with replayed orders as they were first answered. Call it once the batch is durable."""
        orders = isinstance(self.command, PlaceOrder | PlaceBatch)
        if not self.replays or (outcome is not None and outcome.refused() is not None):
            # A batch of which some orders are known and the rest was refused is refused: nothing of it was done now.
            assert outcome is not None
            return self.first_answer(outcome)
        first = {seq: await _read_back(journal, seq) for seq in {key.seq for key in self.replays.values()}}
        result = outcome if outcome is not None else first[next(iter(self.replays.values())).seq]
        if orders:
            new = iter(_placed(outcome.events) if outcome is not None else [])
            result.orders = [
                PlacedOrder(_order_of(first[self.replays[place].seq], self.replays[place]), True)
                if place in self.replays
                else PlacedOrder(next(new), False)
                for place in range(self._legs())
            ]
        return result

    def _legs(self) -> int:
        return len(self.command.orders) if isinstance(self.command, PlaceBatch) else 1


def _placed(events: Sequence[Event]) -> list[Order]:
    return [event.order for event in events if isinstance(event, OrderPlaced)]


async def _read_back(journal: Journal, seq: int) -> Outcome:
    row = await journal.row(seq)
    if row is None:
        raise JournalDamaged(seq, "an idempotency key names a row that is not there")
    return Outcome(row.seq, row.ts, codec.decode_events(row.events), replayed=True)


def _order_of(outcome: Outcome, key: Key) -> Order:
    """The order a key stands for, as its own command left it."""
    order_id = make_id(key.seq, key.place)
    for order in _placed(outcome.events):
        if order.id == order_id:
            return order
    raise JournalDamaged(key.seq, "an idempotency key names an order that is not there")
