"""What goes wrong, how often, and what went wrong: drawn from the seed, counted by kind. Must not know the venue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from random import Random

from tests.simulation.disk import Trouble, Weather

KINDS = (
    "commit failed",
    "commit in doubt",
    "lock not free",
    "read failed",
    "snapshot not saved",
    "slow fsync",
    "disk full",
    "snapshot spoilt",
    "crash",
    "crash near a commit",
    "graceful restart",
    "clock step",
    "clock jump",
    "stall",
    "feed gap",
    "feed outlier",
    "feed late",
    "command twice",
    "print twice",
    "caller gone",
)
"""Every kind of fault that the simulator makes; the report counts each."""


class Faults(Weather):
    """One seed's weather. Each life draws anew how bad each thing is, so some lives are calm and some are hell."""

    def __init__(self, random: Random, note: Callable[..., None]) -> None:
        self.random = random
        self.counts: Counter[str] = Counter()
        self._note = note
        self.healed = False
        self.now_s: Callable[[], float] = lambda: 0.0
        self.full_until_s = 0.0
        self.on_commit: Callable[[], None] = lambda: None
        self.renew()

    def renew(self) -> None:
        """Another life, another temper."""
        random = self.random
        self.rates = {
            "commit failed": random.choice((0.0, 0.0, 0.01, 0.06)),
            "commit in doubt": random.choice((0.0, 0.0, 0.01, 0.06)),
            "lock not free": random.choice((0.0, 0.0, 0.01, 0.05)),
            "read failed": random.choice((0.0, 0.0, 0.05, 0.3)),
            "snapshot not saved": random.choice((0.0, 0.2)),
            "slow fsync": random.choice((0.0, 0.01, 0.05)),
            "snapshot spoilt": random.choice((0.0, 0.0, 0.3)),
        }
        self.full_until_s = 0.0

    def happened(self, kind: str, *more: object) -> None:
        self.counts[kind] += 1
        self._note("fault", kind, *more)

    def chance(self, kind: str) -> bool:
        if self.healed or self.random.random() >= self.rates[kind]:
            return False
        self.happened(kind)
        return True

    def fill(self, seconds: float) -> None:
        self.full_until_s = self.now_s() + seconds
        self.happened("disk full", round(seconds, 3))

    # What the disk asks

    def delay_s(self, operation: str) -> float:
        if operation in ("rollback", "close"):
            return 0.0
        if operation == "commit":
            self.on_commit()
        if operation in ("commit", "execute", "save_snapshot") and self.chance("slow fsync"):
            return self.random.choice((0.05, 0.6, 2.5, 6.0)) * self.random.random()
        return 0.0002 + 0.0008 * self.random.random()

    def strike(self, operation: str) -> None:
        if self.healed:
            return
        if operation in ("commit", "execute", "save_snapshot") and self.now_s() < self.full_until_s:
            raise Trouble("database or disk is full (SQLITE_FULL)")
        if operation == "commit":
            if self.chance("commit failed"):
                raise Trouble("disk I/O error (SQLITE_IOERR)")
            if self.chance("commit in doubt"):
                raise Trouble("commit failed: disk I/O error (SQLITE_IOERR_FSYNC)", unknown=True)
        elif operation == "lock" and self.chance("lock not free"):
            raise Trouble("database is locked (SQLITE_BUSY)")
        elif operation == "read" and self.chance("read failed"):
            raise Trouble("disk I/O error (SQLITE_IOERR_READ)")
        elif operation == "save_snapshot" and self.chance("snapshot not saved"):
            raise Trouble("disk I/O error (SQLITE_IOERR)", unknown=self.random.random() < 0.5)

    def lands(self, moment: str) -> bool:
        landed = self.random.random() < 0.5
        self._note("doubt", moment, "landed" if landed else "vanished")
        return landed

    def spoils(self) -> bool:
        return self.chance("snapshot spoilt")
