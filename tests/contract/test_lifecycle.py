"""Section 7: windows from a recording whose outcomes are known, and what VOID means."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.contract.desk import ADMIN, BOUNDARY_MS, Desk
from tests.contract.test_trading import books_agree
from tests.e2e.venue import hosting, ms, until, write_recording

SPEED = 10
MINUTE = 60_000
START = BOUNDARY_MS - 30_000


def prices() -> list[tuple[int, int]]:
    """Minute 0 up, 1 down, 2 a tie, 3 closes without a usable print, so 3 and 4 are VOID, 5 up again."""
    ticks: list[tuple[int, int]] = []
    at_boundary = {0: 9_000_000, 1: 9_000_100, 2: 9_000_050, 3: 9_000_050, 4: None, 5: 9_000_000, 6: 9_000_001}
    for after in range(-30_000, 7 * MINUTE, 1_000):
        if 3 * MINUTE + 50_000 < after < 4 * MINUTE + 10_000:
            continue
        minute, into = divmod(after, MINUTE)
        price = at_boundary.get(minute) if into == 0 else 9_000_000 + 7 * (into // 1_000)
        ticks.append((after + 30_000, price or 9_000_000))
        if into == 0:
            ticks.append((after + 30_001, 8_000_000))  # a millisecond late: no part of the print
    return ticks


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    settings = {"RAETH_ADMIN_TOKEN": ADMIN, "RAETH_RISK__REFERENCE_MAX_AGE_MS": "3000"}
    with hosting(tmp_path_factory.mktemp("lifecycle")) as host:
        recording = write_recording(host.folder / "known.csv", START, prices())
        flags = ("--no-house", "--reference", f"replay:{recording}", "--speed", str(SPEED))
        desk = Desk(host, host.serve(*flags, **settings))
        yield desk
        desk.venue.stop()
        audit = host.run("audit", "--data-dir", str(host.data_dir))
        assert audit.returncode == 0, audit.stdout + audit.stderr


def at_minute(desk: Desk, minute: int) -> dict[str, Any]:
    """That window, once it is open."""

    def found() -> dict[str, Any] | None:
        market = desk.anyone.get("/markets", status="OPEN")["items"]
        return market[0] if market and ms(market[0]["open_at"]) == BOUNDARY_MS + minute * MINUTE else None

    market = until(f"window {minute}", found, 60)
    desk.market = market["id"]
    return market


def final(desk: Desk, market: dict[str, Any]) -> dict[str, Any]:
    def found() -> dict[str, Any] | None:
        now = desk.anyone.get(f"/markets/{market['id']}")
        return now if now["status"] in ("RESOLVED", "VOID") else None

    return until("the end of a window", found, 30)


def test_windows_of_a_known_recording(run: Desk) -> None:
    """In one go, since the recording does not wait: the phases are told apart by the windows they live in."""
    desk = run
    before = desk.anyone.get("/markets")["items"]
    assert before and before[0]["status"] in ("PENDING", "OPEN"), "the next window is always pre-listed"
    up = at_minute(desk, 0)
    assert ms(up["close_at"]) - ms(up["open_at"]) == MINUTE

    def open_price() -> int | None:
        return desk.anyone.get(f"/markets/{up['id']}")["reference"]["open_price_cents"]

    assert until("the open print, which may follow the opening", open_price, 5) == 9_000_000
    statuses = [m["status"] for m in desk.anyone.get("/markets")["items"]]
    assert statuses[:2] == ["OPEN", "PENDING"], "OPEN first, and the next one listed"

    # window 0 resolves YES: who is long gets 100 a contract
    long, short = desk.signup(), desk.signup()
    short.rests("SELL", 40, 10)
    assert long.buy(40, 10)["status"] == "FILLED"
    stays = long.rests("BUY", 5, 3)
    books_agree(long)
    fee, rebate = long.get("/fills")["items"][0]["fee_cents"], short.get("/fills")["items"][0]["fee_cents"]
    cash = long.account()["cash_cents"]
    down = at_minute(desk, 1)
    closed = long.now(stays)
    assert (closed["status"], closed["cancel_reason"]) == ("CANCELLED", "MARKET_CLOSED")
    assert ms(closed["updated_at"]) == ms(up["close_at"]), "to the millisecond"
    late = long.post("/orders", long.body("BUY", 40, 1) | {"market_id": up["id"]})
    assert late["reject_reason"] == "MARKET_CLOSED"
    long.post("/orders/preview", long.body("BUY", 40, 1) | {"market_id": up["id"]}, "MARKET_CLOSED")
    up = final(desk, up)
    assert (up["status"], up["resolution"]) == ("RESOLVED", "YES")
    assert (up["reference"]["open_price_cents"], up["reference"]["close_price_cents"]) == (9_000_000, 9_000_100)
    until("settled cash", lambda: long.account()["cash_cents"] == cash + 600 - fee, 5)
    assert short.account()["cash_cents"] == cash - 600 - rebate
    for agent in (long, short):
        assert sum(e["amount_cents"] for e in agent.pages("/ledger")) == agent.account()["cash_cents"]
        assert agent.account()["locked_cents"] == 0
    desk.admin.post(f"/admin/markets/{up['id']}/void", {"reason": "regret"}, "MARKET_FINAL")
    desk.admin.post(f"/admin/markets/{up['id']}/halt", {"reason": "late"}, "MARKET_CLOSED")
    evidence = desk.anyone.get(f"/markets/{up['symbol']}/settlement")
    opened, ended = evidence["open_print"], evidence["close_print"]
    assert (opened["boundary"], ended["boundary"]) == (up["open_at"], up["close_at"])
    assert ended["source_ts"] == up["close_at"] and ended["age_ms"] == 0 and ended["seq"] > opened["seq"]

    # window 1 resolves NO
    short.rests("BUY", 50, 4)
    assert long.sell(50, 4)["status"] == "FILLED"
    tie = at_minute(desk, 2)
    down = final(desk, down)
    assert (down["status"], down["resolution"]) == ("RESOLVED", "NO")
    assert desk.anyone.get(f"/markets/{down['id']}/settlement")["open_print"] == ended, "one print, two windows"

    # window 2 ties and is VOID: every cash flow is reversed
    before_void = {agent.id: agent.account()["cash_cents"] for agent in (long, short)}
    short.rests("SELL", 30, 20)
    assert long.buy(30, 20)["status"] == "FILLED"
    no_print = at_minute(desk, 3)
    tie = final(desk, tie)
    assert (tie["status"], tie["resolution"]) == ("VOID", "VOID")
    for agent in (long, short):
        assert agent.account()["cash_cents"] == before_void[agent.id], "fees and rebates included"
        assert agent.account()["locked_cents"] == 0
    desk.admin.post(f"/admin/markets/{tie['id']}/halt", {"reason": "late"}, "MARKET_CLOSED")

    # window 3 has no usable close print; the feed is silent, MARKET orders are declined, LIMIT ones are not
    short.rests("SELL", 45, 20)
    assert long.buy(45, 5)["status"] == "FILLED"
    until("a silent feed", lambda: desk.anyone.get("/reference/btc")["status"] != "LIVE", 20)
    refused = long.declined("NO_REFERENCE_PRICE", "BUY", None, 1)
    assert refused["retryable"] is True
    long.declined("FAT_FINGER", "BUY", None, 5_000)
    context = desk.anyone.raw("GET", f"/markets/{no_print['id']}/agent-context")
    assert context.status_code == 200, "it degrades to nulls"

    def series_context_refuses() -> bool:
        answer = desk.anyone.raw("GET", "/series/BTC-1M/context")
        return answer.status_code == 502 and answer.json()["code"] == "REFERENCE_UNAVAILABLE"

    until("the feed to be down", series_context_refuses, 10)
    no_print = final(desk, no_print)
    assert no_print["resolution"] == "VOID"
    assert long.account()["cash_cents"] == before_void[long.id]
    halted = desk.anyone.get("/markets", status="OPEN")["items"]
    if halted and ms(halted[0]["open_at"]) == BOUNDARY_MS + 4 * MINUTE:
        assert halted[0]["halted"] is True, "an unusable open print halts the window"

    # window 4 ends VOID with it; window 5 is as good as any, and an operator voids it while it is open
    after = at_minute(desk, 5)
    fourth = [m for m in desk.anyone.pages("/markets") if ms(m["open_at"]) == BOUNDARY_MS + 4 * MINUTE]
    assert final(desk, fourth[0])["resolution"] == "VOID"
    assert after["halted"] is False
    short.rests("SELL", 60, 5)
    assert long.buy(60, 5)["status"] == "FILLED"
    rest = long.rests("BUY", 20, 5)
    voided = desk.admin.post(f"/admin/markets/{after['id']}/void", {"reason": "drill"})
    assert voided["status"] == "VOID" and long.now(rest)["status"] == "CANCELLED"
    assert long.account()["cash_cents"] == before_void[long.id] and long.account()["locked_cents"] == 0
    states = desk.anyone.pages("/markets", limit=3)
    assert len({m["id"] for m in states}) == len(states) >= 7
    assert desk.admin.get("/admin/state")["money"]["conserved"] is True
