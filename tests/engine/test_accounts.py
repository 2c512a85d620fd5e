"""Accounts, agents, keys, transfers, the faucet: who has what, and that no cent appears unsaid."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.types import KeySpec
from tests.engine.venue import NO_FEES, OPEN_AT, Venue, key_spec, of_kind


def account_of(venue: Venue, agent: int) -> int:
    return venue.agent(agent).account.id


class TestSignup:
    def test_one_call_makes_account_agent_key_and_grant(self) -> None:
        venue = Venue(agents=0)
        events = venue.apply(cmd.Signup("d", "Alice", key_spec("k")))
        assert [type(e).__name__ for e in events] == ["AccountCreated", "AgentCreated", "KeyIssued", "CashMoved"]
        [paid] = of_kind(events, ev.CashMoved)
        assert (paid.kind, paid.amount_cents, paid.balance_after_cents) == ("SIGNUP_GRANT", 100_000, 100_000)

    def test_email_and_name_are_taken_once_and_a_refusal_leaves_nothing(self) -> None:
        venue = Venue(agents=0)
        venue.apply(cmd.Signup("d", "Alice", key_spec("k")))
        granted = venue.state.granted_cents
        assert venue.apply(cmd.Signup("d", "Bob", key_spec("l"))) == [ev.Refused("EMAIL_TAKEN")]
        assert venue.apply(cmd.Signup("e", "aLICE", key_spec("l"))) == [ev.Refused("AGENT_NAME_TAKEN")]
        assert (len(venue.state.accounts), "l" in venue.state.keys, venue.state.granted_cents) == (1, False, granted)
        assert venue.apply(cmd.Signup("e", "Bob", key_spec("l")))[-1].__class__ is ev.CashMoved

    def test_no_grant_no_ledger_line(self) -> None:
        venue = Venue(agents=0, signup_grant_cents=0)
        assert not of_kind(venue.apply(cmd.Signup("d", "Alice", key_spec("k"))), ev.CashMoved)


class TestAgentsAndKeys:
    def test_as_many_agents_as_the_rule_says(self) -> None:
        venue = Venue(agents=1, agents_per_account=3)
        account = account_of(venue, venue.agents[0])
        assert [venue.apply(cmd.CreateAgent(account, n))[-1].__class__ for n in ("x", "y")] == [ev.AgentCreated] * 2
        assert venue.apply(cmd.CreateAgent(account, "z")) == [
            ev.Refused("VALIDATION_FAILED", {"agents_per_account": 3})
        ]
        assert [venue.agent(a).cash for a in venue.agent(venue.agents[0]).account.agents] == [100_000, 0, 0]
        assert venue.apply(cmd.CreateAgent(12345, "w")) == [ev.Refused("NOT_FOUND")]

    def test_as_many_keys_as_the_rule_says_and_a_revoked_one_makes_room(self) -> None:
        venue = Venue(agents=2, keys_per_agent=2)
        a, b = venue.agents
        account = account_of(venue, a)
        venue.apply(cmd.IssueKey(account, a, key_spec("two")))
        assert venue.apply(cmd.IssueKey(account, a, key_spec("three"))) == [
            ev.Refused("VALIDATION_FAILED", {"keys_per_agent": 2})
        ]
        assert venue.apply(cmd.RevokeKey(account, a, "two"))[-1] == ev.KeyRevoked(a, "two", "owner", venue.ts)
        assert venue.apply(cmd.IssueKey(account, a, key_spec("three")))[-1].__class__ is ev.KeyIssued
        assert venue.apply(cmd.IssueKey(account, b, key_spec("four"))) == [ev.Refused("FORBIDDEN")]
        assert venue.apply(cmd.RevokeKey(account, a, venue.key(b))) == [ev.Refused("NOT_FOUND")]
        assert venue.apply(cmd.RevokeKey(account, 99, "three")) == [ev.Refused("NOT_FOUND")]

    def test_rotation_takes_everything_over_but_the_secret(self) -> None:
        venue = Venue(agents=1)
        a = venue.agents[0]
        account = account_of(venue, a)
        old = KeySpec("old", "aa", "bot", ("cancel",), 2_000_000_000_000, ("10.0.0.0/8",))
        venue.apply(cmd.IssueKey(account, a, old))
        revoked, issued = venue.apply(cmd.RotateKey(account, a, "old", "new", "bb"))
        assert revoked == ev.KeyRevoked(a, "old", "owner", venue.ts)
        new = KeySpec("new", "bb", "bot", ("cancel",), 2_000_000_000_000, ("10.0.0.0/8",))
        assert issued == ev.KeyIssued(a, new, venue.ts)
        assert "old" not in venue.state.keys and venue.state.keys["new"].spec == new
        assert venue.apply(cmd.RotateKey(account, a, "old", "x", "cc")) == [ev.Refused("NOT_FOUND")]


class TestTransfer:
    def move(self, venue: Venue, account: int, source: int, target: int, cents: int) -> ev.Event:
        return venue.apply(cmd.Transfer(account, source, target, cents))[-1]

    def test_exactly_all_and_one_more(self) -> None:
        venue = Venue(agents=1)
        a = venue.agents[0]
        account = account_of(venue, a)
        refused = self.move(venue, account, a, account, 100_001)
        assert refused == ev.Refused(
            "INSUFFICIENT_BALANCE", {"wallet": a, "free_cash_cents": 100_000, "required_cents": 100_001}
        )
        assert isinstance(self.move(venue, account, a, account, 100_000), ev.Transferred)
        assert (venue.agent(a).cash, venue.state.accounts[account].cash) == (0, 100_000)
        assert self.move(venue, account, account, a, 100_001).__class__ is ev.Refused

    def test_what_is_locked_stays(self) -> None:
        venue = Venue(signup_grant_cents=500, **NO_FEES)
        a = venue.agents[0]
        venue.buy(a, 40, 10)
        account = account_of(venue, a)
        assert self.move(venue, account, a, account, 101).__class__ is ev.Refused
        assert self.move(venue, account, a, account, 100).__class__ is ev.Transferred
        assert venue.agent(a).free == 0

    def test_only_between_wallets_of_one_account(self) -> None:
        venue = Venue()
        a, b, _ = venue.agents
        account = account_of(venue, a)
        assert self.move(venue, account, a, b, 1) == ev.Refused("FORBIDDEN")
        assert self.move(venue, account, b, a, 1) == ev.Refused("FORBIDDEN")
        assert self.move(venue, account, a, account_of(venue, b), 1) == ev.Refused("NOT_FOUND")
        assert self.move(venue, 77, a, 77, 1) == ev.Refused("NOT_FOUND")

    @settings(max_examples=40, deadline=None)
    @given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(1, 120_000)), max_size=15))
    def test_the_account_has_the_same_sum_always(self, moves: list[tuple[int, int, int]]) -> None:
        venue = Venue(agents=1)
        a = venue.agents[0]
        wallets = [account_of(venue, a), a, venue.sibling(a, 5_000)]
        for source, target, cents in moves:
            if source != target:
                self.move(venue, wallets[0], wallets[source], wallets[target], cents)
        assert venue.state.accounts[wallets[0]].cash + sum(venue.agent(w).cash for w in wallets[1:]) == 105_000


class TestFaucet:
    RULES = {"faucet_amount_cents": 1_000, "faucet_cooldown_ms": 60_000, "faucet_account_cap_cents": 2_500}

    def claim(self, venue: Venue, agent: int) -> ev.Event:
        return venue.apply(cmd.Faucet(agent, venue.key(agent)))[-1]

    def test_the_cool_down_to_the_millisecond_and_per_account(self) -> None:
        venue = Venue(**self.RULES)
        a = venue.agents[0]
        sibling = venue.sibling(a)
        next_at = OPEN_AT + 60_000
        assert self.claim(venue, a) == ev.FaucetClaimed(a, 1_000, 101_000, next_at, OPEN_AT)
        wait = ev.Refused("FAUCET_COOLDOWN", {"next_claim_at": next_at, "retry_after_ms": 1})
        venue.ts = next_at - 1
        assert self.claim(venue, sibling) == wait
        venue.ts = next_at
        assert isinstance(self.claim(venue, sibling), ev.FaucetClaimed)
        assert isinstance(self.claim(venue, venue.agents[1]), ev.FaucetClaimed), "another account has its own"

    def test_the_cap_is_never_exceeded_and_comes_before_the_cool_down(self) -> None:
        venue = Venue(**self.RULES)
        a = venue.agents[0]
        for _ in range(2):
            assert isinstance(self.claim(venue, a), ev.FaucetClaimed)
            venue.ts += 60_000
        venue.ts -= 1
        assert self.claim(venue, a) == ev.Refused("FAUCET_CAP_REACHED", {"account_cap_cents": 2_500})

    def test_exactly_the_cap(self) -> None:
        venue = Venue(**{**self.RULES, "faucet_account_cap_cents": 1_000})
        assert isinstance(self.claim(venue, venue.agents[0]), ev.FaucetClaimed)


class TestOperator:
    @pytest.mark.parametrize(
        "command",
        [
            cmd.SuspendAgent("op", 5, "why"),
            cmd.ReinstateAgent("op", 5, None),
            cmd.GrantCash("op", 5, 1, "why"),
            cmd.AdminRevokeKey("op", "nobody", None),
        ],
    )
    def test_of_nobody(self, command: cmd.Command) -> None:
        assert Venue().apply(command) == [ev.Refused("NOT_FOUND")]

    def test_a_grant_is_money_that_was_granted(self) -> None:
        venue = Venue()
        before = venue.state.granted_cents
        [moved] = of_kind(venue.apply(cmd.GrantCash("op", venue.agents[0], 5, "why")), ev.CashMoved)
        assert (moved.kind, moved.amount_cents, venue.state.granted_cents) == ("GRANT", 5, before + 5)

    def test_a_broadcast_is_only_said(self) -> None:
        venue = Venue()
        assert venue.apply(cmd.Broadcast("op", "hello")) == [ev.Announced("op", "hello", venue.ts)]
