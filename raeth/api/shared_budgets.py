"""One count of every budget for all processes of a venue, kept in Redis (setting `budgets_url`).

Exact: a request waits for the answer that has its charge in it, so any number of nodes let through what one would. What
arrives while a round trip is under way shares the next one, whoever it belongs to, which is what makes it cheap: 105 µs
of one core for a lone request, 33 for one of sixteen, where a script call a charge (the storage of `limits.aio`) takes
80 to 140 and a blocking client would stop the loop. Windows do not begin with the first request here but lie on a grid,
shifted for each holder, so that every node knows key and end without asking.

Nothing of a request may fail or hang because Redis does. A round that takes `TIMEOUT_S` or fails opens the breaker:
from then on each process counts by itself, from the last total it knew, and asks once in `PAUSE_S`, with nobody
waiting, whether Redis is back; then what was counted meanwhile is told to it. What a lost round carried is not sent
twice. Must not know requests, nor what a budget is for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import structlog

from raeth.api.meters import MINUTE_MS, Kind, Meter
from raeth.clock import real_now_ms
from raeth.config import ConfigError

if TYPE_CHECKING:
    from redis.asyncio import Redis

log = structlog.get_logger("raeth.api.budgets")

TIMEOUT_S: Final = 0.1
"""A round trip, with connecting: no request waits longer for Redis, whatever became of it."""

PAUSE_S: Final = 1.0
"""Between two attempts while Redis is away."""

PIPELINE_MAX: Final = 1_000
"""Windows in one round trip, so that it stays well within `TIMEOUT_S`."""


class SharedMeter(Meter):
    """One window that all nodes draw on. `used` is what this node knows of it: never more than the truth."""

    __slots__ = ("_ledger", "_round", "key")

    shared = True

    def __init__(self, limit: int, reset_ms: int, key: str, ledger: Ledger) -> None:
        super().__init__(limit, reset_ms)
        self.key = key
        self._ledger = ledger
        self._round: asyncio.Future[Totals] | None = None

    def charge(self, cost: int) -> None:
        """Count `cost` here, and tell the others; raises RATE_LIMITED when this node knows already that it is too much.
        Whether it is, `agreed` says."""
        if self.used <= self.limit:  # one charge beyond the limit is worth telling, a flood of them is not
            self._round = self._ledger.add(self, cost)
        super().charge(cost)

    async def agreed(self) -> None:
        """Wait for the total with the charges made since the last await. Raises RATE_LIMITED when it is too much."""
        place = self._ledger.waiting(self)
        round_ = self._round
        if round_ is None or self._ledger.away:
            return
        before = (await asyncio.shield(round_)).get(self)
        if before is not None and before + place > self.limit:
            raise self.refusal()

    async def known(self) -> None:
        """Wait until `used` has what other nodes counted, without a charge or a refusal."""
        if self._round is None and not self._ledger.away:
            self._round = self._ledger.add(self, 0)
        if self._round is not None and not self._ledger.away:
            await asyncio.shield(self._round)


Totals = dict[SharedMeter, int]
"""What all nodes had counted before the charges of this round. Empty when Redis did not answer."""


class SharedKind(Kind):
    """One budget for many holders, on all nodes together."""

    __slots__ = ("_ledger", "_name")

    def __init__(self, name: str, limit: int, window_ms: int, ledger: Ledger) -> None:
        super().__init__(limit, window_ms)
        self._name = name
        self._ledger = ledger

    def _open(self, holder: int | str, now_ms: int) -> Meter:
        name = f"{self._name}:{holder}"
        shift_ms = crc32(name.encode()) % self.window_ms  # not everybody's budget is renewed at the same moment
        number = (now_ms - shift_ms) // self.window_ms
        reset_ms = (number + 1) * self.window_ms + shift_ms
        return SharedMeter(self.limit, reset_ms, f"{name}:{self.window_ms}:{number}", self._ledger)


class Ledger:
    """The way to Redis: one connection, one round trip at a time. `prefix` keeps venues apart that share a Redis.
    Raises ConfigError for a `url` that cannot be used."""

    def __init__(self, url: str, prefix: str, timeout_s: float = TIMEOUT_S) -> None:
        self.away = False
        """The breaker: Redis did not answer, and each process counts by itself."""
        self.failures = 0
        self.rounds = 0
        self._timeout_s = timeout_s
        self._client = _connect(url, timeout_s)
        self._prefix = prefix
        self._unsent: dict[SharedMeter, int] = {}
        self._next: asyncio.Future[Totals] | None = None
        self._task: asyncio.Task[None] | None = None
        self._retry: asyncio.TimerHandle | None = None

    def kind(self, name: str, limit: int, window_ms: int = MINUTE_MS) -> Kind:
        """A budget by a name that no other has."""
        return SharedKind(name, limit, window_ms, self)

    def add(self, meter: SharedMeter, cost: int) -> asyncio.Future[Totals]:
        """Send `cost` with the next round; what is returned is done when that is over, and never fails."""
        self._unsent[meter] = self._unsent.get(meter, 0) + cost
        if self._next is None:
            self._next = asyncio.get_running_loop().create_future()
        if self._task is None and not self.away:
            self._task = asyncio.create_task(self._run(), name="budgets")
        return self._next

    def waiting(self, meter: SharedMeter) -> int:
        """What of this window the next round will carry."""
        return self._unsent.get(meter, 0)

    async def close(self) -> None:
        """Harmless the second time."""
        if self._retry is not None:
            self._retry.cancel()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        self._end_round({})
        await self._client.aclose()

    # ---- rounds ----

    async def _run(self) -> None:
        while self._unsent:
            sent, self._unsent = self._unsent, {}
            done, self._next = self._next, None
            before: Totals = {}
            try:
                for some in _parts(sent):
                    before |= await self._exchange(some)
            except Exception as trouble:
                self._lose(trouble)
            finally:
                if done is not None and not done.done():
                    done.set_result(before)
            if self.away:
                break
        self._task = None

    async def _exchange(self, sent: Totals) -> Totals:
        async with asyncio.timeout(self._timeout_s):
            pipe = self._client.pipeline(transaction=False)
            for meter, cost in sent.items():
                key = self._prefix + meter.key
                pipe.incrby(key, cost)
                pipe.pexpire(key, max(MINUTE_MS, meter.reset_ms - real_now_ms()))
            replies = await pipe.execute()
        self.rounds += 1
        before: Totals = {}
        for (meter, cost), total in zip(sent.items(), replies[::2], strict=True):
            before[meter] = total - cost
            meter.used = max(meter.used, total + self._unsent.get(meter, 0))
        return before

    # ---- without Redis ----

    def _lose(self, trouble: Exception) -> None:
        self.failures += 1
        if not self.away:
            log.warning("budgets are counted by each process: redis does not answer", kind=type(trouble).__name__)
        self.away = True
        self._end_round({})
        self._retry = asyncio.get_running_loop().call_later(PAUSE_S, self._try_again)

    def _end_round(self, before: Totals) -> None:
        waiting, self._next = self._next, None
        if waiting is not None and not waiting.done():
            waiting.set_result(before)

    def _try_again(self) -> None:
        now_ms = real_now_ms()
        self._unsent = {meter: cost for meter, cost in self._unsent.items() if now_ms < meter.reset_ms}
        self._task = asyncio.create_task(self._probe(), name="budgets")

    async def _probe(self) -> None:
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._client.execute_command("PING")
        except Exception as trouble:
            self._task = None
            self._lose(trouble)
            return
        self.away = False
        log.info("budgets are counted together again")
        await self._run()


def _parts(sent: Totals) -> Iterator[Totals]:
    """At most `PIPELINE_MAX` windows each."""
    if len(sent) <= PIPELINE_MAX:
        yield sent
        return
    rest = iter(sent.items())
    while some := dict(islice(rest, PIPELINE_MAX)):
        yield some


def check_url(url: str) -> None:
    """Raises ConfigError unless the address has the form of one and the client is installed. Whether it answers is
    asked later, and again and again."""
    _connect(url, TIMEOUT_S)


def _connect(url: str, timeout_s: float) -> Redis:
    try:
        from redis.asyncio import Redis
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff
    except ImportError:
        raise ConfigError("budgets_url: needs the extra `redis` (pip install 'raeth[redis]')") from None
    options: dict[str, Any] = {"socket_timeout": timeout_s, "socket_connect_timeout": timeout_s}
    try:
        # A charge that was sent again could count twice.
        client: Redis = Redis.from_url(url, retry=Retry(NoBackoff(), 0), **options)
    except ValueError as fault:
        raise ConfigError(f"budgets_url: {fault}") from None
    return client
