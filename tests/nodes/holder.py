"""A process that competes for a role of a PostgreSQL and says what it does: `python -m tests.nodes.holder URL ROLE`.

A line a thing: `held`, `act` (each after it was certain of its lock), `lost`; each with the time of the machine.
"""

from __future__ import annotations

import asyncio
import sys
import time

from raeth.nodes.locks import Lease, SessionLocks
from raeth.nodes.roles import Roles

ACT_S = 0.05


def say(what: str) -> None:
    print(what, time.time(), flush=True)


async def work(lease: Lease) -> None:
    say("held")
    try:
        while True:
            await lease.confirmed()
            say("act")
            await asyncio.sleep(ACT_S)
    finally:
        say("lost")


if __name__ == "__main__":
    say("begun")
    asyncio.run(Roles(SessionLocks(sys.argv[1])).keep(sys.argv[2], work))
