"""A network between a journal and its database that can lose what is sent at the worst moment."""

from __future__ import annotations

import asyncio
from contextlib import suppress

COMMIT = b"; COMMIT\0"
"""How the message ends that brings the rows and commits them."""


class Proxy:
    """Listens on `url` and passes everything on to the server, until told to do something about the next COMMIT:

    `lose_answer`   it reaches the server, and the connection breaks before anything comes back
    `lose_request`  the connection breaks before it reaches the server
    `say_nothing`   it does not reach the server, and both connections stay as they are
    `hold_request`  the client's side breaks; the server's side stays open and gets it when `release` is called
    """

    def __init__(self, url: str) -> None:
        before, _, self._database = url.rpartition("/")
        self._user, _, address = before.removeprefix("postgresql://").rpartition("@")
        host, _, port = address.partition(":")
        self._server_address = host, int(port)
        self._listening: asyncio.Server | None = None
        self._passing: set[asyncio.Task[None]] = set()
        self._held: list[tuple[asyncio.StreamWriter, bytes]] = []
        self._writers: list[asyncio.StreamWriter] = []
        self._next = ""
        self.refusing = False
        """Break every new connection at once."""
        self.committed = asyncio.Event()
        """The COMMIT that something was to be done about has been sent."""

    @property
    def url(self) -> str:
        assert self._listening is not None
        port = self._listening.sockets[0].getsockname()[1]
        return f"postgresql://{self._user}@127.0.0.1:{port}/{self._database}?sslmode=disable"

    async def start(self) -> None:
        self._listening = await asyncio.start_server(self._connected, "127.0.0.1", 0)

    async def stop(self) -> None:
        assert self._listening is not None
        self._listening.close()
        for writer in self._writers:
            writer.transport.abort()
        await asyncio.gather(*self._passing, return_exceptions=True)

    def at_the_next_commit(self, deed: str, *, then_refuse: bool = False) -> None:
        self._next, self._then_refuse = deed, then_refuse

    async def release(self) -> None:
        """Let what was held back reach the server now."""
        for writer, data in self._held:
            with suppress(OSError):
                writer.write(data)
                await writer.drain()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._passing.add(task)
        self._writers.append(writer)
        try:
            if self.refusing:
                return
            from_server, to_server = await asyncio.open_connection(*self._server_address)
            self._writers.append(to_server)
            answers = asyncio.create_task(self._answer(from_server, writer))
            try:
                keep_open = await self._ask(reader, to_server, answers)
            finally:
                answers.cancel()
            if not keep_open:
                to_server.transport.abort()
        except OSError:
            pass
        finally:
            writer.transport.abort()
            self._passing.discard(task)

    async def _ask(
        self, reader: asyncio.StreamReader, to_server: asyncio.StreamWriter, answers: asyncio.Task[None]
    ) -> bool:
        """Pass on what the client sends; True if the server's side is to stay open."""
        while data := await reader.read(1 << 16):
            if self._next and data.endswith(COMMIT):
                deed, self._next = self._next, ""
                self.refusing = self._then_refuse
                self.committed.set()
                if deed == "lose_answer":
                    answers.cancel()
                    to_server.write(data)
                    to_server.write_eof()  # the server reads the COMMIT, and then that nobody is there any more
                    return True
                if deed == "say_nothing":
                    continue
                if deed == "hold_request":
                    self._held.append((to_server, data))
                    return True
                return False
            to_server.write(data)
            await to_server.drain()
        return False

    async def _answer(self, from_server: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await from_server.read(1 << 16):
                writer.write(data)
                await writer.drain()
        writer.transport.abort()
