"""The adapters over recorded sessions of the real venues, where those are at hand."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from raeth.reference import Rate, Tick
from raeth.reference.venues import Adapter, Bitstamp, Coinbase, Gemini, Kraken

LINE = re.compile(r"^(\d+\.?\d*): (.*)$")


def frames(path: Path) -> Iterator[tuple[int, str]]:
    """`(recv_ts, frame)` of a capture's received lines."""
    if not path.exists():
        pytest.skip(f"no {path.name}")
    with gzip.open(path, "rt") as file:
        for line in file:
            if found := LINE.match(line):
                seconds, _, fraction = found[1].partition(".")
                yield int(seconds) * 1000 + int((fraction + "000")[:3]), found[2]


@pytest.mark.parametrize(
    ("name", "adapter", "pattern"),
    [
        ("coinbase", Coinbase(product="SKL-USD"), '"product_id":"SKL-USD"'),
        ("bitstamp", Bitstamp(pair="ethusd"), '"channel":"live_trades_ethusd","event":"trade"'),
        ("gemini", Gemini(symbol="ALCXUSD"), '"type":"trade","symbol":"ALCXUSD"'),
    ],
)
def test_every_trade_of_a_capture_is_a_tick(recorded_data: Path, name: str, adapter: Adapter, pattern: str) -> None:
    ticks: list[Tick | Rate] = []
    expected: list[int] = []
    for recv_ts, frame in frames(recorded_data / "venues" / f"{name}.capture.gz"):
        ticks += adapter.parse(frame, recv_ts)
        if pattern in frame and not re.match(r'{"type":"(snapshot|l2update)"', frame):
            price = re.compile(r'"price(?:_str)?":"([\d.]+)"')
            expected += [round(float(text) * 100) for text in price.findall(frame)]
    prices = [tick.price_cents for tick in ticks if isinstance(tick, Tick)]
    assert sorted(prices) == sorted(expected)
    assert len(prices) >= 10
    assert all(-2_000 <= tick.recv_ts - tick.source_ts < 86_400_000 for tick in ticks), "clocks differ, but not by days"


def test_a_capture_of_books_has_no_prices_and_no_errors(recorded_data: Path) -> None:
    adapter = Kraken("wss://ws.kraken.com")
    count = 0
    for recv_ts, frame in frames(recorded_data / "venues" / "kraken.capture.gz"):
        assert adapter.parse(frame, recv_ts) == []
        count += 1
    assert count > 4_000


def test_single_messages_of_the_newer_coinbase_socket(recorded_data: Path) -> None:
    found = {}
    for name in ("market-trades", "ticker"):
        path = recorded_data / "venues" / f"coinbase-advanced-{name}.json"
        if not path.exists():
            pytest.skip(f"no {path.name}")
        found[name] = Coinbase().parse(json.dumps(json.loads(path.read_text())), 0)
    assert [item.source_ts for item in found["market-trades"]] == [1_775_572_202_789, 1_775_572_202_800]
    assert [item.price_cents for item in found["market-trades"] if isinstance(item, Tick)] == [6_890_050, 6_890_000]
    assert found["ticker"] == [Tick("coinbase", 6_890_050, 1_775_572_203_000, 0)]
