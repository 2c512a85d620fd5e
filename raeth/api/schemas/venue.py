"""Answers about the venue itself: health, codes, limits, version (contract, section 10)."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from raeth.api.schemas.admin import PersistenceView
from raeth.api.schemas.common import Answer, Seq, Time


class HealthReferenceView(Answer):
    status: Literal["LIVE", "STALE", "DOWN"]
    price_cents: int | None
    source_ts: Time | None
    age_ms: int | None
    source: str
    synthetic: bool


class NodeView(Answer):
    """The process that answers: a venue may have many, and they are all equal."""

    name: str
    roles: list[str] = Field(
        description="What it does now that only one of them does: `series` brings the reference, `house` quotes."
    )
    clock_ahead_ms: int = Field(
        description="By how much the clock of a shared database is ahead of this machine's; 0 where there is none."
    )


class HealthView(Answer):
    """Degraded answers 200 as well: whether orders are taken is `GET /ready`."""

    status: Literal["ok", "degraded"]
    service: Literal["raeth"]
    now: Time = Field(description="Venue time.")
    version: str
    persistence: PersistenceView
    reference: HealthReferenceView
    frozen: bool
    seq: Seq = Field(description="The last command that this node knows to be durable.")
    node: NodeView


class ReadyView(Answer):
    ready: Literal[True]
    seq: Seq


class CodeView(Answer):
    code: str
    http: list[str] = Field(description='Where it appears: "200/REJECTED", a status, or "ws".')
    when: str
    fix: str
    retryable: bool


class CodesView(Answer):
    items: list[CodeView]
    next_cursor: None


class LimitsView(Answer):
    """Budgets a minute and maxima. Without `budgets_url` each process counts budgets on its own."""

    writes_per_minute: int
    cancels_per_minute: int
    reads_per_minute: int
    anonymous_reads_per_minute: int
    signups_per_minute: int
    signups_per_day: int | None
    open_orders_per_market: int
    batch_size: int
    cancel_list: int
    quote_levels: int
    body_bytes: int
    body_deadline_ms: int
    agents_per_account: int
    keys_per_agent: int
    sockets_per_agent: int
    sockets_per_key: int
    sockets_per_address: int
    subscriptions_per_socket: int
    control_messages_per_minute: int
    frame_bytes: int
    unread_bytes: int
    book_interval_ms: int
    risk: dict[str, Any]
    fees: dict[str, Any]
    series: dict[str, Any]
    faucet: dict[str, Any]


class VersionView(Answer):
    service: Literal["raeth"]
    version: str
    api_version: str
    engine_version: int
    started_at: Time = Field(description="Real time.")
    speed: float = Field(description="Venue seconds per real second.")
    reference: str
