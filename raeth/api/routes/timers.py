"""The dead-man switch: orders go unless their agent calls again in time (contract, section 6)."""

from __future__ import annotations

from typing import Any

from raeth.api.access import Access, Budget
from raeth.api.call import Call
from raeth.api.lookup import known_market
from raeth.api.routing import VenueRouter
from raeth.api.schemas.account import DeadmanView
from raeth.api.schemas.orders import DeadmanRequest
from raeth.api.views.account import deadman_body
from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.errors import Code

router = VenueRouter("orders")


@router.post(
    "/deadman",
    access=Access.AGENT_CANCEL,
    budget=Budget.CANCEL,
    name="call_deadman",
    summary="Arm, renew or disarm the dead-man switch",
    response_model=DeadmanView,
    errors=(Code.UNKNOWN_MARKET, Code.MARKET_CLOSED, Code.SERVICE_DEGRADED),
    answer_examples={
        "success": {
            "armed_until": "2026-11-20T10:30:10.123Z",
            "last_action": {"ts": "2026-11-20T10:29:55.000Z", "cancelled": 4},
        }
    },
)
async def call_deadman(call: Call, body: DeadmanRequest) -> dict[str, Any]:
    """All resting orders in scope are cancelled (`DEAD_MAN`) at `armed_until`, in venue time, unless the call comes
    again before. After that the timer is disarmed; arm it again.

    Without `scope` it watches over all markets; each market can have a timer besides, which ends with its window. They
    do not know of each other: the first to run out cancels what is in its scope. A timer belongs to the agent, not to a
    key, and goes on while the venue is frozen. For a time in which the venue could not be reached it stands still.
    """
    agent, key_id, names = call.the_agent.id, call.key_id, call.names
    market = None if body.scope is None else await known_market(call, names, body.scope)
    outcome = await call.submit(cmd.CallDeadman(agent, key_id, body.timeout_ms, market))
    done = outcome.events[-1]
    assert isinstance(done, ev.DeadmanSet)
    return deadman_body(done.armed_until, done.last_ts, done.last_cancelled)
