"""Signup, login and logout, and tickets for sockets (contract, section 2)."""

from __future__ import annotations

import re
from typing import Any, Final

from raeth.api.access import Access, Budget
from raeth.api.call import Answer, Call
from raeth.api.credentials import COOKIE, SESSION, TICKET, digest_of, new_key, new_token, normalised_email
from raeth.api.routing import VenueRouter
from raeth.api.schemas.auth import LoginRequest, LoginView, LogoutView, SignupRequest, SignupView, TicketView
from raeth.clock import iso_ms, real_now_ms
from raeth.engine.commands import Signup
from raeth.engine.events import AccountCreated, AgentCreated, CashMoved, Event
from raeth.engine.types import READ, TRADE, KeySpec
from raeth.errors import Code, RaethError
from raeth.journal.base import Write
from raeth.store.private import delete_session, insert_identity, insert_session, insert_ticket

router = VenueRouter("auth")

SESSION_MS: Final = 24 * 3_600_000
TICKET_MS: Final = 60_000

SCOPES: Final = (READ, TRADE)

RESERVED: Final = frozenset(
    {"admin", "administrator", "anonymous", "exchange", "house", "master", "operator", "owner", "raeth", "root"}
    | {"security", "staff", "support", "system", "treasury", "venue"}
)
"""Names nobody gets: they would pass for the venue, or for a word of this API."""

_LOOPBACK: Final = re.compile(rb"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?").fullmatch

_HANDED_ON: Final = (b"forwarded", b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-real-ip", b"via")
"""What proxies add to a request."""

_SIGNUP_EXAMPLE: Final = {"email": "ada@example.org", "agent_name": "ada-1", "password": "correct horse battery"}


def refuse_reserved(name: str) -> None:
    if name.lower() in RESERVED:
        raise RaethError(Code.AGENT_NAME_TAKEN)


@router.post(
    "/auth/signup",
    access=Access.PUBLIC,
    budget=Budget.SIGNUP,
    name="create_account",
    summary="Sign up: account, agent, API key and test cash in one call",
    response_model=SignupView,
    status_code=201,
    errors=[Code.EMAIL_TAKEN, Code.AGENT_NAME_TAKEN],
    request_examples={"with a password": _SIGNUP_EXAMPLE},
)
async def signup(call: Call, body: SignupRequest) -> Any:
    """The key is shown this once; it has the scopes read and trade."""
    venue = call.venue
    refuse_reserved(body.agent_name)
    email = normalised_email(body.email)
    digest = digest_of(venue.pepper, email.encode())
    state = await call.settled()
    if digest in state.digests:  # the engine judges again; asked first, so that nobody hashes passwords for nothing
        raise RaethError(Code.EMAIL_TAKEN)
    if body.agent_name.lower() in state.names:
        raise RaethError(Code.AGENT_NAME_TAKEN)
    hashed = await venue.passwords.hash(body.password) if body.password is not None else None
    key = new_key(venue.pepper)

    def identity(events: list[Event]) -> list[Write]:
        made = [event.account for event in events if isinstance(event, AccountCreated)]
        return [insert_identity(account, email, hashed) for account in made]

    spec = KeySpec(key.key_id, key.digest, "signup", SCOPES)
    outcome = await call.submit(Signup(digest, body.agent_name, spec), writes=identity)
    agent = next(event for event in outcome.events if isinstance(event, AgentCreated))
    granted = sum(e.amount_cents for e in outcome.events if isinstance(e, CashMoved) and e.wallet == agent.agent)
    return {
        "account_id": call.names.uuid(agent.account),
        "agent_id": call.names.uuid(agent.agent),
        "agent_name": agent.name,
        "api_key": key.text,
        "scopes": SCOPES,
        "testnet_cash_cents": granted,
    }


router.post(
    "/auth/mcp-signup",
    access=Access.PUBLIC,
    budget=Budget.SIGNUP,
    name="create_account_for_model",
    summary="The same as /auth/signup, under the name model tools look for",
    response_model=SignupView,
    status_code=201,
    errors=[Code.EMAIL_TAKEN, Code.AGENT_NAME_TAKEN],
    request_examples={"with a password": _SIGNUP_EXAMPLE},
)(signup)


@router.post(
    "/auth/login",
    access=Access.PUBLIC,
    budget=Budget.LOGIN,
    name="create_session",
    summary="Log in as the owner of an account",
    response_model=LoginView,
    errors=[Code.INVALID_CREDENTIALS],
    request_examples={"login": {"email": "ada@example.org", "password": "correct horse battery"}},
)
async def login(call: Call, body: LoginRequest) -> Any:
    """The session comes as `session_token`, to be sent as a bearer, and as an HttpOnly cookie."""
    venue = call.venue
    identity = await venue.store.identity_by_email(normalised_email(body.email))
    hashed = identity.password_hash if identity is not None else None
    if not await venue.passwords.matches(hashed, body.password) or identity is None:
        raise RaethError(Code.INVALID_CREDENTIALS)
    token, hashed_token = new_token(SESSION)
    expires = real_now_ms() + SESSION_MS
    await venue.sequencer.write([insert_session(hashed_token, identity.account, expires), *venue.due_sweep()])
    content = {"account_id": call.names.uuid(identity.account), "session_token": token, "expires_at": iso_ms(expires)}
    return Answer(content, headers={"Set-Cookie": _cookie(call, token, SESSION_MS // 1000)})


@router.post(
    "/auth/logout",
    access=Access.OWNER,
    budget=Budget.WRITE,
    name="end_session",
    summary="Log out: end the session that makes this call",
    response_model=LogoutView,
)
async def logout(call: Call) -> Any:
    assert call.session_hash is not None
    await call.venue.sequencer.write([delete_session(call.session_hash)])
    return Answer({"ended": True}, headers={"Set-Cookie": _cookie(call, "", 0)})


@router.post(
    "/auth/ws-ticket",
    access=Access.AGENT_ANY,
    budget=Budget.WRITE,
    name="create_ticket",
    summary="Get a ticket that admits one socket of this agent",
    response_model=TicketView,
    status_code=201,
)
async def ws_ticket(call: Call) -> Any:
    """Single use, 60 seconds. For clients that cannot set headers on a socket."""
    agent_id, key_id = call.the_agent.id, call.key_id
    ticket, hashed = new_token(TICKET)
    expires = real_now_ms() + TICKET_MS
    await call.venue.sequencer.write([insert_ticket(hashed, agent_id, key_id, expires), *call.venue.due_sweep()])
    return {"ticket": ticket, "expires_at": iso_ms(expires)}


def _cookie(call: Call, token: str, max_age_s: int) -> str:
    """The session's cookie. Secure everywhere but on plain HTTP within this machine, where browsers would drop it and
    nobody else can listen."""
    secure = "" if _within_this_machine(call) else "; Secure"
    return f"{COOKIE}={token}; Max-Age={max_age_s}; Path=/; HttpOnly; SameSite=Strict{secure}"


def _within_this_machine(call: Call) -> bool:
    """Plain HTTP, asked for by a name of this machine and handed on by nobody: a proxy that takes the TLS off may run
    on this machine too, and need not be one the venue was told of."""
    headers = call.raw_headers
    return (
        call.scope["scheme"] == "http"
        and call.address in ("127.0.0.1", "::1")
        and _LOOPBACK(headers.get(b"host", b"")) is not None
        and not any(name in headers for name in _HANDED_ON)
    )
