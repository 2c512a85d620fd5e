"""What the writer says of itself, for health reports and metrics. Plain numbers; must not know how they come about."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

WRITE_BUCKETS_S: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds by which the journal's writes are counted."""


@dataclass(slots=True)
class Health:
    """`mode`: ok, retrying (the journal failed and is being tried again), backpressured or stopped."""

    backend: str
    mode: str = "ok"
    queue_depth: int = 0
    last_error: str | None = None
    commits: int = 0
    commands: int = 0
    commit_seconds: float = 0.0
    writes: list[int] = field(default_factory=lambda: [0] * (len(WRITE_BUCKETS_S) + 1))
    """How many inserts with their fsync took how long, by `WRITE_BUCKETS_S`."""
    write_seconds: float = 0.0
    projections: int = 0
    """Transactions that brought the derived tables forward."""
    projected: int = 0
    """Commands they brought."""
    followed: int = 0
    """Commands of other nodes that were applied."""
    clock_ahead_ms: int = 0
    """By how much the database's clock is ahead of the machine's; 0 where the machine's is the one to use."""

    def note_write(self, seconds: float) -> None:
        """Count one insert and fsync. Once a batch."""
        self.writes[bisect_left(WRITE_BUCKETS_S, seconds)] += 1
        self.write_seconds += seconds
