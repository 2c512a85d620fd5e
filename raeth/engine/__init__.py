"""The venue as a pure state machine: `apply(state, command, seq, ts) -> events`.

Nothing in this room may do I/O, read a clock, draw a random number, use a float or know of HTTP,
SQL or asyncio. The same commands with the same stamps give the same events, byte for byte.
"""
