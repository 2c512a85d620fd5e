"""Replay: the recording decides, whatever the speed, the kind of file and the place one starts from."""

from __future__ import annotations

import asyncio
import gzip
import time
from pathlib import Path

import pytest

from raeth.clock import ManualClock, ReplayClock
from raeth.reference import Print, ReferenceSettings, SourceError, Tick, first_ts_ms, open_source
from raeth.reference.replay import ReplaySource

SETTINGS = ReferenceSettings()
MINUTE = 60_000
CSV = "binance-spot-btcusdt-2024-08-08.trades.csv.gz"
FRAMES = "binance-spot-btcusdt-2024-08-08.frames.gz"
START = 1_700_000_000_000


def write_csv(path: Path, rows: list[tuple[int, int]]) -> Path:
    path.write_text("ts_ms,price_cents\n" + "".join(f"{ts},{price}\n" for ts, price in rows))
    return path


def recorded(folder: Path, name: str) -> Path:
    if not (folder / name).exists():
        pytest.skip(f"no {name}")
    return folder / name


def prints_by_hand(path: Path) -> dict[int, tuple[int, int]]:
    """Per whole minute `(price_cents, source_ts)` straight from the CSV: the last row at or before it."""
    rows = [
        tuple(map(int, line.split(",")[:2])) for line in gzip.decompress(path.read_bytes()).decode().splitlines()[1:]
    ]
    first, last = rows[0][0], rows[-1][0]
    found = {}
    for boundary in range(first - first % MINUTE + MINUTE, last, MINUTE):
        source_ts, price_cents = [row for row in rows if row[0] <= boundary][-1]
        if boundary - source_ts <= 5_000:
            found[boundary] = (price_cents, source_ts)
    return found


def usable(found: Print | None) -> tuple[int | None, int | None]:
    assert found is not None
    return found.price_cents, found.source_ts


@pytest.mark.parametrize("name", [CSV, FRAMES])
async def test_recorded_minutes_print_as_the_csv_says(recorded_data: Path, name: str) -> None:
    expected = prints_by_hand(recorded(recorded_data, CSV))
    assert len(expected) == 11
    path = recorded(recorded_data, name)
    clock = ManualClock(first_ts_ms(path))
    source = open_source(f"replay:{path}", SETTINGS, clock)
    for boundary, price in expected.items():
        clock.set(boundary)
        assert source.print_at(boundary, boundary) is None, "a tick of the same millisecond may follow"
        clock.set(boundary + 5_000)
        assert usable(source.print_at(boundary, clock.now_ms())) == price


async def test_the_speed_changes_no_print_and_loses_no_tick(recorded_data: Path) -> None:
    path = recorded(recorded_data, FRAMES)
    expected = prints_by_hand(recorded(recorded_data, CSV))
    clock = ReplayClock(first_ts_ms(path), speed=400)
    source = ReplaySource(path, SETTINGS, clock)
    count = 0

    def on_tick(tick: Tick) -> None:
        nonlocal count
        count += 1
        assert tick.source_ts <= clock.now_ms()

    source.on_tick(on_tick)
    task = asyncio.create_task(source.run())
    found = {}
    for boundary in expected:
        await clock.sleep_until(boundary + 2_500)
        found[boundary] = usable(source.final_print_at(boundary, clock.now_ms()))
    assert found == expected
    await clock.sleep_until(max(expected) + 20_000)
    assert source.current(clock.now_ms()).status == "DOWN"
    assert count == 19_904
    task.cancel()


async def test_it_keeps_up_with_a_hundred_times_real_time(recorded_data: Path) -> None:
    """Measured as work: ten recorded minutes must cost well under six seconds of this machine."""
    path = recorded(recorded_data, FRAMES)
    source = ReplaySource(path, SETTINGS, ManualClock(0))
    begun = time.process_time()
    source.current(2**60)
    assert time.process_time() - begun < 3


