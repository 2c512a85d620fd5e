"""The house market maker: what a window is worth, how to quote it, and the agent that does so.

It trades through the client surface like everybody else and must not know how the venue works inside.
"""
