"""`raeth bot random|maker|fair`: one of the sample agents on a live venue, its decisions as plain lines.

Without a key it signs up for itself. Must not know how a strategy is run (`raeth.client.runner` does), nor the server.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import signal
import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from raeth.commands.money import clock, dollars, plain

if TYPE_CHECKING:
    from raeth.client import AsyncClient
    from raeth.client.runner import Decided, Ended, Step, Summary
    from raeth.client.strategy import Outcome, Strategy

OUT_OF_CASH_CENTS = 1_000
"""With less settled cash than this the faucet is asked: it does not pay for ten contracts at any price."""

FAUCET_AGAIN_S = 5.0
NOTICE_AFTER_S = 1.0
"""A pause shorter than this is not worth a line: every change of windows has one."""


class Kind(StrEnum):
    random = "random"
    maker = "maker"
    fair = "fair"


def bot(
    kind: Annotated[
        Kind, typer.Argument(help="random: for no reason. maker: quotes both sides. fair: takes bargains.")
    ],
    url: Annotated[str, typer.Option(envvar="RAETH_URL", help="The venue's address.")] = "http://127.0.0.1:8000",
    name: Annotated[str | None, typer.Option(help="Name of the agent it signs up as. Default: made up.")] = None,
    api_key: Annotated[
        str | None, typer.Option(envvar="RAETH_API_KEY", show_envvar=True, help="Trade as this agent; no sign-up.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="Stop after this long. Default: at Ctrl-C.")] = None,
    seed: Annotated[int, typer.Option(help="Of the random agent: the same seed and market, the same trades.")] = 1,
    show_key: Annotated[
        bool, typer.Option("--show-key", help="Print the key of the agent that was signed up.")
    ] = False,
) -> None:
    """Trade with a sample agent until Ctrl-C: one line a decision that did something, one a settlement.

    When it stops it cancels what it has resting and sums up. Without a key it makes an account of its own.
    """
    if api_key and name is not None:
        _fail("--name is for signing up; an agent that has a key has a name", 2)
    from raeth.client.errors import ClientError

    try:
        asyncio.run(_trade(kind, url, name, api_key or None, seconds, seed, show_key))
    except ClientError as error:
        _fail(plain(str(error)))
    except ValueError as error:
        _fail(plain(str(error)), 2)
    except BrokenPipeError:  # nobody reads any more; the orders are cancelled
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except KeyboardInterrupt:
        raise typer.Exit(0) from None  # before it had begun


def _fail(message: str, code: int = 1) -> None:
    print(f"raeth bot: {message}", file=sys.stderr, flush=True)
    raise typer.Exit(code)


def strategy_of(kind: Kind, seed: int) -> Strategy:
    from raeth.examples import FairAgent, MakerAgent, RandomAgent

    if kind is Kind.random:
        return RandomAgent(seed=seed)
    return MakerAgent() if kind is Kind.maker else FairAgent()


async def _trade(
    kind: Kind, url: str, name: str | None, api_key: str | None, seconds: float | None, seed: int, show_key: bool
) -> None:
    from raeth.client.runner import run

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):  # elsewhere than on Unix Ctrl-C is a KeyboardInterrupt
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with await _client(kind, url, name, api_key, show_key) as client:
        account = await client.account()
        reference = await client.reference()
        note = ", whose price is synthetic" if reference.synthetic else ""
        say(f"{plain(account.agent_name)} trades on {client.url}{note}; cash {dollars(account.cash_cents)}")
        teller = Teller(client)
        faucet = asyncio.create_task(teller.keep_in_cash())
        try:
            # Should the process die or the network go, the venue cancels what is left alone.
            summary = await run(
                strategy_of(kind, seed),
                client,
                until=_stopped(stop, seconds),
                on_step=teller.step,
                cancel_on_disconnect=True,
            )
        finally:
            faucet.cancel()
            teller.quiet()
    for line in summed_up(summary):
        say(line)


async def _stopped(stop: asyncio.Event, seconds: float | None) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stop.wait()


async def _client(kind: Kind, url: str, name: str | None, api_key: str | None, show_key: bool) -> AsyncClient:
    from raeth.client import AsyncClient

    if api_key is not None:
        return AsyncClient(url, api_key)
    unique = secrets.token_hex(4)
    name = name or f"{kind.value}-bot-{unique}"
    client = await AsyncClient.signup(url, f"bot-{unique}@example.com", name)
    say(f"signed up as {client.agent_name}, agent {client.agent_id}: a throw-away account")
    say(f"key {client.api_key}" if show_key else "its key is forgotten when this ends (--show-key prints it)")
    return client


def say(line: str) -> None:
    print(line, flush=True)


class Teller:
    """Says what a run does, line by line, and keeps the agent in cash."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client
        self._broke = asyncio.Event()
        self._notice: asyncio.TimerHandle | None = None
        self._noticed = False

    def step(self, step: Step) -> None:
        from raeth.client.runner import Decided, Ended

        if isinstance(step, Decided):
            line = decision_line(step)
            if line is not None:
                say(line)
            self._look_at_cash(step.view.cash_cents)
        elif isinstance(step, Ended):
            say(settlement_line(step))
            self._look_at_cash(step.cash_cents)
        elif step.why:
            self.quiet()
            self._notice = asyncio.get_running_loop().call_later(NOTICE_AFTER_S, self._note, step.why)
        else:
            self.quiet()
            if self._noticed:
                say("goes on")
            self._noticed = False

    def quiet(self) -> None:
        if self._notice is not None:
            self._notice.cancel()
            self._notice = None

    def _note(self, why: str) -> None:
        self._noticed = True
        with contextlib.suppress(BrokenPipeError):  # the next step meets it too, where it ends the run
            say(f"waits: {plain(why)}")

    def _look_at_cash(self, cash_cents: int) -> None:
        if cash_cents < OUT_OF_CASH_CENTS:
            self._broke.set()
        else:
            self._broke.clear()

    async def keep_in_cash(self) -> None:
        """Claim from the faucet whenever there is next to no cash, as often as it allows."""
        from raeth.client.errors import ClientError, VenueError

        while True:
            await self._broke.wait()
            pause_s = FAUCET_AGAIN_S
            try:
                claim = await self._client.faucet()
                say(f"faucet {dollars(claim.amount_cents, signed=True)}, cash {dollars(claim.cash_cents)}")
                self._look_at_cash(claim.cash_cents)
            except VenueError as error:
                if error.code in ("FAUCET_CAP_REACHED", "FEATURE_DISABLED"):
                    say(f"out of cash, and the faucet gives no more: {error.code}")
                    return
                if error.code == "FAUCET_COOLDOWN":
                    pause_s = error.retry_after_s or FAUCET_AGAIN_S
            except ClientError:
                pass  # the run says what is the matter
            await asyncio.sleep(pause_s)


