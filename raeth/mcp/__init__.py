"""The door for models: the venue as about a dozen tools of the Model Context Protocol, over stdio and HTTP.

It is a client of the venue like any other: every tool calls the public API with the agent's own key, through the SDK in
`raeth.client`, and so meets the same credentials, budgets and answers. It must not import any room of the server.

    inputs    what tools take: types with units and bounds
    results   what tools answer: the published output schemas
    text      the same answers in a few lines, with relative time, and the text of others made harmless
    repair    from a declined order to the fields that would pass
    faults    from whatever goes wrong to one line and a code
    reading, trading    the tools
    server    the tools as one SDK server
    stdio, http    how it is reached

Nothing is imported here: the SDK of the protocol takes half a second to load.
"""
