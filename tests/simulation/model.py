"""What the clients know: what they sent, what they were told, and what follows from it for ever after.

It outlives every crash. An acknowledged command must be durable when its answer arrives; a key asked again must bring
the first answer; nothing may be done twice. Must not know how commands are chosen.
"""

from __future__ import annotations

from collections import Counter

from raeth.engine import codec
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.types import Order
from raeth.errors import Code, RaethError
from raeth.idempotency import IdemKey, Outcome
from tests.simulation.disk import Disk


class Request:
    """One call of a client. `conflicts`: sent on purpose with a key that stands for another body."""

    __slots__ = ("command", "conflicts", "keys")

    def __init__(self, command: cmd.Command, keys: tuple[IdemKey, ...] = (), conflicts: bool = False) -> None:
        self.command = command
        self.keys = keys
        self.conflicts = conflicts

    def again(self) -> Request:
        """The same call, as a client repeats it that was not answered, or does not believe it was."""
        keys = tuple(IdemKey(k.owner, k.key, k.fingerprint, k.place) for k in self.keys)
        return Request(self.command, keys, self.conflicts)


class Model:
    """Raises AssertionError from `answered` and `failed` when the venue broke a promise."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.answers: dict[tuple[int, str], bytes] = {}
        self.done: list[Request] = []
        """Keyed requests that were answered, the newest ones."""
        self.unknown: list[Request] = []
        """Keyed requests whose fate nobody told: 503, or the process died. They are asked again until it is known."""
        self.hashes: dict[int, bytes] = {}
        """Of every acknowledged seq, the row's hash at that time."""
        self.counts: Counter[str] = Counter()

    def answered(self, request: Request, outcome: Outcome) -> None:
        """An answer reached its caller."""
        self.counts["acknowledged"] += 1
        rows = self.disk.rows
        assert 0 < outcome.seq <= len(rows), f"acknowledged at seq {outcome.seq} before it was durable"
        row = rows[outcome.seq - 1]
        self.hashes[outcome.seq] = row.hash
        refused = outcome.refused()
        names = [(key.owner, key.key) for key in request.keys]
        if refused is not None:
            self.counts["refused"] += 1
            if len(names) == 1:
                assert names[0] not in self.disk.keys, f"refused as {refused.code}, but {names[0]} was done before"
            return
        if not outcome.replayed:
            assert row.command == codec.encode_command(request.command) or names, "acknowledged as another command"
            assert row.events == codec.encode_events(outcome.events), "the answer is not what the journal holds"
        if not names:
            return
        assert not request.conflicts, "a key with another body was taken"
        self._keyed(request, outcome)
        self.done.append(request)
        if len(self.done) > 60:
            del self.done[:20]

    def _keyed(self, request: Request, outcome: Outcome) -> None:
        orders = isinstance(request.command, cmd.PlaceOrder | cmd.PlaceBatch)
        for key in request.keys:
            name = (key.owner, key.key)
            assert name in self.disk.keys, f"{name} was acknowledged, but its key is not durable"
            if orders:
                placed = outcome.orders[key.place]
                self._remember(name, _encode(placed.order), placed.replayed)
            else:
                self._remember(name, codec.encode_events(outcome.events), outcome.replayed)

    def _remember(self, name: tuple[int, str], answer: bytes, replayed: bool) -> None:
        known = self.answers.get(name)
        if known is None:
            self.answers[name] = answer
            return
        self.counts["replayed"] += 1
        assert replayed, f"{name} was done a second time"
        assert known == answer, f"{name} was answered differently before"

    def failed(self, request: Request, error: RaethError) -> None:
        """An error reached its caller."""
        self.counts[str(error.code)] += 1
        if error.code == Code.IDEMPOTENCY_CONFLICT:
            assert request.conflicts, "a conflict where the bodies are equal"
            return
        assert error.code == Code.SERVICE_DEGRADED, f"an error nobody expects: {error.code}"
        self.unheard(request)

    def unheard(self, request: Request) -> None:
        """No answer will come."""
        self.counts["unheard"] += 1
        if request.keys and not request.conflicts:
            self.unknown.append(request)

    def check_durable(self) -> None:
        """Everything that was ever acknowledged is still there, unchanged, and was done once."""
        for seq, row_hash in self.hashes.items():
            assert self.disk.rows[seq - 1].hash == row_hash, f"seq {seq} was acknowledged and is gone"
        for name in self.answers:
            assert name in self.disk.keys, f"{name} was acknowledged and its key is gone"

    def check_orders(self, orders: dict[tuple[int, str], int]) -> None:
        """`orders` is what the journal has, by agent and client order id."""
        for name in orders:
            assert self.disk.keys[name].seq == orders[name], f"the key {name} points elsewhere"


def _encode(order: Order) -> bytes:
    return codec.encode_events([ev.OrderPlaced(order)])
