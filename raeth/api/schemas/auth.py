"""Requests and answers of signup, sessions, agents, keys and transfers (contract, section 2)."""

from __future__ import annotations

import ipaddress
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, Field, StringConstraints, model_validator
from pydantic_core import PydanticCustomError

from raeth.api.schemas.common import SAFE_INT, TIME_MS_MAX, Answer, Cents, ClientName, Request, Seq, Time, Uuid, fault

PASSWORD_BYTES_MAX = 1024

Scope = Literal["read", "trade", "cancel"]


def _short_enough(password: str) -> str:
    if len(password.encode()) > PASSWORD_BYTES_MAX:
        raise PydanticCustomError("string_too_long", "At most 1024 bytes")
    return password


def _network(text: str) -> str:
    try:
        return str(ipaddress.ip_network(text, strict=False))
    except ValueError:
        raise PydanticCustomError("cidr", "Should be an IPv4 or IPv6 address or CIDR block") from None


def _distinct(scopes: list[Scope]) -> list[Scope]:
    if len(set(scopes)) != len(scopes):
        raise PydanticCustomError("duplicate", "Each scope at most once")
    return scopes


Email = Annotated[
    str,
    StringConstraints(
        strip_whitespace=True, max_length=254, pattern=r"^[^@\s\x00-\x1f\x7f]{1,64}@[^@\s\x00-\x1f\x7f]{1,189}$"
    ),
    Field(description="Compared without regard to case and to spaces around it.", examples=["ada@example.org"]),
]
Password = Annotated[
    str,
    AfterValidator(_short_enough),
    Field(min_length=8, description="At least 8 characters, at most 1024 bytes.", examples=["correct horse battery"]),
]
AgentName = Annotated[
    str,
    Field(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{2,31}$",
        description="Unique without regard to case; some names are reserved.",
        examples=["ada-1"],
    ),
]
KeyName = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,64}$", description="What it is for.", examples=["laptop"])]
Scopes = Annotated[list[Scope], Field(min_length=1, max_length=3), AfterValidator(_distinct)]
Network = Annotated[str, Field(max_length=64), AfterValidator(_network)]


class SignupRequest(Request):
    email: Email
    agent_name: AgentName
    password: Password | None = Field(None, description="Without one the account can trade, but nobody can log in.")


class SignupView(Answer):
    """The API key is shown this once."""

    account_id: Uuid
    agent_id: Uuid
    agent_name: str
    api_key: str = Field(examples=["rk_live_0123456789abcdef_…"])
    scopes: list[Scope]
    testnet_cash_cents: Cents


class LoginRequest(Request):
    email: Annotated[str, Field(max_length=320)]
    password: Annotated[str, Field(max_length=PASSWORD_BYTES_MAX)]


class LoginView(Answer):
    account_id: Uuid
    session_token: str = Field(examples=["rs_…"])
    expires_at: Time = Field(description="Real time.")


class LogoutView(Answer):
    ended: bool


class TicketView(Answer):
    """Admits one socket of this agent, once."""

    ticket: str = Field(examples=["wt_…"])
    expires_at: Time = Field(description="Real time.")


class AgentView(Answer):
    agent_id: Uuid
    name: str
    created_at: Time
    suspended: bool
    cash_cents: Cents = Field(description="Settled cash.")
    locked_cents: Cents = Field(description="Collateral of positions and resting orders.")
    free_cash_cents: Cents
    keys: int = Field(description="Live API keys.")


class MasterView(Answer):
    cash_cents: Cents


class OwnerView(Answer):
    account_id: Uuid
    email: str | None
    created_at: Time
    master: MasterView
    agents: list[AgentView]
    seq: Seq


class AgentRequest(Request):
    name: AgentName


class AgentPage(Answer):
    items: list[AgentView]
    next_cursor: str | None


class KeyRequest(Request):
    name: KeyName
    scopes: Scopes = Field(default=["read", "trade"], description="A `cancel` key can only cancel.")
    expires_at: AwareDatetime | None = Field(None, description="ISO-8601 with a zone, real time.")
    expires_at_ms: Annotated[int, Field(ge=0, le=TIME_MS_MAX)] | None = Field(
        None, description="The same in epoch milliseconds; give one of the two."
    )
    allowed_ips: Annotated[list[Network], Field(max_length=32)] | None = Field(
        None, description="Addresses or CIDR blocks the key works from; absent or empty: from anywhere."
    )

    @model_validator(mode="after")
    def _one_expiry(self) -> KeyRequest:
        if self.expires_at is not None and self.expires_at_ms is not None:
            fault("expires_at_ms", "one_of", "Give expires_at or expires_at_ms")
        if self.expiry_ms is not None and self.expiry_ms > TIME_MS_MAX:
            fault("expires_at", "too_late", "Should be before the year 10000 in UTC")
        return self

    @property
    def expiry_ms(self) -> int | None:
        return round(self.expires_at.timestamp() * 1000) if self.expires_at is not None else self.expires_at_ms


class KeyView(Answer):
    key_id: str = Field(examples=["0123456789abcdef"])
    agent_id: Uuid
    name: str
    scopes: list[Scope]
    expires_at: Time | None = Field(description="Real time.")
    allowed_ips: list[str]
    created_at: Time


class NewKeyView(KeyView):
    """The API key is shown this once."""

    api_key: str = Field(examples=["rk_live_0123456789abcdef_…"])


class KeyPage(Answer):
    items: list[KeyView]
    next_cursor: str | None


class RevokedKeyView(Answer):
    key_id: str
    revoked_at: Time
    seq: Seq


Wallet = Annotated[
    str,
    Field(
        pattern=r"^(master|[0-9A-Fa-f-]{32,36})$",
        description='"master", or the id of an agent of the account.',
        examples=["master"],
    ),
]


class TransferRequest(Request):
    from_: Wallet = Field(alias="from")
    to: Wallet
    amount_cents: Annotated[int, Field(ge=1, le=SAFE_INT)]
    client_transfer_id: ClientName | None = Field(None, description="Idempotency key, unique per account.")

    @model_validator(mode="after")
    def _two_wallets(self) -> TransferRequest:
        if self.from_ == self.to:
            fault("to", "same_wallet", "Should be another wallet than from")
        return self


class TransferView(Answer):
    transfer_id: Uuid
    from_: str = Field(alias="from", description='"master" or an agent id.')
    to: str
    amount_cents: Cents
    client_transfer_id: str | None
    ts: Time
    seq: Seq
    replayed: bool
