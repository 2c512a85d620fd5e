"""The web page of a venue: TypeScript, built to static files in `dist/`, and what serves those.

The page is a client of the public API and streams like any other. Must know nothing of the server's inside.
"""
