"""Three honest sample agents, each short enough to read as a tutorial: random, maker, fair.

They know what any client knows: `raeth.client.strategy` and the fair value of `raeth.liquidity.pricing`.
"""
