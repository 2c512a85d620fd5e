"""`raeth bot`: the installed program against a venue of its own; its lines, its end, and what it leaves behind."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from pathlib import Path

import httpx2
import pytest

from tests.cli.programs import SHORT, STARTED
from tests.e2e.venue import RAETH, Host, VenueProcess, environment, hosting, until


@pytest.fixture(scope="module")
def venue(host: Host) -> VenueProcess:
    return host.serve("--house", **SHORT)


class Bot:
    """One `raeth bot`, its output in files."""

    def __init__(self, folder: Path, name: str, venue: VenueProcess, *arguments: str, **settings: str) -> None:
        self.out, self.err = folder / f"{name}.out", folder / f"{name}.err"
        with self.out.open("wb") as out, self.err.open("wb") as err:
            self.process = subprocess.Popen(
                [RAETH, "bot", *arguments, "--url", venue.url],
                env=environment(folder, settings),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
            )
        STARTED.append(self.process)

    @property
    def text(self) -> str:
        return self.out.read_text()

    def find(self, pattern: str) -> re.Match[str] | None:
        assert self.process.poll() in (None, 0), self.text + self.err.read_text()
        return re.search(pattern, self.text, re.MULTILINE)

    def end(self, number: signal.Signals | None = None) -> str:
        if number is not None:
            self.process.send_signal(number)
        assert self.process.wait(timeout=60) == 0, self.text + self.err.read_text()
        assert self.err.read_text() == ""
        return self.text


SUMMARY = r"^windows \d+, fills \d+ \(\d+ contracts\), pnl [+-]?\$[\d,]+\.\d\d, cash \$[\d,]+\.\d\d$"


@pytest.mark.parametrize("kind", ["random", "maker", "fair"])
def test_it_trades_for_some_seconds_and_sums_up(host: Host, venue: VenueProcess, kind: str) -> None:
    done = host.run("bot", kind, "--url", venue.url, "--seconds", "6", "--seed", "3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    first, second, *_ = done.stdout.splitlines()
    assert first.startswith(f"signed up as {kind}-bot-") and "throw-away" in first
    assert "rk_live_" not in done.stdout and "--show-key" in second
    assert "whose price is synthetic" in done.stdout
    assert re.search(SUMMARY, done.stdout, re.MULTILINE), done.stdout
    assert "\x1b" not in done.stdout


def test_ctrl_c_leaves_no_resting_orders(host: Host, venue: VenueProcess) -> None:
    bot = Bot(host.folder, "sigint", venue, "maker", "--name", "leaves-nothing", "--show-key")
    key = until("its key", lambda: bot.find(r"^key (rk_live_\S+)$"))[1]
    headers = {"Authorization": f"Bearer {key}"}
    reader = httpx2.Client(base_url=f"{venue.url}/api/v1", headers=headers, timeout=20)

    def resting() -> bool:
        market = venue.open_market()
        found = reader.get("/orders", params={"status": "OPEN", "market_id": market["id"]}).json()["items"]
        return len(found) > 0

    until("a quote at rest", resting, 30)
    text = bot.end(signal.SIGINT)
    assert re.search(SUMMARY, text, re.MULTILINE), text
    with contextlib.closing(reader):
        account = reader.get("/account").json()
        assert account["open_orders"] == 0
        summary = re.search(r"cash \$([\d,]+)\.(\d\d)$", re.search(SUMMARY, text, re.MULTILINE)[0])  # type: ignore[index]
        assert summary is not None
        cash_cents = int(summary[1].replace(",", "") + summary[2])
        paid = [e["amount_cents"] for e in reader.get("/ledger").json()["items"] if e["kind"] == "SETTLEMENT"]
        # a window may have settled between the bot's last look and ours
        assert account["cash_cents"] in (cash_cents, cash_cents + (paid[0] if paid else 0))


def test_with_a_key_it_is_that_agent_and_an_empty_purse_is_filled(host: Host, tmp_path: Path) -> None:
    with hosting(tmp_path) as own:
        venue = own.serve("--house", RAETH_FAUCET__SIGNUP_GRANT_CENTS="500", **SHORT)
        agent = venue.signup("short-of-cash")
        bot = Bot(own.folder, "faucet", venue, "random", RAETH_API_KEY=agent.key)
        until("a claim", lambda: bot.find(r"^faucet \+\$100\.00, cash \$\d+\.\d\d$"), 30)
        text = bot.end(signal.SIGTERM)
        assert text.startswith("short-of-cash trades on ") and agent.key not in text
        kinds = [entry["kind"] for entry in agent.ask("GET", "/ledger")["items"]]
        assert kinds.count("FAUCET") == 1


def test_a_reader_that_goes_away_ends_it_quietly(host: Host, venue: VenueProcess) -> None:
    bot = subprocess.Popen(
        [RAETH, "bot", "maker", "--url", venue.url],
        env=environment(host.folder, {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert bot.stdout is not None and bot.stderr is not None
    assert bot.stdout.readline().startswith(b"signed up")
    bot.stdout.close()
    assert bot.wait(timeout=60) == 0
    assert bot.stderr.read() == b""
    bot.stderr.close()


def test_the_example_of_the_page_runs(host: Host, venue: VenueProcess) -> None:
    page = (Path(__file__).parents[2] / "docs" / "bots.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert "asyncio.sleep(90)" in example
    done = subprocess.run(
        [sys.executable, "-c", example.replace("asyncio.sleep(90)", "asyncio.sleep(14)")],
        env=environment(host.folder, {"RAETH_URL": venue.url}),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    assert "Place(side='BUY', qty=1" in done.stdout and "Summary(" in done.stdout


def test_what_cannot_be_done_is_said_in_one_line(host: Host, venue: VenueProcess) -> None:
    for arguments, code, said in (
        (("fair", "--url", "http://127.0.0.1:9"), 1, "All connection attempts failed"),
        (("fair", "--url", "nowhere"), 2, "not the address of a venue"),
        (("fair", "--url", venue.url, "--api-key", "rk_live_x"), 1, "AUTH_INVALID"),
        (("fair", "--url", venue.url, "--name", "admin"), 1, "AGENT_NAME_TAKEN"),
        (("fair", "--url", venue.url, "--name", "mine", "--api-key", "k"), 2, "has a name"),
    ):
        done = host.run("bot", *arguments)
        assert done.returncode == code, done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith("raeth bot: ") and said in line
        assert done.stdout == ""