# ---- lines ----


def decision_line(step: Decided) -> str | None:
    """A decision that did something, as one line; None for one that did nothing."""
    done = [text for text in map(outcome_text, step.outcomes) if text]
    if not done:
        return None
    view = step.view
    left_s = max(0, view.close_at_ms - view.now_ms) // 1000
    held = f"net {view.net_qty:+d}" if view.net_qty else "flat"
    return f"{clock(view.now_ms)} {left_s:>3d} s left, {held}: {'; '.join(done)}"


def outcome_text(outcome: Outcome) -> str:
    """What an action did, or why it did not; empty for nothing at all."""
    from raeth.client.strategy import Amend, Cancel, CancelAll, Place, Quotes

    action, order = outcome.action, outcome.order
    match action:
        case Place(side, qty, price):
            what = f"{side} {qty} at {price}¢" if price is not None else f"{side} {qty} at market"
        case Quotes(_, bids, asks):
            what = f"quote {_levels(bids)} / {_levels(asks)}"
        case CancelAll():
            cancelled = outcome.details.get("cancelled", 0)
            if outcome.ok:
                return f"cancelled {cancelled}" if cancelled else ""
            what = "cancel all"
        case Cancel():
            what = "cancel"
        case Amend(_, price, qty):
            what = "amend to " + " ".join(f"{value}{unit}" for value, unit in ((price, "¢"), (qty, "")) if value)
    if not outcome.ok:
        return f"{what}: {outcome.reason}{_repair(outcome)}"
    if order is None:
        return what
    filled = f", filled {order.filled_qty} for {dollars(order.filled_notional_cents)}" if order.filled_qty else ""
    return f"{what}: {order.status}{filled}"


def _levels(levels: tuple[tuple[int, int], ...]) -> str:
    return " ".join(f"{qty}@{price}¢" for price, qty in levels) or "-"


def _repair(outcome: Outcome) -> str:
    """The one number that says most about how to do better."""
    for name in ("max_qty", "best_non_crossing_price", "required_cents", "retry_after_ms"):
        if outcome.details.get(name) is not None:
            return f" ({name} {outcome.details[name]})"
    return ""


def settlement_line(step: Ended) -> str:
    return (
        f"settled {plain(step.market)} {step.resolution}: pnl {dollars(step.pnl_cents, signed=True)}, "
        f"cash {dollars(step.cash_cents)}"
    )


def summed_up(summary: Summary) -> list[str]:
    """The closing lines."""
    held = ", ".join(f"{plain(symbol)} {net:+d}" for symbol, net in summary.positions.items())
    return [
        f"stopped; {summary.cancelled} resting orders cancelled",
        f"windows {summary.windows}, fills {summary.fills} ({summary.contracts} contracts), "
        f"pnl {dollars(summary.pnl_cents, signed=True)}, cash {dollars(summary.cash_cents)}",
        f"decisions {summary.decisions}, actions {summary.actions}, declined {summary.declined}",
        *([f"open position, settled when its market is: {held}"] if held else []),
    ]
