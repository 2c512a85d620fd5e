"""Frames of `raeth watch`: whatever there is to show, in a terminal of whatever size, every line fits and nothing that
must be seen is missing."""

from __future__ import annotations

import re
from io import StringIO
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from raeth.commands import panels
from raeth.commands.frame import LEAST_HEIGHT, LEAST_WIDTH, frame
from raeth.commands.money import clock, dollars
from raeth.commands.scene import Outcome, Own, Resting, Scene, Window

NOON = 1_767_268_800_000
NOW = NOON + 23_456
WINDOW = Window("BTC-1M-20260101T1201Z", NOON, NOON + 60_000, strike_cents=9_500_000)
HISTORY = tuple((NOW - 60_000 + 250 * n, 9_499_000 + 13 * n) for n in range(240))
SCENE = Scene(
    url="http://127.0.0.1:8000",
    now_ms=NOW,
    link="LIVE",
    window=WINDOW,
    next_window=Window("BTC-1M-20260101T1202Z", NOON + 60_000, NOON + 120_000),
    outcomes=tuple(
        Outcome(f"w{n}", NOON - 60_000 * n, end, 9_500_000, 9_501_234)
        for n, end in enumerate(("YES", "NO", "VOID", None))
    ),
    bids=((61, 20), (60, 45), (55, 1_200)),
    asks=((63, 12), (64, 80), (99, 3)),
    last_trade_price=62,
    tape=((NOW, "BUY", 63, 5), (NOW - 900, "SELL", 61, 100)),
    reference_cents=HISTORY[-1][1],
    reference_age_ms=120,
    reference_status="LIVE",
    history=HISTORY,
    fair_cents=64,
    own=Own("my-agent", 100_000, 93_000, 12, 480, -720, (Resting("BUY", 60, 25), Resting("SELL", 99, 3))),
)


def but(**changes: Any) -> Scene:
    return msgspec.structs.replace(SCENE, **changes)


def picture(scene: Scene, width: int = 80, height: int = 24) -> str:
    return "\n".join(row.plain for row in frame(scene, width, height))


# ---- whatever there is to show ----

prices = st.integers(1, 99)
quantities = st.integers(1, 10**9)
cents = st.integers(-(10**12), 10**12)
texts = st.text(max_size=200)
bitcoins = st.integers(1, 10**9)


@st.composite
def windows(draw: st.DrawFn) -> Window:
    open_at = draw(st.integers(NOON - 200_000, NOON + 200_000))
    length = draw(st.sampled_from((1_000, 4_000, 60_000, 86_400_000)))
    return Window(draw(texts), open_at, open_at + length, draw(st.none() | bitcoins), draw(st.booleans()))


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    levels = sorted(draw(st.dictionaries(prices, quantities, max_size=99)).items())
    split = draw(st.integers(0, len(levels)))
    times = sorted(draw(st.lists(st.integers(NOW - 400_000, NOW + 5_000), max_size=30)))
    orders = st.builds(Resting, st.sampled_from(("BUY", "SELL")), prices, quantities)
    own = st.builds(
        Own, texts, cents, cents, cents, cents, cents, st.lists(orders, max_size=30).map(tuple), st.booleans()
    )
    outcomes = st.builds(Outcome, texts, st.integers(0, NOW), st.sampled_from(("YES", "NO", "VOID", None)))
    return Scene(
        url=draw(texts),
        now_ms=NOW,
        link=draw(st.sampled_from(("CONNECTING", "LIVE", "CATCHING UP", "SILENT", "GONE"))),
        why=draw(texts),
        quiet_s=draw(st.integers(0, 10**6)),
        window=draw(st.none() | windows()),
        next_window=draw(st.none() | windows()),
        outcomes=tuple(draw(st.lists(outcomes, max_size=24))),
        bids=levels[:split][::-1],
        asks=levels[split:],
        last_trade_price=draw(st.none() | prices),
        tape=tuple((NOW, draw(st.sampled_from(("BUY", "SELL"))), draw(prices), draw(quantities)) for _ in times[:9]),
        reference_cents=draw(st.none() | bitcoins),
        reference_age_ms=draw(st.none() | st.integers(0, 10**9)),
        reference_status=draw(st.sampled_from(("LIVE", "STALE", "DOWN"))),
        synthetic=draw(st.booleans()),
        history=[(ts_ms, draw(bitcoins)) for ts_ms in times],
        fair_cents=draw(st.none() | st.integers(0, 100)),
        frozen=draw(st.booleans()),
        reason=draw(texts),
        broadcast=draw(texts),
        own=draw(st.none() | own),
    )


