"""Writes a long journal quickly, as the server would have: the same rules, tables and keys, without any request.

    python -m tests.e2e.long_journal COMMANDS

Settings come from the environment, as for `raeth serve`. Prints one line when that many commands are durable, and then
waits to be killed: it never ends by itself, so no last snapshot is taken.
"""

from __future__ import annotations

import asyncio
import random
import sys

from raeth.config import load_settings
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.types import BUY, SELL, KeySpec
from raeth.idempotency import IdemKey, Outcome
from raeth.logs import configure_logging
from raeth.sequencer import Sequencer
from raeth.server import assemble, prepare_data_dir

DONE = "all durable:"
AGENTS = 30
GROUP = 500
"""Commands handed over at once, which become one transaction."""


async def write(commands: int) -> None:
    settings = load_settings()
    configure_logging(settings.log_level)
    prepare_data_dir(settings.data_dir)
    node = await assemble(settings)
    # The feed gives the windows their prints.
    feed = asyncio.create_task(node.roles.keep("series", lambda lease: node.feeder.feed(lease.confirmed)))
    rng = random.Random(commands)
    agents = [await sign_up(node.sequencer, number) for number in range(AGENTS)]
    while (left := commands - node.sequencer.durable_seq) > 0:
        waiting = [one(node.sequencer, rng, agents, number) for number in range(min(GROUP, left))]
        await asyncio.gather(*waiting)
    print(f"{DONE} {node.sequencer.durable_seq}", flush=True)
    await feed


async def sign_up(sequencer: Sequencer, number: int) -> int:
    key = KeySpec(f"{number:012x}", "00" * 32, "key", ("read", "trade"))
    outcome = await sequencer.submit(cmd.Signup(f"digest-{number}", f"writer-{number}", key))
    return next(event.agent for event in outcome.events if isinstance(event, ev.AgentCreated))


def one(sequencer: Sequencer, rng: random.Random, agents: list[int], number: int) -> asyncio.Future[Outcome]:
    """A command of the kind that fills journals: mostly orders near the middle, some cancels."""
    place = rng.randrange(AGENTS)
    agent, key_id = agents[place], f"{place:012x}"
    state = sequencer.state
    market = state.live or state.pending
    assert market is not None
    if rng.random() < 0.2:
        resting = state.agents[agent].positions.get(market.id)
        order = next(iter(resting.orders), 0) if resting is not None else 0
        return sequencer.enqueue(cmd.CancelOrder(agent, key_id, order))
    name = f"{sequencer.durable_seq}-{number}"
    side, price = rng.choice((BUY, SELL)), rng.randint(40, 60)
    spec = cmd.OrderSpec(market.id, side, "LIMIT", "GTC", price, rng.randint(1, 9), client_order_id=name)
    return sequencer.enqueue(cmd.PlaceOrder(agent, key_id, spec), (IdemKey(agent, name, name.encode()),))


if __name__ == "__main__":
    asyncio.run(write(int(sys.argv[1])))
