"""Three honest sample agents, each short enough to read as a tutorial: random, maker, fair.

They know what any client knows: `raeth.client.strategy`, and the fair value of `raeth.liquidity.pricing`.
"""

from raeth.examples.fair_agent import FairAgent
from raeth.examples.maker_agent import MakerAgent
from raeth.examples.random_agent import RandomAgent

__all__ = ["FairAgent", "MakerAgent", "RandomAgent"]