@settings(max_examples=250, deadline=None)
@given(scenes(), st.integers(20, 220), st.integers(6, 70))
def test_a_frame_fills_the_terminal_exactly(scene: Scene, width: int, height: int) -> None:
    rows = frame(scene, width, height)
    assert len(rows) == height
    assert [row.cell_len for row in rows] == [width] * height
    assert all(character.isprintable() for row in rows for character in row.plain)


@settings(max_examples=100, deadline=None)
@given(scenes(), st.integers(60, 200))
def test_warnings_are_always_there(scene: Scene, width: int) -> None:
    text = picture(scene, width, 30)
    top = "\n".join(text.splitlines()[:8])
    for true, word in (
        (scene.link == "GONE", "THE VENUE IS GONE"),
        (scene.link in ("SILENT", "CATCHING UP"), "NOT CURRENT"),
        (scene.link == "CONNECTING", "NOT CONNECTED"),
        (scene.frozen, "FROZEN: "),
        (scene.window is not None and scene.window.halted, "HALTED: "),
        (scene.synthetic, "SYNTHETIC PRICE"),
        (scene.reference_status != "LIVE" and scene.link != "CONNECTING", f"PRICE IS {scene.reference_status}"),
    ):
        if true:
            assert word in top
    assert ("● LIVE" in top.splitlines()[0]) == (scene.link == "LIVE")


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 60_000), bitcoins), max_size=50),
    bitcoins,
    st.integers(20, 100),
    st.integers(2, 30),
)
def test_the_chart_keeps_to_its_place(ticks: list[tuple[int, int]], strike: int, width: int, height: int) -> None:
    history = sorted((NOW - 60_000 + after, price) for after, price in ticks)
    rows = panels.chart(history, strike, NOW, width, height, WINDOW)
    if panels.sampled(history, NOW, (width - panels.LABEL) * 2).count(None) == (width - panels.LABEL) * 2:
        assert len(rows) == 1
        return
    assert len(rows) == height and {row.cell_len for row in rows} == {width}
    # every column from the first price on has a dot
    columns = width - panels.LABEL
    drawn = [any(0x2800 < ord(row.plain[column]) <= 0x28FF for row in rows) for column in range(columns)]
    assert drawn == sorted(drawn) and drawn[-1]
    assert any(panels.bitcoin(strike)[: panels.LABEL] in row.plain for row in rows)


# ---- some things that must look as they do ----


def test_the_ladder_has_the_best_prices_in_the_middle() -> None:
    rows = picture(SCENE).splitlines()
    book = [row[48:].strip("│ ") for row in rows]
    found = [int(price) for row in book for price in re.findall(r"(\d+)¢ +\d", row)]
    assert found[:6] == [99, 64, 63, 61, 60, 55]
    middle = next(number for number, row in enumerate(book) if "spread 2¢ · mid 62¢" in row)
    assert "63¢" in book[middle - 1] and "61¢" in book[middle + 1]
    assert re.search(r"25 +60¢ +45", picture(SCENE)), "the own quantity at its level"


@pytest.mark.parametrize(("bids", "asks"), [((), ()), (((1, 5),), ()), ((), ((99, 5),)), (((1, 5),), ((99, 7),))])
def test_an_empty_or_extreme_book(bids: tuple[Any, ...], asks: tuple[Any, ...]) -> None:
    text = picture(but(bids=bids, asks=asks))
    assert ("no bids" in text) == (not bids) and ("no asks" in text) == (not asks)
    assert ("spread 98¢ · mid 50¢" in text) == bool(bids and asks)


