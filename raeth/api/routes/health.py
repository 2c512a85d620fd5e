"""Whether the venue runs: for probes, for Prometheus, and for people (contract, section 10).

Health and status answer while everything else is in trouble, so they wait for nothing and ask no table.
"""

from __future__ import annotations

from html import escape
from typing import Any, Final

from raeth.api.access import Access, Budget
from raeth.api.answers import page
from raeth.api.call import Answer, Call
from raeth.api.metrics import CONTENT_TYPE
from raeth.api.routes.admin import persistence
from raeth.api.routing import VenueRouter
from raeth.api.schemas.venue import HealthView, ReadyView
from raeth.clock import iso_ms, real_now_ms
from raeth.errors import Code, RaethError

router = VenueRouter("health", prefix="")

_PUBLIC: Final[dict[str, Any]] = {"access": Access.PUBLIC, "budget": Budget.NONE}


@router.get("/health", **_PUBLIC, name="get_health", summary="How the venue is doing", response_model=HealthView)
async def health(call: Call) -> Any:
    """Degraded answers 200 with the truth."""
    venue = call.venue
    state = venue.sequencer.settled_now() or venue.sequencer.state
    now = venue.clock.now_ms()
    reading = venue.reference.current(now)
    journal = persistence(call)
    degraded = journal["mode"] != "ok" or reading.status == "DOWN"
    return {
        "status": "degraded" if degraded else "ok",
        "service": "raeth",
        "now": iso_ms(max(now, state.ts)),
        "version": venue.version,
        "persistence": journal,
        "reference": {
            "status": reading.status,
            "price_cents": reading.price_cents,
            "source_ts": None if reading.source_ts is None else iso_ms(reading.source_ts),
            "age_ms": reading.age_ms,
            "source": reading.source,
            "synthetic": reading.synthetic,
        },
        "frozen": state.frozen,
        "seq": venue.sequencer.durable_seq,
        "node": {
            "name": venue.node,
            "roles": list(venue.roles()),
            "clock_ahead_ms": venue.sequencer.health.clock_ahead_ms,
        },
    }


@router.get(
    "/ready",
    **_PUBLIC,
    name="get_ready",
    summary="Whether orders are taken: 200, or 503 with the reason",
    response_model=ReadyView,
    errors=[Code.EXCHANGE_FROZEN],
)
async def ready(call: Call) -> Any:
    if call.venue.sequencer.health.mode != "ok":
        raise RaethError(Code.SERVICE_DEGRADED)
    state = await call.settled()
    if state.frozen:
        raise RaethError(Code.EXCHANGE_FROZEN)
    return {"ready": True, "seq": state.seq}


@router.get("/metrics", **_PUBLIC, name="get_metrics", summary="Prometheus metrics", in_schema=False)
async def metrics(call: Call) -> Answer:
    return Answer(call.venue.metrics.text(), media_type=CONTENT_TYPE)


@router.get("/status", **_PUBLIC, name="get_status", summary="The venue for people", in_schema=False)
async def status(call: Call) -> Answer:
    facts = await health(call)
    rows = [
        ("venue time", facts["now"]),
        ("version", facts["version"]),
        ("node", ", ".join([facts["node"]["name"], *facts["node"]["roles"]])),
        ("up for", f"{(real_now_ms() - call.venue.started_real_ms) // 1000} s"),
        ("journal", f"{facts['persistence']['backend']}, {facts['persistence']['mode']}, seq {facts['seq']}"),
        ("trading", "frozen" if facts["frozen"] else "open"),
        ("reference", _reference_text(facts["reference"])),
        ("streams", f"{len(call.venue.hub.readers)} open"),
    ]
    markets = [
        (market.symbol, market.status + (", halted" if market.halted else ""), f"{market.volume} traded")
        for market in call.venue.sequencer.state.markets.values()
    ]
    good = facts["status"] == "ok" and not facts["frozen"]
    return page(
        _PAGE.format(
            verdict="good" if good else "bad", status=facts["status"], facts=_table(rows), markets=_table(markets)
        )
    )


def _reference_text(reference: dict[str, Any]) -> str:
    cents = reference["price_cents"]
    price = "no price" if cents is None else f"${cents // 100:,}.{cents % 100:02d}, {reference['age_ms']} ms old"
    return f"{reference['source']}, {reference['status']}, {price}" + (", synthetic" if reference["synthetic"] else "")


def _table(rows: list[Any]) -> str:
    return "".join("<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows)


_PAGE: Final = """\
<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width"><title>raeth status</title>
<style>:root{{color-scheme:light dark}}body{{font:16px/1.6 system-ui,sans-serif;max-width:44rem;margin:3rem auto;
padding:0 1rem}}table{{border-collapse:collapse}}
td{{white-space:nowrap;padding:.2rem 1.2rem .2rem 0;border-top:1px solid #8884}}
.good{{color:#2a2}}.bad{{color:#d33}}</style>
<h1>raeth <span class="{verdict}">{status}</span></h1><table>{facts}</table><h2>Windows</h2><table>{markets}</table>
<p>For programs: <a href="/health">health</a>, <a href="/metrics">metrics</a>, <a href="/docs">docs</a>.</p></html>
"""
