"""Statements for the private tables: what may be known at the door and must never be in the chain.

They go through the journal's one writer (`commit` beside the rows they belong to, or `execute` alone). Where two may
want the same thing, the statement says whose stands and does not fail: the caller reads back who won. Times are real
milliseconds, hashes those of random words.
"""

from __future__ import annotations

from raeth.journal.base import Write


def insert_identity(account: int, email: str, password_hash: str | None) -> Write:
    """Who an account is; commit it with the `Signup` that made the account. `email` normalised.

    An identity that is there already, or the same address elsewhere, stands: the engine has refused that signup.
    """
    sql = "INSERT INTO identities (account, email, password_hash) VALUES (?, ?, ?) ON CONFLICT DO NOTHING"
    return Write(sql, [(account, email, password_hash)])


def insert_session(token_hash: str, account: int, expires_real_ms: int) -> Write:
    sql = "INSERT INTO sessions (token_hash, account, expires_real_ms) VALUES (?, ?, ?)"
    return Write(sql, [(token_hash, account, expires_real_ms)])


def delete_session(token_hash: str) -> Write:
    """Harmless when there is none."""
    return Write("DELETE FROM sessions WHERE token_hash = ?", [(token_hash,)])


def insert_ticket(ticket_hash: str, agent: int, key_id: str, expires_real_ms: int) -> Write:
    sql = "INSERT INTO tickets (ticket_hash, agent, key_id, expires_real_ms) VALUES (?, ?, ?, ?)"
    return Write(sql, [(ticket_hash, agent, key_id, expires_real_ms)])


def use_ticket(ticket_hash: str, claim: str) -> Write:
    """Use a ticket in the name of `claim`, a random word of the caller's.

    The first claim stands, on any number of nodes. Read the ticket back afterwards: it is yours if the claim is.
    """
    return Write("UPDATE tickets SET claim = ? WHERE ticket_hash = ? AND claim IS NULL", [(claim, ticket_hash)])


def insert_secret(name: str, value: bytes) -> Write:
    """Propose a secret of the venue. The first one stands on all nodes: read it back and use that."""
    return Write("INSERT INTO secrets (name, value) VALUES (?, ?) ON CONFLICT DO NOTHING", [(name, value)])


def sweep(now_real_ms: int) -> list[Write]:
    """Forget sessions and tickets that expired before `now_real_ms`."""
    return [
        Write("DELETE FROM sessions WHERE expires_real_ms < ?", [(now_real_ms,)]),
        Write("DELETE FROM tickets WHERE expires_real_ms < ?", [(now_real_ms,)]),
    ]
