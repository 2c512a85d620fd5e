"""Tables for history: what happened, in the shape of the questions people ask about it.

Everything here is read off the journal's events, except a few private tables (identities, sessions, tickets,
secrets) that must never enter the chain. The store must not know the order path, matching or HTTP.
"""
