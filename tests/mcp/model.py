"""A model as these tests play it: the official client, and answers looked at as a model would."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import httpx2
from mcp.client.client import Client
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult

from raeth.mcp.http import Door as Mounted
from tests.api.harness import Desk, Trader

RAETH = Path(sys.executable).with_name("raeth")
HOST = "127.0.0.1"
ADMIN_TOKEN = "rk_admin_" + "m" * 43

Way = Literal["stdio", "auto", "legacy"]
"""Over stdin and stdout; or over HTTP with the newest protocol both sides know, or with the handshake of the older."""


class Model:
    """Calls tools. What is not an error must fit its published schema: the official client checks that."""

    def __init__(self, client: Client) -> None:
        self.client = client

    async def call(self, tool: str, /, **arguments: Any) -> CallToolResult:
        answer = await self.client.call_tool(tool, arguments)
        assert isinstance(answer, CallToolResult)
        (content,) = answer.content
        assert content.type == "text" and content.text
        return answer

    async def use(self, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The structure of an answer that is no error."""
        answer = await self.call(tool, **arguments)
        assert not answer.is_error, answer.content
        assert answer.structured_content is not None
        return answer.structured_content

    async def read(self, tool: str, /, **arguments: Any) -> str:
        """The text of an answer that is no error."""
        answer = await self.call(tool, **arguments)
        assert not answer.is_error, answer.content
        return answer.content[0].text  # type: ignore[union-attr]

    async def fails(self, code: str, tool: str, /, **arguments: Any) -> dict[str, Any]:
        """The structure of a tool error, which must be one line and tell nothing of the program."""
        answer = await self.call(tool, **arguments)
        assert answer.is_error, answer.structured_content
        text = answer.content[0].text  # type: ignore[union-attr]
        assert text.startswith(f"{code}: ") and "\n" not in text, text
        for inside in ("Traceback", "File ", ".py", "pydantic", "input_value", "raeth.", "Error executing"):
            assert inside not in text, text
        assert answer.structured_content is not None and answer.structured_content["code"] == code
        return answer.structured_content


@asynccontextmanager
async def model_over(way: Way, url: str, key: str, errors: Path | None = None) -> AsyncIterator[Model]:
    """A model with this agent's key at a venue process; over stdio, stderr goes to the file `errors`."""
    if way == "stdio":
        assert errors is not None
        parameters = StdioServerParameters(
            command=str(RAETH), args=["mcp"], env={"RAETH_URL": url, "RAETH_API_KEY": key}
        )
        with errors.open("w") as log:
            async with Client(stdio_client(parameters, errlog=log)) as client:
                yield Model(client)
    else:
        headers = {"Authorization": f"Bearer {key}"}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=40) as http,
            Client(streamable_http_client(f"{url}/mcp/", http_client=http), mode=way) as client,
        ):
            yield Model(client)


class Door:
    """A venue in this process with the door for models."""

    def __init__(self, desk: Desk, http: httpx2.AsyncClient, mounted: Mounted) -> None:
        self.desk = desk
        self.http = http
        self.mounted = mounted

    @asynccontextmanager
    async def model(self, trader: Trader, way: Way = "auto") -> AsyncIterator[Model]:
        """A model with this agent's key."""
        headers = {"Authorization": f"Bearer {trader.key}"}
        async with (
            httpx2.AsyncClient(transport=httpx2.ASGITransport(self.mounted.venue), headers=headers) as http,
            Client(streamable_http_client(f"http://{HOST}/mcp/", http_client=http), mode=way) as client,
        ):
            yield Model(client)

    async def post(self, body: Any = None, key: str | None = None, **headers: str) -> httpx2.Response:
        """One bare request of the protocol: by default, the list of tools."""
        told = {"Accept": "application/json, text/event-stream", **headers}
        if key is not None:
            told["Authorization"] = f"Bearer {key}"
        if isinstance(body, bytes):
            return await self.http.post("/mcp/", content=body, headers={"Content-Type": "application/json", **told})
        listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {}}
        return await self.http.post("/mcp/", json=listing if body is None else body, headers=told)
