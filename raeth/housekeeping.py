"""Gives the house its account, its grant and a key, and keeps it at work beside the server.

The venue does for the house what a person does with signup and keys, by the same journaled commands; from there on the
house is a client like any other. Must not know how it quotes.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Final, NamedTuple

import structlog

from raeth.api.credentials import NewKey, digest_of, new_key
from raeth.api.venue import Venue
from raeth.client import AsyncClient, ClientError
from raeth.engine import commands as cmd
from raeth.engine.types import READ, TRADE, KeySpec
from raeth.errors import Code, RaethError
from raeth.liquidity.house import House, pull
from raeth.liquidity.settings import HOUSE
from raeth.nodes.locks import Lease, LocksUnavailable
from raeth.nodes.roles import HOUSE as ROLE
from raeth.nodes.roles import Roles

log = structlog.get_logger("raeth.house")

VENUE: Final = "venue"
"""Who acts, in the operators' audit trail, when the venue itself does."""

GRANT_REASON: Final = "capital of the house market maker"

RETRY_S: Final = (2, 5, 15, 60)
"""Pauses before another attempt after the journal failed, or after a bug of the house; the last one repeats."""


class NameTaken(Exception):
    """An agent of somebody else is called `house`: this journal is from before the name was reserved."""


class Credentials(NamedTuple):
    """The house's agent, and its key for as long as this process lives."""

    agent: int
    api_key: str
    granted_cents: int


async def keep(venue: Venue, roles: Roles, url: str) -> None:
    """Run the house whenever this node has the role, until cancelled. What goes wrong with it, the venue never notices.

    Without `house.enabled` it only pulls what an earlier house may have left in the book, unless one is at work on
    another node. Two houses never quote for long: whoever takes the role over revokes the key of the one before.
    """
    if venue.settings.house.enabled:
        await roles.keep(ROLE, lambda _: _persevere(lambda: _work(venue, url)))
        return

    async def clear(_: Lease) -> None:
        await _clear(venue, url)

    await _persevere(lambda: roles.once(ROLE, clear))


async def _persevere(work: Callable[[], Awaitable[None]]) -> None:
    """Until it is done, or can never be."""
    for attempt in itertools.count():
        try:
            await work()
            return
        except NameTaken:
            log.error("an agent that is not the venue's is called house: no house market maker")
            return
        except RaethError as error:
            log.warning("the house cannot begin yet", code=error.code.value)
        except ClientError as error:
            log.warning("the house's old quotes could not be pulled yet", error=str(error))
        except LocksUnavailable as error:
            log.warning("nobody knows yet whether a house is at work", error=str(error))
        except Exception:
            log.exception("the house failed; it starts over")
        await asyncio.sleep(RETRY_S[min(attempt, len(RETRY_S) - 1)])


async def _work(venue: Venue, url: str) -> None:
    credentials = await admit(venue, _address_of(url))
    house = House(venue.settings.house, granted_cents=credentials.granted_cents, speed=venue.clock.speed)
    venue.house = house
    try:
        await house.run(url, credentials.api_key)
    except BaseException:
        venue.house = None  # it is at work elsewhere now, or not at all
        raise


async def _clear(venue: Venue, url: str) -> None:
    state = await venue.sequencer.settled()
    agent = state.agents.get(state.names.get(HOUSE, 0))
    if agent is None or not any(position.orders for position in agent.positions.values()):
        return
    credentials = await admit(venue, _address_of(url))
    async with AsyncClient(url, credentials.api_key) as client:
        await pull(client)
    await _revoke_keys(venue, credentials.agent)


async def admit(venue: Venue, address: str) -> Credentials:
    """The house's agent with a fresh key that only works from `address`; earlier keys end. Makes what is not there yet.

    Raises NameTaken, or RaethError SERVICE_DEGRADED; it can be called again at any time and never grants twice.
    """
    key = new_key(venue.pepper)
    spec = KeySpec(key.key_id, key.digest, "made at start-up", (READ, TRADE), allowed_ips=(address,))
    agent = await _agent(venue)
    if agent is None:
        agent = await _sign_up(venue, spec)
    else:
        await _revoke_keys(venue, agent)
        await _issue(venue, agent, key, spec)
    return Credentials(agent, key.text, await _grant(venue, agent))


def _digest(venue: Venue) -> str:
    """Stands where the digest of an e-mail address does; no address is without an @."""
    return digest_of(venue.pepper, HOUSE.encode())


async def _agent(venue: Venue) -> int | None:
    state = await venue.sequencer.settled()
    account = state.accounts.get(state.digests.get(_digest(venue), 0))
    return None if account is None else account.agents[0]


async def _sign_up(venue: Venue, spec: KeySpec) -> int:
    outcome = await venue.sequencer.submit(cmd.Signup(_digest(venue), HOUSE, spec))
    refused = outcome.refused()
    if refused is not None and refused.code == Code.AGENT_NAME_TAKEN:
        raise NameTaken
    agent = await _agent(venue)
    assert agent is not None
    return agent


async def _revoke_keys(venue: Venue, agent: int) -> None:
    state = await venue.sequencer.settled()
    for key_id in list(state.agents[agent].keys):
        await venue.sequencer.submit(cmd.AdminRevokeKey(VENUE, key_id, "the house gets a new key at every start"))


async def _issue(venue: Venue, agent: int, key: NewKey, spec: KeySpec) -> None:
    state = await venue.sequencer.settled()
    outcome = await venue.sequencer.submit(cmd.IssueKey(state.agents[agent].account.id, agent, spec))
    assert outcome.refused() is None, outcome.refused()


async def _grant(venue: Venue, agent: int) -> int:
    """Once in the life of a journal: what the signup has not brought already. All it was ever given, in cents."""
    state = await venue.sequencer.settled()
    account = state.agents[agent].account.id
    granted_cents = await venue.store.granted_cents(account)
    missing_cents = venue.settings.house.grant_cents - granted_cents
    if missing_cents <= 0 or await venue.store.has_grant(agent):
        return granted_cents
    await venue.sequencer.submit(cmd.GrantCash(VENUE, agent, missing_cents, GRANT_REASON))
    return await venue.store.granted_cents(account)


def _address_of(url: str) -> str:
    return url.partition("://")[2].rpartition(":")[0].strip("[]")


def reachable(host: str, port: int) -> str:
    """The address at which a process reaches itself when it listens on `host`."""
    own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104, this is about leaving it
    return f"http://{f'[{own}]' if ':' in own else own}:{port}"
