"""Who may make a call, and which budget it draws on: the two words every route carries. Knows nothing else."""

from __future__ import annotations

from enum import Enum


class Access(Enum):
    """Who may make a call. Every route carries one, so that a test can walk all of them."""

    __hash__ = object.__hash__  # the enum's own is a call in Python, and this is a key on the order path

    PUBLIC = "public"
    """Anybody; credentials are not looked at."""
    OPTIONAL_AGENT = "optional_agent"
    """Anybody; an agent's key draws on the agent's budget and may add to the answer. A bad key is still a 401,
    and the operator's token, which reaches nothing but its own calls, a 403."""
    AGENT_READ = "agent_read"
    """An API key with scope `read`."""
    AGENT_TRADE = "agent_trade"
    """An API key with scope `trade`, of an agent that is not suspended."""
    AGENT_CANCEL = "agent_cancel"
    """An API key with scope `trade` or `cancel`."""
    AGENT_ANY = "agent_any"
    """Any API key, whatever its scopes."""
    AGENT_OR_OWNER = "agent_or_owner"
    """An API key with scope `read`, or the owner's session with `?agent_id=`; `call.agent` is set either way."""
    OWNER = "owner"
    """The session of a person or parent program."""
    OPERATOR = "operator"
    """The admin token."""


class Budget(Enum):
    """What a call draws on (contract, section 12)."""

    __hash__ = object.__hash__  # the enum's own is a call in Python, and this is a key on the order path

    NONE = "none"
    READ = "read"
    WRITE = "write"
    CANCEL = "cancel"
    SIGNUP = "signup"
    """Signups: per address and minute, and per address and day."""
    LOGIN = "login"
    """Logins: the same minute's budget as signups."""
    FAUCET = "faucet"
    """A write of the agent, and a claim of the address."""
