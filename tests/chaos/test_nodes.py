"""Nodes on one PostgreSQL in a storm: killed, stopped, their database restarted, crashed, their sessions ended.

Under all of it agents trade through whichever node answers, and readers go from one node to another. Afterwards no
acknowledged order is lost or there twice, every stream told what the journal says, all nodes are in the same state,
windows were on time, and the whole journal passes its audit.

Each run draws its faults anew; a failure shows the seed, and `RAETH_CHAOS_SEED` draws the same again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.chaos.faults import Chaos
from tests.chaos.fleet import Node
from tests.chaos.load import seeded
from tests.chaos.record import Shared
from tests.chaos.run import Storm, chosen_seed
from tests.e2e.test_kill import free_port
from tests.e2e.venue import Host
from tests.postgres import Server

NODES = 3
BAG = ("kill", "kill", "stop", "stop", "restart", "crash", "terminate", "terminate")


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.close()


@pytest.mark.parametrize(
    ("seconds", "think_s"),
    [
        pytest.param(20.0, 0.02, marks=pytest.mark.timeout(400)),
        pytest.param(600.0, 0.1, marks=[pytest.mark.long, pytest.mark.timeout(3_600)]),
    ],
)
async def test_nodes_on_one_database(host: Host, server: Server, seconds: float, think_s: float) -> None:
    seed = chosen_seed()
    url = server.fresh_database()
    nodes = [Node(host, n, free_port(), ("--database-url", url)) for n in range(1, NODES + 1)]
    try:
        # As when all machines come up at once: who is first makes the venue.
        await asyncio.gather(*(asyncio.to_thread(node.start) for node in nodes))
        chaos = Chaos(seeded(seed, "faults"), BAG, nodes, server, url.rpartition("/")[2])
        storm = Storm(seed, tuple(node.url for node in nodes), Shared(server, url), chaos)
        await storm.rage(nodes[0].venue, seconds, think_s)
        for node in nodes:
            await storm.converged(node.name, node.healthy)
        storm.check_doubles([node.venue for node in nodes])
        for node in nodes:
            await storm.converged(node.name, node.healthy)
            await asyncio.to_thread(node.venue.stop)
            storm.note_stop(node.name)
        storm.check(host, "--database-url", url)
        print(f"starts that met no database: {sum(node.turned_away for node in nodes)}")
    finally:
        for node in nodes:
            node.abandon()
