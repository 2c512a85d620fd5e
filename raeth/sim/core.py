"""The venue's engine with a journal that lives in memory: apply a command, keep the chain, sign agents up.

What `raeth.sequencer` is to a venue on a machine, without database, clock or waiting. Must not know strategies.
"""

from __future__ import annotations

import gc
import hashlib
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, Protocol

from raeth.engine import codec
from raeth.engine import commands as cmd
from raeth.engine.events import Event
from raeth.engine.exchange import apply, new_state
from raeth.engine.snapshot import state_hash
from raeth.engine.state import Agent
from raeth.engine.types import ENGINE_VERSION, KeySpec, Settings
from raeth.journal.base import EMPTY_HEAD, Row
from raeth.journal.chain import head_of, next_row

NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{2,31}")
ACTOR: Final = "simulation"


class Journal(Protocol):
    """Where the commands of a simulation go, in order, each with what it did. Rows continue one hash chain."""

    def add(self, row: Row, command: cmd.Command, events: list[Event]) -> None: ...


class Core:
    """One simulated venue from its genesis on. `chained` False leaves the bytes and the hash chain out, for speed."""

    def __init__(self, rules: Settings, start_ms: int, *, chained: bool = True, journal: Journal | None = None) -> None:
        if journal is not None and not chained:
            raise ValueError("a journal is made of the chain's rows: it needs chained=True")
        self.state = new_state()
        self.handlers: dict[type[Event], Callable[[Event, int], None]] = {}
        """What to call with each event of a type, and its command's stamp, after the command is done."""
        self._head = EMPTY_HEAD
        self._chained = chained
        self._journal = journal
        self.apply(cmd.Configure(ENGINE_VERSION, rules), start_ms)

    @property
    def chain_head(self) -> str:
        """Hex hash of the last row, which vouches for all before it; the hash of nothing if not chained."""
        return self._head.hash.hex()

    @property
    def state_hash(self) -> str:
        return state_hash(self.state)

    def apply(self, command: cmd.Command, ts: int) -> list[Event]:
        """Carry a command out at `ts`, never before the last; its events, the last of which is its result."""
        state = self.state
        events = apply(state, command, state.seq + 1, ts)
        if self._chained:
            row = next_row(self._head, ts, codec.encode_command(command), codec.encode_events(events))
            self._head = head_of(row)
            if self._journal is not None:
                self._journal.add(row, command, events)
        handlers = self.handlers
        for event in events:
            handler = handlers.get(type(event))
            if handler is not None:
                handler(event, ts)
        return events

    def sign_up(self, name: str, cash_cents: int | None, ts: int) -> Agent:
        """A new account with one agent, which has the signup grant, or `cash_cents` if that is more.

        Raises ValueError for a name the venue would not take.
        """
        if not NAME.fullmatch(name) or name.lower() in self.state.names:
            raise ValueError(f"{name!r} is taken, or is no agent's name: 3-32 of letters, digits, _ . -")
        digest = hashlib.sha256(name.lower().encode()).hexdigest()
        key = KeySpec(f"sim-{len(self.state.agents) + 1}", "", "simulation", ("read", "trade"))
        self.apply(cmd.Signup(digest, name, key), ts)
        agent = self.state.agents[self.state.names[name.lower()]]
        if cash_cents is not None and cash_cents > agent.cash:
            self.apply(cmd.GrantCash(ACTOR, agent.id, cash_cents - agent.cash, "starting cash"), ts)
        return agent


@contextmanager
def rare_collections() -> Iterator[None]:
    """A simulation makes few cycles and many objects that stay: let the collector look at them seldom."""
    before = gc.get_threshold()
    gc.set_threshold(50_000, 50, 1000)
    try:
        yield
    finally:
        gc.set_threshold(*before)
