"""Journal and tables in one file: one transaction for both, and reads that see it once it is durable."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from raeth.engine.codec import decode_command, decode_events, encode_command, encode_events
from raeth.journal.chain import head_of, next_row
from raeth.journal.sqlite import SqliteJournal
from raeth.store import private
from raeth.store.migrate import upgrade
from raeth.store.projector import Projector
from raeth.store.queries import Store
from raeth.store.reader import sqlite_url
from raeth.store.rebuild import diff, rebuild
from tests.store.venue import history


async def test_tables_are_as_durable_as_the_journal(tmp_path: Path) -> None:
    path = tmp_path / "raeth.db"
    journal = SqliteJournal(str(path))
    head = await journal.open()
    upgrade(sqlite_url(path))
    store = Store(sqlite_url(path))
    projector = Projector()
    commands, _ = history()
    for start in range(0, len(commands), 100):
        await journal.begin(head.seq)
        rows = []
        for seq, ts, command, events in commands[start : start + 100]:
            rows.append(next_row(head, ts, encode_command(command), encode_events(events)))
            head = head_of(rows[-1])
            projector.add(seq, ts, command, events)
        await journal.commit(rows, (), projector.take(), rows[-1].seq)
    await journal.execute([private.insert_secret("pepper", b"1"), *private.sweep(1_000)])
    assert await store.secret("pepper") == b"1"
    assert (await store.list_admin_actions(limit=1)).items[0].seq == len(commands)

    stored = await journal.read(0)
    scratch = rebuild((row.seq, row.ts, decode_command(row.command), decode_events(row.events)) for row in stored)
    real = sqlite3.connect(path)
    assert diff(scratch.execute, real.execute) is None
    real.close()
    scratch.close()
    await store.close()
    await journal.close()
