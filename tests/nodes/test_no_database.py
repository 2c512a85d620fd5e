"""A database that goes away at whatever step of a node's start: the operator gets one line, and no traceback."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from asyncpg import CannotConnectNowError, InternalClientError

from raeth.assembly import CannotServe, assemble
from raeth.config import Settings
from raeth.nodes.locks import SessionLocks, said
from tests.postgres import Server

SESSIONS = 12
"""More than a node needs to start."""


def test_a_start_that_gets_no_session_says_so(postgres_server: Server, postgres_url: str, tmp_path: Path) -> None:
    """With one session more every time, each step at which a start asks for one is refused once."""
    role, database = "few", postgres_url.rpartition("/")[2]
    postgres_server.execute(f"CREATE ROLE {role} LOGIN")
    try:
        postgres_server.execute(f"ALTER DATABASE {database} OWNER TO {role}")
        settings = Settings(data_dir=tmp_path, database_url=postgres_url.replace("//raeth@", f"//{role}@"))
        refusals = []
        for sessions in range(SESSIONS):
            postgres_server.execute(f"ALTER ROLE {role} CONNECTION LIMIT {sessions}")
            try:
                asyncio.run(started(settings))
            except CannotServe as refusal:
                refusals.append(str(refusal))
        assert 2 < len(refusals) < SESSIONS, refusals
        assert all(len(line.splitlines()) == 1 for line in refusals), refusals
    finally:
        postgres_server.execute(f"REASSIGN OWNED BY {role} TO CURRENT_USER", url=postgres_url)
        postgres_server.execute(f"ALTER DATABASE {database} OWNER TO CURRENT_USER")
        postgres_server.execute(f"DROP OWNED BY {role}", url=postgres_url)
        postgres_server.execute(f"DROP ROLE {role}")


def test_what_a_database_adds_is_left_out() -> None:
    trouble = CannotConnectNowError("not yet")
    trouble.detail = "It was shut down a moment ago."
    assert "\n" in str(trouble)
    assert said(trouble) == "not yet"
    assert said(TimeoutError()) == "TimeoutError"


async def test_a_session_that_is_cut_off_in_any_state_is_asked_for_again(postgres_url: str) -> None:
    """Whatever the driver calls it, the node that waits for a lock lives on."""
    first = SessionLocks(postgres_url)
    held = await first.acquire("work")
    waiting = asyncio.create_task(CutOff(postgres_url).acquire("work"))
    await asyncio.sleep(0)
    await held.release()
    lease = await asyncio.wait_for(waiting, 30)
    await lease.release()


class CutOff(SessionLocks):
    """Its first session is lost while it is being asked, and the driver's protocol does not know what to make of it."""

    cut = False

    async def _connect(self, name: str) -> Any:
        connection = await super()._connect(name)
        if not self.cut:
            self.cut = True
            connection.terminate()
            raise InternalClientError("cannot switch to state 11; another operation (2) is in progress")
        return connection


async def started(settings: Settings) -> None:
    try:
        node = await assemble(settings)
    except CannotServe:
        assert asyncio.all_tasks() == {asyncio.current_task()}, "what was opened is closed"
        raise
    await node.sequencer.stop()
    await node.store.close()
