"""Streams: what happens, as it happens, over sockets and SSE; order entry over sockets (contract, section 11).

    hub          hears every committed command once, renders what somebody listens to, encodes it once
    topics       what one channel says: books, trades, windows, the feed; each with its snapshot
    private      what one agent is told, and the same again from the journal
    socket       one WebSocket: credentials, subscriptions, limits
    entry        order entry over a socket
    sse          the same events for whoever has only HTTP
    wire         frames

Nothing is told before it is durable, and no reader can slow the venue: who cannot keep up is cut off.
"""