def test_no_window_yet() -> None:
    text = picture(
        but(window=None, outcomes=(), bids=(), asks=(), tape=(), history=(), own=None, last_trade_price=None)
    )
    assert "no open window" in text and "BTC-1M-20260101T1202Z opens in 37 s" in text
    assert "none yet" in text and "no trade yet" in text and "no prices in the last minute" in text


def test_words_say_what_colours_say() -> None:
    assert "▲ +21.07 above the strike" in picture(but(reference_cents=9_502_107))
    assert "▼ -21.07 below the strike" in picture(but(reference_cents=9_497_893))
    assert "at the strike" in picture(but(reference_cents=9_500_000))
    assert "no reference price" in picture(but(reference_cents=None, reference_status="DOWN"))
    assert "closes in  37 s" in picture(SCENE) and "closes in   0 s" in picture(but(now_ms=NOON + 60_000))


def test_old_data_is_dimmed_and_current_data_is_not() -> None:
    def dim(scene: Scene) -> list[bool]:
        return [
            any(span.style == "dim" and span.end - span.start >= 80 for span in row.spans)
            for row in frame(scene, 80, 24)
        ]

    assert not any(dim(SCENE))
    assert sum(dim(but(link="GONE"))) >= 18


def test_more_orders_than_there_is_room_for_are_counted() -> None:
    many = Own("my-agent", 1, 1, orders=tuple(Resting("BUY", price, 1) for price in range(1, 31)))
    assert re.search(r"and \d\d more orders", picture(but(own=many)))


def test_text_of_others_is_text() -> None:
    hostile = "[bold red]x[/] \x1b]0;title\x07\x1b[2J\r\n\u202egnp"
    rows = frame(
        but(frozen=True, reason=hostile, broadcast=hostile, window=Window(hostile, NOON, NOON + 60_000)), 120, 30
    )
    out = StringIO()
    Console(file=out, width=120, force_terminal=True, color_system="standard").print(Text("\n").join(rows))
    assert "[bold red]x[/]" in out.getvalue()
    written = re.sub(r"\x1b\[[\d;]*m", "", out.getvalue())
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", written)


@pytest.mark.parametrize("colours", [True, False])
def test_with_and_without_colours_the_words_are_the_same(colours: bool) -> None:
    out = StringIO()
    system = "standard" if colours else None
    console = Console(file=out, width=80, height=24, force_terminal=colours, color_system=system, no_color=not colours)  # type: ignore[arg-type]
    for row in frame(but(frozen=True), 80, 24):
        console.print(row, end="\n")
    assert re.sub(r"\x1b\[[\d;]*m", "", out.getvalue()).rstrip("\n") == picture(but(frozen=True))


def test_a_small_terminal_still_says_what_matters() -> None:
    text = picture(but(link="GONE", synthetic=True), LEAST_WIDTH - 1, LEAST_HEIGHT - 1)
    assert (
        "✖ GONE" in text and "SYNTHETIC" in text and "61¢ / 63¢" in text and "PREV" in text and "cash $1,000.00" in text
    )


# ---- numbers ----


@given(st.integers())
def test_dollars_lose_nothing(amount: int) -> None:
    shown = dollars(amount, signed=True)
    assert int(re.sub(r"[$,.+]", "", shown)) == amount
    assert (shown[0] == "+") == (amount > 0) and re.fullmatch(r"[+-]?\$\d{1,3}(,\d{3})*\.\d\d", shown)


@settings(deadline=None)
@given(st.integers(0, 10**13))
def test_the_time_of_day(ms: int) -> None:
    hour, minute, rest = clock(ms).split(":")
    second, part = rest.split(".")
    assert ((int(hour) * 60 + int(minute)) * 60 + int(second)) * 1000 + int(part) == ms % 86_400_000


@given(quantities, quantities, st.integers(1, 60))
def test_a_bar_is_never_longer_than_its_place_and_something_is_never_nothing(part: int, whole: int, width: int) -> None:
    drawn = panels.bar(part, whole, width)
    assert 1 <= len(drawn) <= width
    assert (drawn == "█" * width) == (min(part, whole) * width * 8 // whole == width * 8)
    assert len(panels.count(part)) <= 6
