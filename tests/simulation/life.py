"""One process: the real sequencer, engine, scheduler, index and projector on a loop of their own, and its clients.

A life ends in a crash, a stop, or a start that failed. What outlives it is the world's: see `world`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from raeth.clock import RealClock
from raeth.engine import codec
from raeth.engine import commands as cmd
from raeth.errors import RaethError
from raeth.idempotency import Outcome
from raeth.journal.base import JournalUnavailable
from raeth.sequencer import Committed
from raeth.series.scheduler import Scheduler
from raeth.store.projector import Projector
from tests.simulation.disk import SimJournal
from tests.simulation.feed import SimFeed
from tests.simulation.loop import Crashed, SimLoop
from tests.simulation.model import Request

if TYPE_CHECKING:
    from tests.simulation.world import World

SETTLE_S = 300.0
"""Virtual seconds in which a healed venue must have answered everything that was left in the dark."""
COMPARE_EVERY = 100
"""Journal rows between two comparisons of the whole live state with the replayed one, byte by byte."""


class Life:
    """One process, from its start to its end: a crash, a stop, or a start that failed."""

    def __init__(self, world: World, final: bool) -> None:
        self.world = world
        self.final = final
        self.dead = world.log.deaf = False
        self.loop = SimLoop(world.order, world.now_s, shuffled=world.shuffled)
        self.journal = SimJournal(world.disk, world.faults)
        world.clock.monotonic_s = self.loop.time
        world.stop_life = lambda: self.loop.die_after(0)
        world.faults.now_s = self.loop.time
        clock = RealClock() if world.guarded else world.clock
        self.sequencer = world.sequencer(self.journal, clock, world.rules, Projector(), adopt=True)
        self.sequencer.listeners.append(self._hear)
        self.heard_seq: int | None = None
        self.heard_state: object = None
        self.waiting: dict[int, Request] = {}
        self.sent = 0
        self.tasks: set[asyncio.Task[Any]] = set()

    def run(self) -> None:
        world, loop = self.world, self.loop
        world.note("life", world.report.lives, "final" if self.final else "")
        ended = "stopped"
        try:
            asyncio.set_event_loop(loop)
            loop.run_until_complete(self._main())
        except Crashed:
            ended = "crashed"
        finally:
            self.dead = world.log.deaf = True
            accidents = list(loop.accidents)
            world.now_s = max(world.now_s, loop.time())
            world.faults.on_commit = lambda: None
            self.journal.kill()
            loop.bury()
            asyncio.set_event_loop(None)
            world.report.handles += loop.handles
        world.note("end", ended)
        self._healthy(accidents)
        for request in self.waiting.values():
            world.model.unheard(request)
        world.model.check_durable()

    async def _main(self) -> None:
        try:
            await self.sequencer.start()
        except JournalUnavailable as trouble:
            # The process says so and exits; whoever runs it starts it again.
            self.world.note("no start", trouble)
            return
        except RaethError as error:
            self.world.note("no start", error.code)
            return
        world = self.world
        self._compare()
        feed = SimFeed(world.random, world.clock, world.faults, self.sequencer.state.reference_price)
        scheduler = Scheduler(feed, self.sequencer.clock, self.sequencer.submit, lambda: self.sequencer.state)
        running = asyncio.create_task(scheduler.run(), name="scheduler")
        try:
            if self.final:
                await asyncio.wait_for(self._finish(), SETTLE_S)
            else:
                await self._work(running)
        finally:
            if not self.dead:
                running.cancel()
                await asyncio.wait({running})
        await self._stop()

    async def _work(self, scheduler: asyncio.Task[None]) -> None:
        """Clients at work until there is nothing left to do, or somebody stops the process in good order."""
        world, random = self.world, self.world.random
        while world.step < world.steps:
            assert not scheduler.done(), f"the scheduler ended: {scheduler}"
            for _ in range(random.choice((1, 1, 2, 4, 8))):
                self._send(world.workload.next(self.sequencer.state))
            self._check_now()
            if self._misfortune():
                return
            await self._rest()

    async def _rest(self) -> None:
        """Some milliseconds, now and then seconds; where nothing can trade mostly to the next window."""
        random, state = self.world.random, self.sequencer.state
        seconds = random.expovariate(8.0) if random.random() < 0.97 else random.uniform(0.5, 2.5)
        if state.live is None and state.pending is not None and random.random() < 0.5:
            left_ms = state.pending.open_at - self.sequencer.clock.now_ms()
            seconds = min(10.0, max(seconds, left_ms / 1000))
        await asyncio.sleep(seconds)

    def _misfortune(self) -> bool:
        """Something that goes wrong around the venue, now and then. True for an order to stop."""
        world, random = self.world, self.world.random
        faults, loop, clock = world.faults, self.loop, world.clock
        roll = random.random()
        if roll < 0.006:
            loop.die_after(random.randrange(60))
            faults.happened("crash")
        elif roll < 0.016:
            # Between any two awaits around the next commit.
            faults.on_commit = lambda: loop.die_after(int(world.order.random() * 16))
            faults.happened("crash near a commit")
        elif roll < 0.020:
            faults.happened("graceful restart")
            return True
        elif roll < 0.024:
            faults.fill(random.choice((0.2, 2.0, 8.0)) * random.random())
        elif roll < 0.034:
            clock.offset_ms += random.choice((-2_000, -700, 300, 2_000))
            faults.happened("clock step", clock.offset_ms)
        elif roll < 0.0355:
            by = random.randint(5_500, 90_000)
            clock.offset_ms += by
            faults.happened("clock jump", by)
            if world.guarded:  # the node refuses to write until somebody sets the clock right
                loop.call_later(random.uniform(0.5, 4.0), self._set_back, by)
        elif roll < 0.039:
            seconds = random.choice((0.4, 0.4, 3.0, 8.0, 30.0)) * random.random()
            loop.stall(seconds)
            faults.happened("stall", round(seconds, 3))
        elif roll < 0.10:
            self._spawn(self._read())
        elif roll < 0.12:
            faults.happened("caller gone")
            self._spawn(self._give_up(world.workload.next(self.sequencer.state)))
        elif roll < 0.14:
            self._print_again()
        elif roll < 0.17 and world.model.done:
            request = random.choice(world.model.done)
            faults.happened("command twice")
            self._send(request.again())
            self._send(request.again())
        return False

    def _set_back(self, by_ms: int) -> None:
        self.world.clock.offset_ms -= by_ms

    # Calls

    def _send(self, request: Request) -> None:
        """As a connection's handler does it: the command has its place when this returns."""
        world = self.world
        world.step += 1
        self.sent += 1
        number = self.sent
        world.note("send", number, request)
        try:
            future = self.sequencer.enqueue(request.command, request.keys)
        except RaethError as error:
            world.model.failed(request, error)
            return
        self.waiting[number] = request
        future.add_done_callback(lambda done: self._answered(number, done))

    def _answered(self, number: int, future: asyncio.Future[Outcome]) -> None:
        error = future.exception() if not future.cancelled() else None
        if not self.dead:
            with self.world.blaming():
                self._judge_answer(number, future, error)

    def _judge_answer(self, number: int, future: asyncio.Future[Outcome], error: BaseException | None) -> None:
        request = self.waiting.pop(number)
        if future.cancelled():
            self.world.model.unheard(request)
        elif error is None:
            outcome = future.result()
            self.world.note("ack", number, outcome.seq, "replayed" if outcome.replayed else "")
            self.world.model.answered(request, outcome)
        else:
            self.world.note("error", number, error)
            assert isinstance(error, RaethError), f"the caller got {error!r}"
            self.world.model.failed(request, error)

    def _spawn(self, work: Any) -> None:
        task = self.loop.create_task(work)
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _read(self) -> None:
        """A read waits for what is being committed, and shows only what is durable."""
        try:
            state = await self.sequencer.settled()
        except RaethError as error:
            self.world.note("read", error.code)
            return
        if not self.dead:
            with self.world.blaming():
                head = self.world.disk.head.seq
                assert state.seq == head, f"a read shows seq {state.seq} while {head} is durable"

    def _check_now(self) -> None:
        state = self.sequencer.settled_now()
        head = self.world.disk.head.seq
        assert state is None or state.seq == head, f"a read without waiting shows {state.seq}, not {head}"

    async def _give_up(self, request: Request) -> None:
        """A caller that hangs up: the command is not taken back, and nobody hears what became of it."""
        world = self.world
        world.step += 1
        world.note("gone", request)
        call = asyncio.ensure_future(self.sequencer.submit(request.command, request.keys))
        await asyncio.sleep(world.random.choice((0.0, 0.0004, 0.002)))
        if not call.done():
            call.cancel()
            await asyncio.wait({call})
        if self.dead:
            return
        with world.blaming():
            if call.cancelled():
                world.model.unheard(request)
            elif (error := call.exception()) is not None:
                assert isinstance(error, RaethError), error
                world.model.failed(request, error)
            else:
                world.model.answered(request, call.result())

    def _print_again(self) -> None:
        """A print or an index tick that was journaled before, once more."""
        again = [c for _, c in self.world.shadow.commands[-300:] if isinstance(c, cmd.Print | cmd.IndexTick)]
        if again:
            self.world.faults.happened("print twice")
            self._send(Request(self.world.random.choice(again)))

    # Listening

    def _hear(self, facts: list[Committed]) -> None:
        if not self.dead:
            with self.world.blaming():
                self._judge_facts(facts)

    def _judge_facts(self, facts: list[Committed]) -> None:
        """Only what is durable, each once, in order; what is missing was rebuilt from the journal in between."""
        rows = self.world.disk.rows
        state = self.sequencer.state
        for fact in facts:
            assert fact.seq <= len(rows), f"seq {fact.seq} was published before it was durable"
            assert rows[fact.seq - 1].events == codec.encode_events(fact.events), "published otherwise than journaled"
            if self.heard_seq is not None:
                assert fact.seq > self.heard_seq, f"seq {fact.seq} was published after {self.heard_seq}"
                missed = fact.seq != self.heard_seq + 1
                # A listener that finds a gap starts over; there may only be one where the state was made anew.
                assert not missed or state is not self.heard_state, f"seq {self.heard_seq + 1} was not published"
            self.heard_seq, self.heard_state = fact.seq, state
        if self.world.shadow.state.seq - self.world.compared_seq >= COMPARE_EVERY:
            self._compare()

    def _compare(self) -> None:
        self.world.compare(self.sequencer)

    def _healthy(self, accidents: list[dict[str, Any]]) -> None:
        log = self.world.log
        if self.world.verdict is not None:
            raise self.world.verdict
        assert not log.unexpected, log.unexpected
        assert not self.journal.refused, f"a transaction contradicted the journal: {self.journal.refused}"
        for context in accidents:
            error = context.get("exception")
            raise AssertionError(f"{context.get('message')}: {error!r}") from error

    # The end

    async def _finish(self) -> None:
        """The weather is fair again: everything that was left in the dark is asked until it is known."""
        world = self.world
        for attempt in range(50):
            unknown, world.model.unknown = world.model.unknown, []
            if not unknown and attempt:
                break
            for request in unknown:
                self._send(request.again())
            await asyncio.sleep(0.3)
            while self.waiting:
                await asyncio.sleep(0.01)
        await self.sequencer.submit(cmd.Tick())
        await self._read()

    async def _stop(self) -> None:
        """SIGTERM: what was accepted is committed, and every caller hears what became of it."""
        await self.sequencer.stop()
        # Time moves on only when nothing is ready: whoever was told something has heard it by then.
        await asyncio.sleep(0.001)
        assert not self.waiting, f"stopped without a word to {self.waiting}"
        if self.tasks:
            await asyncio.wait(self.tasks)
        if self.sequencer.settled_now() is not None:  # else it was stopped while the disk would not take the last batch
            self._compare()
