"""Known bugs, made on purpose: the simulator has to catch each of them, or it proves nothing.

Each is what somebody might write in good faith. Must not be imported by anything but tests.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from unittest.mock import patch

from raeth.engine import clearing, snapshot, windows
from raeth.engine.state import State
from raeth.journal.base import Begun, Key, Row, Write
from raeth.sequencer import Committed, Sequencer
from tests.simulation.world import SimulationFailed, simulate

Batch = tuple[list[Row], list[Key], list[Write], list[Committed]]


class AnswersBeforeCommit(Sequencer):
    """Faster answers: nobody has to wait for the disk."""

    def _apply_batch(self, batch: list[Any], begun: Begun, ts: int) -> Batch:
        made = super()._apply_batch(batch, begun, ts)
        for item in batch:
            if self.durable_seq and item.outcome is not None and not item.done.done() and not item.replays:
                item.outcome.orders = []
                item.done.set_result(item.outcome)
        return made


class PublishesBeforeCommit(Sequencer):
    """Faster streams: listeners are told while the disk is still busy."""

    def _apply_batch(self, batch: list[Any], begun: Begun, ts: int) -> Batch:
        made = super()._apply_batch(batch, begun, ts)
        super()._publish(made[3])
        return made

    def _publish(self, facts: list[Committed]) -> None:
        if any(row.seq > self._head.seq for row in facts):
            super()._publish(facts)


class ForgetsKeysOnRebuild(Sequencer):
    """Idempotency keys kept in memory: those from before a rebuild are not known any more."""

    kept_from = 0

    async def _rebuild(self) -> None:
        await super()._rebuild()
        self.kept_from = self.state.seq

    async def _begin(self, wanted: Sequence[tuple[int, str]]) -> Begun:
        begun = await super()._begin(wanted)
        return begun._replace(hits={name: key for name, key in begun.hits.items() if key.seq > self.kept_from})


class DropsKeys(Sequencer):
    """The keys of a batch are written, all but the last."""

    def _apply_batch(self, batch: list[Any], begun: Begun, ts: int) -> Batch:
        rows, keys, writes, facts = super()._apply_batch(batch, begun, ts)
        return rows, keys[:-1] if len(keys) > 1 else keys, writes, facts


class KeepsStateAfterFailure(Sequencer):
    """A commit that failed leaves the state as it is: surely nothing happened."""

    async def _recover(self, batch: list[Any], trouble: Exception) -> None:
        self._valid = True
        await super()._recover(batch, trouble)


class ShowsWhatIsNotDurable(Sequencer):
    """Reads do not wait for a commit."""

    def settled_now(self) -> State | None:
        return self.state if self._valid or self._committing else None


class TellsListenersTwice(Sequencer):
    """After a rebuild the last fact is published again, to be on the safe side."""

    last: list[Committed] = []

    def _publish(self, facts: list[Committed]) -> None:
        super()._publish(facts)
        self.last = facts[-1:]

    async def _rebuild(self) -> None:
        await super()._rebuild()
        if self.last:
            super()._publish(self.last)


def _lost_cent() -> Any:
    real = clearing.move_cash

    def move_cash(state: State, wallet: Any, kind: str, amount: int, *more: Any) -> None:
        real(state, wallet, kind, amount - (kind == "SETTLEMENT" and amount > 100), *more)

    return patch.object(clearing, "move_cash", move_cash)


def _gaps_ignored() -> Any:
    def cross(state: State, boundary: int, ts: int, out: clearing.Events) -> None:
        windows._cross(state, boundary, out)

    return patch.object(windows, "_cross_in_gap", cross)


def _queues_reversed_by_snapshots() -> Any:
    real = snapshot.load

    def load(data: bytes) -> State:
        state = real(data)
        for market in state.markets.values():
            for side in market.book.levels:
                for level, queue in enumerate(side):
                    side[level] = dict(reversed(queue.items()))
        return state

    return patch.object(snapshot, "load", load)


def _prints_taken_twice() -> Any:
    real = windows.take_print

    def take_print(state: State, command: Any, ts: int, out: clearing.Events) -> None:
        before = dict(state.unprinted)
        real(state, command, ts, out)
        _closes, opens = before.get(command.boundary, (None, None))
        if command.boundary not in state.unprinted and opens is not None and ts % 3 == 0:
            state.unprinted[command.boundary] = (None, opens)

    from raeth.engine import exchange

    return patch.dict(exchange._VENUE, {type_: take_print for type_, f in exchange._VENUE.items() if f is real})


def _patched(make: Callable[[], Any]) -> Callable[[], Any]:
    @contextlib.contextmanager
    def applied() -> Iterator[type[Sequencer]]:
        with make():
            yield Sequencer

    return applied


def _written(kind: type[Sequencer]) -> Callable[[], Any]:
    @contextlib.contextmanager
    def applied() -> Iterator[type[Sequencer]]:
        yield kind

    return applied


MUTANTS: dict[str, Callable[[], Any]] = {
    "answers before the commit": _written(AnswersBeforeCommit),
    "publishes before the commit": _written(PublishesBeforeCommit),
    "forgets keys on rebuild": _written(ForgetsKeysOnRebuild),
    "drops keys": _written(DropsKeys),
    "keeps the state after a failure": _written(KeepsStateAfterFailure),
    "shows what is not durable": _written(ShowsWhatIsNotDurable),
    "tells listeners twice": _written(TellsListenersTwice),
    "loses a cent": _patched(_lost_cent),
    "ignores gaps": _patched(_gaps_ignored),
    "reverses queues in snapshots": _patched(_queues_reversed_by_snapshots),
    "takes a print twice": _patched(_prints_taken_twice),
}
"""By name: a context manager that makes the bug and gives the sequencer to run."""


def caught(name: str, seeds: range, steps: int) -> SimulationFailed | None:
    """Run seeds until the bug shows. None if it never does."""
    for seed in seeds:
        with MUTANTS[name]() as sequencer:
            try:
                simulate(seed, steps, sequencer=sequencer)
            except SimulationFailed as failed:
                return failed
    return None