def test_it_can_begin_in_the_middle(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", [(START + n * 1_000, 100 + n) for n in range(10)])
    source = open_source(f"replay:{path}", SETTINGS, ManualClock(START), start_ms=START + 4_500)
    heard: list[Tick] = []
    source.on_tick(heard.append)
    reading = source.current(START + 4_500)
    assert (reading.price_cents, reading.age_ms, reading.status) == (104, 500, "LIVE")
    assert usable(source.print_at(START + 3_000, START + 4_500)) == (103, START + 3_000)
    source.current(START + 6_000)
    assert [tick.price_cents for tick in heard] == [105, 106], "what lay before is known, not news"


async def test_after_the_end_it_is_stale_then_down_and_runs_on(tmp_path: Path) -> None:
    clock = ManualClock(START)
    source = open_source(f"replay:{write_csv(tmp_path / 'a.csv', [(START, 100)])}", SETTINGS, clock)
    assert (source.name, source.synthetic) == ("replay:a.csv", False)
    task = asyncio.create_task(source.run())
    await asyncio.sleep(0)
    statuses = [source.current(START + age_ms).status for age_ms in (3_000, 3_001, 10_001)]
    assert statuses == ["LIVE", "STALE", "DOWN"]
    assert source.print_at(START + 2_000, START + 60_000) is None
    assert usable(source.final_print_at(START + 2_000, START + 7_000)) == (100, START)
    assert source.final_print_at(START + 6_000, START + 11_000).reason == "too_old"
    await asyncio.sleep(0)
    assert not task.done()
    task.cancel()


async def test_ticks_arrive_when_the_clock_reaches_them(tmp_path: Path) -> None:
    clock = ManualClock(START)
    source = open_source(
        f"replay:{write_csv(tmp_path / 'a.csv', [(START + n, n + 1) for n in range(5)])}", SETTINGS, clock
    )
    heard: list[int] = []
    source.on_tick(lambda tick: heard.append(tick.price_cents))
    task = asyncio.create_task(source.run())
    for now_ms, expected in ((0, [1]), (2, [1, 2, 3]), (9, [1, 2, 3, 4, 5])):
        clock.set(START + now_ms)
        for _ in range(5):
            await asyncio.sleep(0)
        assert heard == expected
    task.cancel()


def test_a_callback_may_ask_questions(tmp_path: Path) -> None:
    source = open_source(
        f"replay:{write_csv(tmp_path / 'a.csv', [(START + n, n + 1) for n in range(5)])}", SETTINGS, ManualClock(START)
    )
    heard: list[int | None] = []
    source.on_tick(lambda tick: heard.append(source.current(START + 9).price_cents))
    source.current(START + 9)
    assert heard == [1, 2, 3, 4, 5]


def trade(ts_ms: int, price: str) -> str:
    return f'{{"stream":"btcusdt@trade","data":{{"e":"trade","s":"BTCUSDT","p":"{price}","T":{ts_ms},"E":{ts_ms}}}}}'


def quote(bid: str, ask: str) -> str:
    return f'{{"stream":"btcusdt@bookTicker","data":{{"u":1,"s":"BTCUSDT","b":"{bid}","B":"1","a":"{ask}","A":"1"}}}}'


def test_frames_are_due_when_both_clocks_have_come(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    behind, ahead = START - 1_270, START + 3_000
    path.write_text(f"{behind}000000 {trade(START, '1.00')}\n{ahead}000000 {trade(START + 2_900, '2.00')}\n")
    assert first_ts_ms(path) == START
    source = ReplaySource(path, SETTINGS, ManualClock(START))
    assert source.current(START - 1).price_cents is None
    assert source.current(START).price_cents == 100
    assert source.current(START + 2_999).price_cents == 100
    assert source.current(START + 3_000).price_cents == 200


def test_quotes_count_only_where_there_are_no_trades(tmp_path: Path) -> None:
    path = tmp_path / "frames"
    path.write_text(f"{START}000000 {quote('1.00', '2.00')}\n{START + 5}000000 {trade(START + 5, '9.00')}\n")
    assert first_ts_ms(path) == START + 5
    path.write_text(f"{START}000000 {quote('1.00', '2.00')}\n")
    assert ReplaySource(path, SETTINGS, ManualClock(START)).current(START).price_cents == 150


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "is empty"),
        (b"hello\n", "line 1: neither the CSV header"),
        (b"\x00\x01\x02\n", "line 1: neither the CSV header"),
        (b"price,ts\n1,2\n", "line 1: neither the CSV header"),
        (b"ts_ms,price_cents\n", "holds no price"),
        (b"ts_ms,price_cents\n1700000000000,100\n1700000000001,1.5\n", "line 3: expected `ts_ms,price_cents"),
        (b"ts_ms,price_cents\n1700000000000\n", "line 2: expected `ts_ms,price_cents"),
        (b"ts_ms,price_cents\n1700000000000,0\n", "line 2: time or price out of range"),
        (b"ts_ms,price_cents\n1e12,100\n", "line 2: expected"),
        (b'1700000000000000000 {"stream":"x"}\nnonsense\n', "line 2: expected `recv_ns JSON`"),
        (b'1700000000000000000 {"stream":"x"}\n1700000000000000000 {"a":\n', "line 2: expected `recv_ns JSON`"),
        (b'1700000000000000000 {"stream":"btcusdt@depth"}\n', "holds no price"),
        (b'1700000000000000000 {"venue":"mtgox","frame":{}}\n', "line 1: names no venue known here"),
        (b'1700000000000000000 {"raeth_recording":1,"venues":"x"}\n', "line 1: names no venue known here"),
        (b"\x1f\x8b and then no gzip", "cannot be read"),
    ],
)
def test_a_malformed_file_is_refused_by_name_and_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "bad.file"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=r"bad\.file") as caught:
        open_source(f"replay:{path}", SETTINGS, ManualClock(START))
    assert complaint in str(caught.value)


def test_a_missing_file_and_an_unknown_spec_are_refused() -> None:
    for spec, complaint in (
        ("replay:/nowhere/at.all", "cannot be read"),
        ("replay:/", "cannot be read"),
        ("replay:", "unknown reference"),
        ("imaginary", "unknown reference"),
        ("live:x", "unknown reference"),
    ):
        with pytest.raises(SourceError, match=complaint):
            open_source(spec, SETTINGS, ManualClock(START))


def test_damage_further_on_is_skipped_and_a_cut_end_is_an_end(tmp_path: Path) -> None:
    rows = [f"{START + n},{n + 1}\n" for n in range(12_000)]
    rows[11_000] = "garbage\n"
    text = "ts_ms,price_cents\n" + "".join(rows)
    plain, cut = tmp_path / "a.csv", tmp_path / "b.csv.gz"
    plain.write_text(text)
    source = ReplaySource(plain, SETTINGS, ManualClock(START))
    heard: list[int] = []
    source.on_tick(lambda tick: heard.append(tick.price_cents))
    assert source.current(START + 20_000).price_cents == 12_000
    assert len(heard) == 11_999
    zipped = gzip.compress(text.encode())
    cut.write_bytes(zipped[: len(zipped) * 99 // 100])
    price_cents = ReplaySource(cut, SETTINGS, ManualClock(START)).current(START + 20_000).price_cents
    assert price_cents is not None
    assert 10_000 < price_cents < 12_000
