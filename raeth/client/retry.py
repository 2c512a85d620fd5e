"""When to try again, and for how long: pure policy over what one attempt came to.

Must not know requests or sockets.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass

from raeth.client.errors import ClientError, VenueError

FIRST_WAIT_S = 0.05
LONGEST_WAIT_S = 2.0

_jitter = random.SystemRandom()


class Lost(ClientError):
    """One attempt got no answer. `sent`: it may have reached the venue all the same. Never leaves the SDK."""

    def __init__(self, message: str, sent: bool) -> None:
        super().__init__(message)
        self.sent = sent


def is_passing(error: VenueError) -> bool:
    """Whether the same request may be sent again without anybody repairing anything. A frozen venue is not such a case:
    what to do about it is the caller's to decide."""
    if error.http == 429:
        return error.code == "RATE_LIMITED"
    if error.http == 503:
        return error.code not in ("EXCHANGE_FROZEN", "FEATURE_DISABLED")
    return error.http in (500, 504) or (error.http == 502 and error.code == "HTTP_502")


def leaves_doubt(error: VenueError) -> bool:
    """Whether a request that was answered with this may have been carried out, now or before long."""
    return error.http >= 500 and error.code not in ("EXCHANGE_FROZEN", "FEATURE_DISABLED", "REFERENCE_UNAVAILABLE")


@dataclass(slots=True)
class Patience:
    """How long one call goes on trying, in real seconds since it began, and how long it waits between attempts."""

    total_s: float
    started: float = 0.0
    attempts: int = 0

    def __post_init__(self) -> None:
        self.started = time.monotonic()

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self.started

    @property
    def left_s(self) -> float:
        return self.total_s - self.elapsed_s

    def wait_s(self, retry_after_s: float | None = None) -> float | None:
        """How long to wait before the next attempt; None when there is no time for another one.

        Exponential with jitter over the upper half; what the venue asks for is a lower bound.
        """
        ceiling = min(LONGEST_WAIT_S, FIRST_WAIT_S * 2 ** min(self.attempts, 10))
        self.attempts += 1
        wait = ceiling * (0.5 + 0.5 * _jitter.random())
        if retry_after_s is not None:
            wait += retry_after_s
        return wait if wait < self.left_s else None
