"""Several processes on one SQLite file, killed one after the other under load: what holds for nodes holds for them.

Only killed: a stopped worker that holds the file's lock stalls the others, as the documentation says.
`RAETH_CHAOS_SEED` draws a run's faults again.
"""

from __future__ import annotations

import asyncio

import pytest

from tests.chaos.faults import Chaos
from tests.chaos.fleet import Worker, healthy, workers_ready
from tests.chaos.load import seeded
from tests.chaos.record import File
from tests.chaos.run import Storm, chosen_seed
from tests.e2e.venue import Host

WORKERS = 3


@pytest.mark.parametrize(
    ("seconds", "think_s"),
    [
        pytest.param(8.0, 0.02, marks=[pytest.mark.long, pytest.mark.timeout(400)]),
        pytest.param(120.0, 0.1, marks=[pytest.mark.long, pytest.mark.timeout(1_200)]),
    ],
)
async def test_workers_on_one_file(host: Host, seconds: float, think_s: float) -> None:
    seed = chosen_seed()
    venue = await asyncio.to_thread(workers_ready, host, WORKERS)
    workers = [Worker(venue, n) for n in range(1, WORKERS + 1)]
    chaos = Chaos(seeded(seed, "faults"), ("kill", "kill"), workers)
    storm = Storm(seed, (venue.url,), File(host.database), chaos)
    await storm.rage(venue, seconds, think_s)
    await storm.converged("the venue", lambda: healthy(venue.http))
    storm.check_doubles([venue])
    await asyncio.to_thread(venue.stop)
    storm.note_stop("the venue")
    storm.check(host, "--data-dir", str(host.data_dir))
