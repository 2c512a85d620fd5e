"""Who is asking: API keys, owners' sessions and the admin token, told apart by prefix and compared in constant time.

    rk_live_<key id>_<secret>   an agent's key; the venue keeps HMAC-SHA-256(pepper, secret)
    rk_admin_<secret>           the operator
    rs_<secret>                 an owner's session, as a bearer or in the cookie `raeth_session`

The way in for an agent is synchronous: two dictionary look-ups and one HMAC. Everything that needs the tables or waits
is on the other way, `admit`. A wrong credential is said to be wrong only after catching up with the journal. Must not
know any call, nor what budgets cost.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import os
import secrets
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlencode

from raeth.api.access import Access, Budget
from raeth.api.call import AGENT, OPERATOR, OWNER, Call
from raeth.api.parsing import bad_request, pairs
from raeth.clock import real_now_ms
from raeth.engine.state import Key
from raeth.engine.types import CANCEL, READ, TRADE
from raeth.errors import Code, RaethError
from raeth.store.private import insert_secret

if TYPE_CHECKING:
    from raeth.api.venue import Venue
    from raeth.sequencer import Sequencer
    from raeth.store.queries import Store

LIVE: Final = "rk_live_"
ADMIN: Final = "rk_admin_"
SESSION: Final = "rs_"
TICKET: Final = "wt_"
COOKIE: Final = "raeth_session"

CREDENTIAL_MAX: Final = 200
"""Longest thing that can be a credential, in bytes."""

PEPPER_BYTES: Final = 32

_SCOPES: Final[dict[Access, tuple[str, ...]]] = {
    Access.AGENT_READ: (READ,),
    Access.AGENT_OR_OWNER: (READ,),
    Access.AGENT_TRADE: (TRADE,),
    Access.AGENT_CANCEL: (CANCEL, TRADE),
    Access.AGENT_ANY: (),
    Access.OPTIONAL_AGENT: (),
}
"""Of which scopes a key needs one; with none listed any key will do, and a class that is not here takes no keys."""

_OWNER_ALLOWED: Final = frozenset({Access.OWNER, Access.AGENT_OR_OWNER})


class NewKey(NamedTuple):
    """A fresh key. `text` is shown once and never kept; `digest` is what the venue stores."""

    key_id: str
    text: str
    digest: str


def new_key(pepper: bytes) -> NewKey:
    """A random API key: 64 bits of public id, 256 of secret."""
    key_id, secret = secrets.token_hex(8), secrets.token_hex(32)
    return NewKey(key_id, f"{LIVE}{key_id}_{secret}", digest_of(pepper, secret.encode()))


def digest_of(pepper: bytes, secret: bytes) -> str:
    """What is kept of a secret: hex HMAC-SHA-256 under the venue's pepper."""
    return hmac.digest(pepper, secret, "sha256").hex()


def new_token(prefix: str) -> tuple[str, str]:
    """A random session or ticket, and the hash to keep of it. 256 random bits need no salt and no slow hash."""
    token = prefix + secrets.token_urlsafe(32)
    return token, token_hash(token)


def token_hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def normalised_email(text: str) -> str:
    """One form of an address, so that it signs up once: trimmed, lower case."""
    return text.strip().lower()


async def load_pepper(sequencer: Sequencer, store: Store) -> bytes:
    """The venue's pepper, made at the first start; all nodes of a venue share it through the database."""
    pepper = await store.secret("pepper")
    if pepper is None:
        await sequencer.write([insert_secret("pepper", secrets.token_bytes(PEPPER_BYTES))])
        pepper = await store.secret("pepper")
    assert pepper is not None and len(pepper) == PEPPER_BYTES
    return pepper


def load_admin_token(path: Path) -> str:
    """The operator's token from its file, which is made, readable by its owner only, if it is not there."""
    if not path.exists():
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
        file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w") as out:
            out.write(ADMIN + secrets.token_urlsafe(32) + "\n")
        try:
            os.link(partial, path)  # of two processes that start at once, one token stands, and it is never half there
        except FileExistsError:
            pass
        finally:
            partial.unlink()
    return path.read_text("ascii").strip()


