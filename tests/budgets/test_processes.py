"""Budgets of real worker processes behind one port: the limit is the limit, whichever of them a request reaches."""

from __future__ import annotations

from pathlib import Path

import httpx2
import pytest

from tests.budgets.redis import RedisServer
from tests.e2e.venue import Agent, VenueProcess, hosting

LIMIT = 40
TRIES = 100


def cancels(venue: VenueProcess, agent: Agent, count: int) -> list[httpx2.Response]:
    """Each over a connection of its own."""
    headers = {"Authorization": f"Bearer {agent.key}"}
    return [
        httpx2.post(f"{venue.url}/api/v1/orders/cancel", headers=headers, json={}, timeout=20) for _ in range(count)
    ]


@pytest.mark.long
async def test_workers_count_together(tmp_path: Path, redis: RedisServer) -> None:
    settings = {"RAETH_BUDGETS_URL": redis.url, "RAETH_LIMITS__CANCELS_PER_MINUTE": str(LIMIT)}
    with hosting(tmp_path) as host:
        venue = host.serve("--workers", "2", **settings)
        for number in range(20):  # one whose minute does not end meanwhile
            agent = venue.signup(f"agent-{number}")
            answers = cancels(venue, agent, TRIES)
            if len({answer.headers["x-ratelimit-reset"] for answer in answers}) == 1:
                break
        assert [answer.status_code for answer in answers] == [200] * LIMIT + [429] * (TRIES - LIMIT)
        left = [int(answer.headers["x-ratelimit-remaining"]) for answer in answers[:LIMIT]]
        assert left == list(range(LIMIT - 1, -1, -1)), "true at every process"
        redis.stop()
        again = cancels(venue, venue.signup("later"), 2 * LIMIT + 1)
        through = sum(answer.status_code == 200 for answer in again)
        assert LIMIT <= through <= 2 * LIMIT and all(answer.status_code in (200, 429) for answer in again)
        assert "redis does not answer" in venue.stderr
        redis.start()
        venue.stop()


def test_an_address_that_is_none_is_told_in_one_line(tmp_path: Path) -> None:
    with hosting(tmp_path) as host:
        assert "budgets_url: " in host.refused(2, RAETH_BUDGETS_URL="redis://127.0.0.1:port/0")


@pytest.mark.long
async def test_a_venue_starts_without_its_redis(tmp_path: Path) -> None:
    with hosting(tmp_path) as host:
        venue = host.serve(RAETH_BUDGETS_URL="redis://127.0.0.1:1/0")
        assert cancels(venue, venue.signup("alone"), 1)[0].status_code == 200
        venue.stop()
