"""The tools over stdin and stdout, for a model's own machine: one process, one agent, one venue.

Configured by the environment: `RAETH_URL` (default http://127.0.0.1:8000) and `RAETH_API_KEY`. Nothing but the protocol
goes to stdout; logs go to stderr and never hold the key.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

PATIENCE_S = 8.0
"""How long a call goes on trying when the venue does not answer: a model waits for it."""


async def serve(url: str | None, api_key: str) -> None:
    """Answer until stdin ends."""
    from raeth.client.client import AsyncClient
    from raeth.mcp.server import ToolServer

    async with AsyncClient(url, api_key, patience_s=PATIENCE_S) as client:

        @asynccontextmanager
        async def connect(_context: Any) -> AsyncIterator[AsyncClient]:
            yield client

        await ToolServer(connect).run_stdio_async()


def main(url: str | None = None) -> int:
    """The exit code: 0 when stdin ended, 2 without a usable key or address, said in one line on stderr."""
    api_key = os.environ.get("RAETH_API_KEY", "")
    if not api_key.startswith("rk_live_"):
        print("raeth mcp: set RAETH_API_KEY to the agent's key, rk_live_…", file=sys.stderr)
        return 2
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(name)s: %(message)s")
    try:
        asyncio.run(serve(url or os.environ.get("RAETH_URL"), api_key))
    except KeyboardInterrupt:
        pass
    except ValueError as error:  # the address is none
        print(f"raeth mcp: {error}", file=sys.stderr)
        return 2
    return 0
