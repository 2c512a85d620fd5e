"""A disk that takes no more, and then does again: what the venue says of itself meanwhile, and what it did not lose."""

from __future__ import annotations

import resource
import sys

import httpx2
import pytest

from tests.e2e.conftest import TOKEN
from tests.e2e.small_disk import NEARLY_BYTES
from tests.e2e.venue import LEFT_S, Host, until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only there a process's limits can be set from outside")


def test_a_disk_without_room(opened: Host, recording: str) -> None:
    """Orders answer 503 and did not happen, reads go on, and it mends itself once there is room."""
    venue = opened.serve("--reference", recording, RAETH_ADMIN_TOKEN=TOKEN, RAETH_LOG_LEVEL="error")
    agent = venue.signup("patient")
    body = {"market_id": venue.open_market(LEFT_S)["id"], "side": "BUY", "type": "LIMIT", "price": 40, "qty": 1}
    first = agent.ask("POST", "/orders", json=body | {"client_order_id": "before"})

    log = opened.database.with_name(f"{opened.database.name}-wal")
    limits = resource.prlimit(venue.process.pid, resource.RLIMIT_FSIZE)
    # As a disk fills up: first there is little room, which the venue notices, then none.
    resource.prlimit(venue.process.pid, resource.RLIMIT_FSIZE, (log.stat().st_size + NEARLY_BYTES, limits[1]))
    noticed = venue.get("/health")["seq"] + 2
    until("two transactions", lambda: venue.get("/health")["seq"] >= noticed)
    resource.prlimit(venue.process.pid, resource.RLIMIT_FSIZE, (log.stat().st_size, limits[1]))

    def full() -> httpx2.Response | None:
        answer = venue.http.post("/api/v1/orders", json=body | {"client_order_id": "during"}, headers=key)
        assert answer.status_code in (200, 503), answer.text
        return answer if answer.status_code == 503 else None

    key = {"Authorization": f"Bearer {agent.key}"}
    assert until("a refusal", full).json()["code"] == "SERVICE_DEGRADED"
    health = until("the truth", lambda: (found := venue.get("/health"))["status"] == "degraded" and found)
    assert health["persistence"]["mode"] == "retrying"
    assert health["persistence"]["last_error"]
    assert venue.get("/ready", 503)["code"] == "SERVICE_DEGRADED"
    assert 'raeth_persistence_mode{mode="retrying"} 1.0' in venue.http.get("/metrics").text
    assert "retrying" in venue.http.get("/status").text
    assert agent.get(f"/orders/{first['order_id']}")["status"] == "OPEN", "what is durable can be read"

    resource.prlimit(venue.process.pid, resource.RLIMIT_FSIZE, limits)
    until("its recovery", lambda: venue.http.get("/ready").status_code == 200)
    assert venue.get("/health")["persistence"] == {
        "backend": "sqlite", "mode": "ok", "queue_depth": 0, "last_error": None
    }  # fmt: skip
    again = agent.ask("POST", "/orders", json=body | {"client_order_id": "during"})
    assert agent.ask("POST", "/orders", json=body | {"client_order_id": "during"})["order_id"] == again["order_id"]
    keys = [order["client_order_id"] for order in agent.all("/orders")]
    assert sorted(keys) == ["before", "during"], "once, whenever that was"
    venue.stop()
    opened.audited()
