"""Accounts, agents, keys and wallets: signup, keys, transfers, faucet. Must not know of books.

Uniqueness of names and e-mail digests is decided here, in journal order, so two nodes cannot give one name twice.
"""

from __future__ import annotations

from raeth.engine import commands as cmd
from raeth.engine import events as ev
from raeth.engine.clearing import Events, move_cash, new_id
from raeth.engine.state import Account, Agent, Key, State
from raeth.engine.types import KeySpec
from raeth.engine.windows import rules_of


def signup(state: State, command: cmd.Signup, ts: int, out: Events) -> None:
    """Account, primary agent, key and grant in one step, or nothing."""
    if command.email_digest in state.digests:
        out.append(ev.Refused("EMAIL_TAKEN"))
        return
    if command.agent_name.lower() in state.names:
        out.append(ev.Refused("AGENT_NAME_TAKEN"))
        return
    account = Account(new_id(state), command.email_digest, ts)
    state.accounts[account.id] = account
    state.digests[command.email_digest] = account.id
    out.append(ev.AccountCreated(account.id, command.email_digest, ts))
    agent = _new_agent(state, account, command.agent_name, ts, out)
    _issue(state, agent, command.key, ts, out)
    grant = rules_of(state).signup_grant_cents
    if grant:
        state.granted_cents += grant
        move_cash(state, agent, "SIGNUP_GRANT", grant, None, ts, out)


def create_agent(state: State, command: cmd.CreateAgent, ts: int, out: Events) -> None:
    account = state.accounts.get(command.account)
    if account is None:
        out.append(ev.Refused("NOT_FOUND"))
    elif len(account.agents) >= rules_of(state).agents_per_account:
        out.append(ev.Refused("VALIDATION_FAILED", {"agents_per_account": rules_of(state).agents_per_account}))
    elif command.name.lower() in state.names:
        out.append(ev.Refused("AGENT_NAME_TAKEN"))
    else:
        _new_agent(state, account, command.name, ts, out)


def _new_agent(state: State, account: Account, name: str, ts: int, out: Events) -> Agent:
    agent = Agent(new_id(state), account, name, ts)
    state.agents[agent.id] = agent
    state.names[name.lower()] = agent.id
    account.agents.append(agent.id)
    out.append(ev.AgentCreated(agent.id, account.id, name, ts))
    return agent


def _issue(state: State, agent: Agent, spec: KeySpec, ts: int, out: Events) -> None:
    assert spec.key_id not in state.keys, "key ids are random and long"
    state.keys[spec.key_id] = Key(agent, spec, ts)
    agent.keys.append(spec.key_id)
    out.append(ev.KeyIssued(agent.id, spec, ts))


def drop_key(state: State, key_id: str, actor: str, ts: int, out: Events) -> None:
    """Forget a key: whoever shows it from now on is refused."""
    key = state.keys.pop(key_id)
    key.agent.keys.remove(key_id)
    out.append(ev.KeyRevoked(key.agent.id, key_id, actor, ts))


def _owned(state: State, account: int, agent_id: int, out: Events) -> Agent | None:
    """The agent, if it belongs to the account; else None after saying why not."""
    agent = state.agents.get(agent_id)
    if agent is None:
        out.append(ev.Refused("NOT_FOUND"))
    elif agent.account.id != account:
        out.append(ev.Refused("FORBIDDEN"))
    else:
        return agent
    return None


def issue_key(state: State, command: cmd.IssueKey, ts: int, out: Events) -> None:
    agent = _owned(state, command.account, command.agent, out)
    if agent is None:
        return
    if len(agent.keys) >= rules_of(state).keys_per_agent:
        out.append(ev.Refused("VALIDATION_FAILED", {"keys_per_agent": rules_of(state).keys_per_agent}))
        return
    _issue(state, agent, command.key, ts, out)


def revoke_key(state: State, command: cmd.RevokeKey, ts: int, out: Events) -> None:
    agent = _owned(state, command.account, command.agent, out)
    if agent is None:
        return
    if command.key_id not in agent.keys:
        out.append(ev.Refused("NOT_FOUND"))
        return
    drop_key(state, command.key_id, "owner", ts, out)


def rotate_key(state: State, command: cmd.RotateKey, ts: int, out: Events) -> None:
    agent = _owned(state, command.account, command.agent, out)
    if agent is None:
        return
    if command.key_id not in agent.keys:
        out.append(ev.Refused("NOT_FOUND"))
        return
    old = state.keys[command.key_id].spec
    drop_key(state, command.key_id, "owner", ts, out)
    spec = KeySpec(command.new_key_id, command.new_digest, old.name, old.scopes, old.expires_at, old.allowed_ips)
    _issue(state, agent, spec, ts, out)


def transfer(state: State, command: cmd.Transfer, ts: int, out: Events) -> None:
    """Between wallets of one account; only free cash can leave an agent."""
    account = state.accounts.get(command.account)
    if account is None:
        out.append(ev.Refused("NOT_FOUND"))
        return
    if state.frozen:
        out.append(ev.Refused("EXCHANGE_FROZEN"))
        return
    wallets: list[Agent | Account] = []
    for wallet_id in (command.source, command.target):
        wallet = account if wallet_id == account.id else _owned(state, account.id, wallet_id, out)
        if wallet is None:
            return
        wallets.append(wallet)
    source, target = wallets
    free = source.free if isinstance(source, Agent) else source.cash
    if free < command.amount_cents:
        out.append(
            ev.Refused(
                "INSUFFICIENT_BALANCE",
                {"wallet": source.id, "free_cash_cents": free, "required_cents": command.amount_cents},
            )
        )
        return
    transfer_id = new_id(state)
    move_cash(state, source, "TRANSFER", -command.amount_cents, None, ts, out)
    move_cash(state, target, "TRANSFER", command.amount_cents, None, ts, out)
    out.append(
        ev.Transferred(
            transfer_id, account.id, source.id, target.id, command.amount_cents, command.client_transfer_id, ts
        )
    )


def faucet(state: State, agent: Agent, command: cmd.Faucet, ts: int, out: Events) -> None:
    """Testnet cash. Cool-down and cap are the account's, so more agents do not bring more."""
    rules = rules_of(state)
    account = agent.account
    amount = rules.faucet_amount_cents
    if account.faucet_claimed + amount > rules.faucet_account_cap_cents:
        out.append(ev.Refused("FAUCET_CAP_REACHED", {"account_cap_cents": rules.faucet_account_cap_cents}))
        return
    if ts < account.faucet_next_at:
        wait = account.faucet_next_at - ts
        out.append(ev.Refused("FAUCET_COOLDOWN", {"next_claim_at": account.faucet_next_at, "retry_after_ms": wait}))
        return
    account.faucet_claimed += amount
    account.faucet_next_at = ts + rules.faucet_cooldown_ms
    state.granted_cents += amount
    move_cash(state, agent, "FAUCET", amount, None, ts, out)
    out.append(ev.FaucetClaimed(agent.id, amount, agent.cash, account.faucet_next_at, ts))
