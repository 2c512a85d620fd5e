"""What `record` writes, `replay` reads: the same frames, the same prices, also after a kill."""

from __future__ import annotations

import asyncio
import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from raeth.clock import ManualClock, RealClock
from raeth.reference import ReferenceSettings, SourceError, Tick, first_ts_ms, open_source, record
from raeth.reference.live import LiveSource
from raeth.reference.record import FrameFile

T = 1_775_572_200_000


def bitstamp(price: str, ts_ms: int) -> str:
    data = {"price_str": price, "microtimestamp": f"{ts_ms}000"}
    return json.dumps({"data": data, "channel": "live_trades_btcusd", "event": "trade"})


def kraken(price: str) -> str:
    # No time of the venue's: stamped at receipt. The number must survive to its last digit.
    return f'{{"channel":"ticker","data":[{{"symbol":"BTC/USD","bid":{price},"ask":{price}}}]}}'


async def test_a_recording_replays_as_it_was_lived(tmp_path: Path, start_venue: Any, session: Any, until: Any) -> None:
    path = tmp_path / "day.frames.gz"
    one = await start_venue([session(["garbage\n{", bitstamp("95000.00", T - 300)])], expect=2)
    two = await start_venue([session(['{"channel":"heartbeat"}'])], 2, "/v2")
    settings = ReferenceSettings(venues=["bitstamp", "kraken"], quorum=2, urls={"bitstamp": one.url, "kraken": two.url})
    clock = ManualClock(T - 250)
    live, lived = LiveSource(settings, clock), list[Tick]()
    live.on_tick(lived.append)
    recorder = asyncio.create_task(record(path, settings.venues, settings=settings, clock=clock))
    runner = asyncio.create_task(live.run())
    await until(lambda: len(one.open_sockets) == len(two.open_sockets) == 2)
    await until(lambda: live.current(clock.now_ms()).venues[0]["price_cents"])
    for n in range(5):
        clock.advance(100)
        for socket in two.open_sockets:
            await socket.send(kraken(f"95000.{n}7"))
        await until(lambda n=n: len(lived) > n)
    recorder.cancel()
    runner.cancel()
    await asyncio.gather(recorder, runner, return_exceptions=True)

    defaults = ReferenceSettings()
    source = open_source(f"replay:{path}", defaults, ManualClock(T))
    replayed: list[Tick] = []
    source.on_tick(replayed.append)
    source.current(T + 10_000)
    assert replayed == lived
    assert [tick.price_cents for tick in replayed] == [(9_500_000 + 9_500_007 + 10 * n) // 2 for n in range(5)]
    assert first_ts_ms(path) == T - 250
    assert source.print_at(T, T + 10_000) is None, "Bitstamp has not passed it"
    found = source.final_print_at(T, T + 10_000)
    assert (found.price_cents, found.source_ts) == (replayed[1].price_cents, T - 50)
    assert "at least 2 venues" in found.rule, "a recording of two venues cannot need three"
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()
    assert json.loads(lines[0].partition(" ")[2]) == {"raeth_recording": 1, "venues": ["bitstamp", "kraken"]}
    assert any(json.loads(line.partition(" ")[2]).get("frame") == "garbage\n{" for line in lines)


@pytest.mark.parametrize("name", ["killed.frames.gz", "killed.frames"])
def test_what_was_flushed_is_readable_after_a_kill(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    file = FrameFile(path, ["bitstamp"], T)
    for n in range(1_000):
        file.add("bitstamp", bitstamp(f"95{n:03d}.00", T + n), T + n + 1)
    file.flush()
    torn = tmp_path / f"torn-{name}"
    torn.write_bytes(path.read_bytes() + b"\x00" * 3 if name.endswith("gz") else path.read_bytes() + b"17755722 {")
    for copy in (path, torn):
        settings = ReferenceSettings(venues=["bitstamp"], quorum=1)
        reading = open_source(f"replay:{copy}", settings, ManualClock(T)).current(T + 5_000)
        assert reading.price_cents == 9_599_900
    file.close()


async def test_it_stops_by_itself_and_counts(tmp_path: Path, start_venue: Any, session: Any) -> None:
    venue = await start_venue([session([bitstamp("95000.00", T)] * 3)], expect=2)
    settings = ReferenceSettings(urls={"bitstamp": venue.url})
    counted = await record(tmp_path / "a.frames", ["bitstamp"], 0.3, settings=settings, clock=RealClock())
    assert counted == {"bitstamp": 3}
    assert len((tmp_path / "a.frames").read_text().splitlines()) == 4


async def test_it_never_overwrites_and_knows_its_venues(tmp_path: Path) -> None:
    (tmp_path / "a.frames").write_text("precious")
    with pytest.raises(SourceError, match="exists already"):
        await record(tmp_path / "a.frames", ["kraken"], 0.1)
    with pytest.raises(SourceError, match="mtgox"):
        await record(tmp_path / "b.frames", ["mtgox"], 0.1)
    with pytest.raises(SourceError, match="cannot be written"):
        await record(tmp_path / "no" / "b.frames", ["kraken"], 0.1)
    assert (tmp_path / "a.frames").read_text() == "precious"
