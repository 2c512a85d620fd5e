"""Commands for people that are clients like any other: a bot that trades, a view that follows the market.

Must not know the server: they reach a venue over the network only. Modules here are imported with the command line, so
they import what they need when they run.
"""