class Door:
    """Decides whether a request may come in, and writes who it is from into the `Call`."""

    def __init__(self, venue: Venue, pepper: bytes, admin_token: str | bytes) -> None:
        """`admin_token`: the operator's, or its SHA-256 where this node knows no more of it."""
        self._venue = venue
        self._pepper = pepper
        known = hashlib.sha256(admin_token.encode()).digest() if isinstance(admin_token, str) else admin_token
        self._admin_hash = known
        self._proxies = tuple(ipaddress.ip_network(net) for net in venue.settings.trusted_proxies)

    # ---- the short way ----

    def admit_now(self, call: Call, access: Access) -> bool:
        """Let in whoever can be judged without waiting. False: ask `admit`. Raises what `admit` raises."""
        if access is Access.PUBLIC:
            return True
        shown = call.raw_headers.get(b"authorization")
        if shown is None:
            return access is Access.OPTIONAL_AGENT and b"cookie" not in call.raw_headers
        keys = self._venue.sequencer.state.keys
        connection = None if call.exchange is None else call.exchange.connection
        if connection is not None and connection.proven is not None:
            # What this connection has proved it need not prove anew, until it shows something else. A key that was
            # revoked is gone from the state, and one that was read back from the journal is another object.
            proof, proved = connection.proven
            if keys.get(proved.spec.key_id) is proved and hmac.compare_digest(proof, shown):
                self._let_in(call, access, proved)
                return True
        if shown[:15] != b"Bearer rk_live_":
            return False
        key_id, _, secret = shown[15:].partition(b"_")
        key = keys.get(key_id.decode("latin-1"))
        if key is None or len(shown) > CREDENTIAL_MAX:
            return False
        self._check_key(call, access, key, secret)
        if connection is not None:
            connection.proven = shown, key
        return True

    def from_allowed_address(self, call: Call, key: Key) -> bool:
        """Whether the key may be used from where this request comes from."""
        allowed = key.spec.allowed_ips
        return not allowed or _inside(call.address, allowed)

    def _check_key(self, call: Call, access: Access, key: Key, secret: bytes) -> None:
        if not hmac.compare_digest(digest_of(self._pepper, secret), key.spec.digest):
            raise self._failed(call, Code.AUTH_INVALID)
        self._let_in(call, access, key)

    def _let_in(self, call: Call, access: Access, key: Key) -> None:
        """What is asked of a key whose secret is right, at every request."""
        spec = key.spec
        if spec.expires_at is not None and spec.expires_at <= real_now_ms():
            raise self._failed(call, Code.AUTH_EXPIRED)
        if spec.allowed_ips and not self.from_allowed_address(call, key):
            raise self._failed(call, Code.IP_NOT_ALLOWED)
        agent = key.agent
        call.actor, call.key, call.agent, call.account_id = AGENT, key, agent, agent.account.id
        needed = _SCOPES.get(access)
        if needed is None:
            raise self._refused(call, RaethError(Code.FORBIDDEN))
        if needed and needed[0] not in spec.scopes and needed[-1] not in spec.scopes:
            details = {"required": list(needed), "granted": list(spec.scopes)}
            raise self._refused(call, RaethError(Code.SCOPE_REQUIRED, details=details))
        if agent.suspended and access is Access.AGENT_TRADE:
            raise self._refused(call, RaethError(Code.AGENT_SUSPENDED))

    # ---- the long way ----

    async def admit(self, call: Call, access: Access) -> None:
        """Let in, or raise AUTH_…, IP_NOT_ALLOWED, FORBIDDEN, SCOPE_REQUIRED or AGENT_SUSPENDED."""
        shown = call.raw_headers.get(b"authorization")
        if shown is None:
            await self._admit_cookie(call, access)
            return
        scheme, _, token = shown.decode("latin-1").partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token or len(shown) > CREDENTIAL_MAX:
            raise self._failed(call, Code.AUTH_INVALID)
        if token.startswith(LIVE):
            await self._admit_key(call, access, token)
        elif token.startswith(ADMIN):
            self._admit_operator(call, access, token)
        elif token.startswith(SESSION):
            await self._admit_session(call, access, token)
        else:
            raise self._failed(call, Code.AUTH_INVALID)

    async def _admit_key(self, call: Call, access: Access, token: str) -> None:
        key_id, _, secret = token[len(LIVE) :].partition("_")
        await self._venue.sequencer.catch_up()  # another node may have issued it a moment ago
        state = await self._venue.sequencer.settled()
        key = state.keys.get(key_id)
        if key is not None:
            self._check_key(call, access, key, secret.encode("latin-1"))
            return
        digest = await self._venue.store.key_digest(key_id)
        shown = digest_of(self._pepper, secret.encode("latin-1"))
        known = digest is not None and hmac.compare_digest(shown, digest)
        raise self._failed(call, Code.AUTH_REVOKED if known else Code.AUTH_INVALID)

    def _admit_operator(self, call: Call, access: Access, token: str) -> None:
        if not hmac.compare_digest(hashlib.sha256(token.encode("latin-1")).digest(), self._admin_hash):
            raise self._failed(call, Code.AUTH_INVALID)
        call.actor = OPERATOR
        if access is not Access.OPERATOR:
            raise self._refused(call, RaethError(Code.FORBIDDEN))

    async def _admit_session(self, call: Call, access: Access, token: str) -> None:
        hashed = token_hash(token)
        session = await self._venue.store.session(hashed)
        if session is None:
            raise self._failed(call, Code.AUTH_INVALID)
        if session.expires_real_ms <= real_now_ms():
            raise self._failed(call, Code.AUTH_EXPIRED)
        if access is Access.OPTIONAL_AGENT:
            return  # a person looking at the market: anonymous
        call.actor, call.account_id, call.session_hash = OWNER, session.account, hashed
        if access not in _OWNER_ALLOWED:
            raise self._refused(call, RaethError(Code.FORBIDDEN))

    async def _admit_cookie(self, call: Call, access: Access) -> None:
        token = call.cookies.get(COOKIE)
        if not token:
            if access is Access.OPTIONAL_AGENT:
                return
            raise self._failed(call, Code.AUTH_MISSING)
        if access is Access.OPTIONAL_AGENT:  # a browser sends it everywhere; market data does not care
            return
        await self._admit_session(call, access, token)
        if call.method not in ("GET", "HEAD") and not _from_own_pages(call):
            raise self._refused(call, RaethError(Code.FORBIDDEN))

    async def choose_agent(self, call: Call, query: bytes) -> bytes:
        """For reads of an agent's account: whom `?agent_id=` means. Returns the query without it.

        An owner must say which of its agents; a key reaches only its own."""
        given = pairs(query)
        chosen = [value for name, value in given if name == "agent_id"]
        if len(chosen) > 1:
            raise bad_request("agent_id", "given more than once", "duplicate")
        if not chosen and call.key is None:
            raise bad_request("agent_id", "required", "missing")
        if not chosen:
            return query
        state = await call.settled()
        number = call.names.entity(chosen[0]) or 0
        agent = state.agents.get(number) or (await call.latest()).agents.get(number)
        if agent is None:
            raise RaethError(Code.NOT_FOUND)
        if agent.account.id != call.account_id or (call.agent is not None and call.agent is not agent):
            raise RaethError(Code.FORBIDDEN)
        call.agent = agent
        return urlencode([pair for pair in given if pair[0] != "agent_id"]).encode()

    # ---- addresses and refusals ----

    def address_of(self, call: Call) -> str:
        """The caller's address: the last hop that is not a proxy of ours."""
        client = call.scope.get("client")
        address: str = client[0] if client else "unknown"
        forwarded = call.raw_headers.get(b"x-forwarded-for")
        if not self._proxies or forwarded is None:
            return address
        for hop in reversed([address, *forwarded.decode("latin-1").split(",")][1:]):
            if not _is_in(address, self._proxies):
                break
            address = hop.strip()
        return address if _address(address) is not None else "unknown"

    def _failed(self, call: Call, code: Code) -> RaethError:
        """No valid credential: the attempt counts against the address."""
        self._venue.budgets.spend_failure(call)
        return RaethError(code)

    def _refused(self, call: Call, error: RaethError) -> RaethError:
        """A valid credential that does not reach this call: a read of whoever it belongs to."""
        self._venue.budgets.spend(call, Budget.READ)
        return error


def _from_own_pages(call: Call) -> bool:
    """Whether a browser sends this on behalf of a page of this venue, or no browser sends it.

    SameSite keeps the cookie from other sites, not from another port or subdomain of this one.
    """
    headers = call.raw_headers
    site, origin = headers.get(b"sec-fetch-site"), headers.get(b"origin")
    if site is not None:
        return site in (b"same-origin", b"none")
    return origin is None or origin.partition(b"://")[2] == headers.get(b"host")


@lru_cache(maxsize=4096)
def _address(text: str) -> Any:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    mapped = getattr(address, "ipv4_mapped", None)
    return mapped or address


@lru_cache(maxsize=4096)
def _network(text: str) -> Any:
    return ipaddress.ip_network(text)


def _is_in(address: str, networks: tuple[Any, ...]) -> bool:
    ip = _address(address)
    return ip is not None and any(ip in network for network in networks)


def _inside(address: str, blocks: tuple[str, ...]) -> bool:
    return _is_in(address, tuple(_network(block) for block in blocks))
