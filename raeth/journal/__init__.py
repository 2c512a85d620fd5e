"""The durable total order of everything that changed the venue.

A row is `seq, ts, command, events, hash`; commands and events are opaque bytes here. This room must not know
markets, prices, HTTP, the engine or the tables of other rooms: a projection reaches it as finished SQL.
"""
