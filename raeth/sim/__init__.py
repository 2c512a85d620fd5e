"""The engine as a library: agents against the venue's own engine in simulated time, for research.

    from raeth.examples import FairAgent, MakerAgent, RandomAgent
    from raeth.sim import Simulation

    result = Simulation([MakerAgent(), FairAgent(), RandomAgent(seed=1)], seed=7).run(windows=60)
    print(result.pnl_cents)
    result.to_csv("out")

Same seed, same journal bytes. A strategy written for it runs on a live venue unchanged. `raeth.sim.env` holds the
Gymnasium environment and is imported only by who wants it.
"""

from raeth.sim.core import Journal
from raeth.sim.prices import PricePath, PriceSeries
from raeth.sim.records import Result, Table
from raeth.sim.simulation import Simulation

__all__ = ["Journal", "PricePath", "PriceSeries", "Result", "Simulation", "Table"]
