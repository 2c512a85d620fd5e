"""The house at work: its policy on a live venue, run like anybody's strategy, over the network.

It survives whatever a client can meet (restarts, freezes, declines, throttling) and raises nothing but bugs. Must not
know how the venue works inside, nor that it runs in the same process.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

from raeth.client import AsyncClient, ClientError, VenueError
from raeth.client.runner import Decided, Step, Waiting, run
from raeth.liquidity.policy import QUOTE_ID, HousePolicy, State, Why
from raeth.liquidity.settings import HouseSettings

log = structlog.get_logger("raeth.liquidity")

TIMEOUT_S: Final = 2.0
AGAIN_S: Final = 0.5
"""Pause before it connects anew."""


class House:
    """The house market maker on one venue. `state` says what it is doing; `run` it in a task of its own.

    `granted_cents` is all the cash it was ever given, `speed` venue seconds per real second.
    """

    def __init__(self, settings: HouseSettings, *, granted_cents: int, speed: float = 1.0) -> None:
        self._policy = HousePolicy(settings, granted_cents=granted_cents, speed=speed)
        self._trouble: Why | None = None

    @property
    def state(self) -> State:
        """What it is doing, as of its last look at the venue."""
        return self._policy.state if self._trouble is None else State(self._trouble)

    async def run(self, url: str, api_key: str) -> None:
        """Quote on the venue at `url` until cancelled, or until the key is revoked.

        Its quotes are tied to its connection: the venue takes them away when that ends.
        """
        async with AsyncClient(url, api_key, timeout_s=TIMEOUT_S) as client:
            while True:
                try:
                    await run(
                        self._policy, client, on_step=self._heard, cancel_on_stop=False, cancel_on_disconnect=True
                    )
                except VenueError as error:
                    if error.code.startswith("AUTH_"):
                        self._note("NO_KEY", str(error))
                        return
                    self._note("UNREACHABLE", str(error))
                except ClientError as error:
                    self._note("UNREACHABLE", str(error))
                await asyncio.sleep(AGAIN_S)

    def _heard(self, step: Step) -> None:
        if isinstance(step, Decided):
            self._note(None)
        elif isinstance(step, Waiting) and step.why:
            self._note(_trouble(step.why), step.why)

    def _note(self, trouble: Why | None, why: str = "") -> None:
        if trouble != self._trouble and (trouble or self._trouble) != "NO_MARKET":
            log.info("the house is out" if trouble else "the house is back", why=why or None)
        self._trouble = trouble


def _trouble(why: str) -> Why:
    """What the runner waits for, of the reasons that are published."""
    if "no market" in why:
        return "NO_MARKET"
    return "SUSPENDED" if "suspended" in why else "UNREACHABLE"


async def pull(client: AsyncClient) -> None:
    """Take away what an earlier house has resting in the open market. Raises ClientError."""
    for market in (await client.markets("OPEN")).items:
        await client.put_quotes(market, QUOTE_ID)
