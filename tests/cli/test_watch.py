"""`raeth watch`: the installed program in a pipe and in a terminal; its venue is there, goes, and comes back."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import threading
from pathlib import Path

import pytest
from rich.cells import cell_len

from tests.cli.programs import SHORT, STARTED
from tests.e2e.venue import RAETH, Host, VenueProcess, environment, hosting, until


@pytest.fixture(scope="module")
def venue(host: Host) -> VenueProcess:
    """With one window that is over."""
    venue = host.serve("--no-house", **SHORT)
    until("a window that is over", lambda: venue.markets(status=["RESOLVED", "VOID"]), 40)
    return venue


@pytest.mark.parametrize("size", [(80, 24), (140, 40), (60, 18), (40, 10)])
def test_once_prints_one_whole_frame(host: Host, venue: VenueProcess, size: tuple[int, int]) -> None:
    width, height = size
    market = venue.open_market(least_left_s=4)
    agent, symbol = venue.signup(f"once-{width}"), market["symbol"]
    for side, price, qty in (("BUY", 47, 1_234), ("SELL", 99, 5), ("BUY", 1, 9)):
        order = {"market_id": symbol, "side": side, "type": "LIMIT", "price": price, "qty": qty}
        assert agent.ask("POST", "/orders", json=order)["status"] == "OPEN"
    done = host.run("watch", "--once", "--url", venue.url, COLUMNS=str(width), LINES=str(height))
    agent.ask("POST", "/orders/cancel", json={})
    assert done.returncode == 0, done.stderr
    assert "\x1b" not in done.stdout
    rows = done.stdout.split("\n")
    assert rows.pop() == "" and len(rows) == height
    assert {cell_len(row) for row in rows} == {width}
    assert (
        (symbol in rows[0] or width < 60)
        and "● LIVE" in rows[0]
        and "closes in" in rows[1]
        and "SYNTHETIC PRICE" in rows[2]
    )
    if width >= 60:
        for title in ("bitcoin, the last minute", "book", "windows", "trades"):
            assert f"╭─ {title} ─" in done.stdout
        assert re.search(r"PREV \d\d:\d\d", done.stdout) and "NEXT " in done.stdout
        for level in (r" 47¢ +1234 █", r" 99¢ +5 ▏", r" 1¢ +9 ▏", r"52¢ · mid 73¢"):
            assert re.search(level, done.stdout), (level, done.stdout)


def test_with_a_key_the_account_is_shown(host: Host, venue: VenueProcess) -> None:
    agent = venue.signup("looked-at")

    def shown() -> str | None:
        market = venue.open_market(least_left_s=3)
        agent.ask(
            "POST", "/orders", json={"market_id": market["id"], "side": "BUY", "type": "LIMIT", "price": 1, "qty": 7}
        )
        done = host.run("watch", "--once", "--url", venue.url, RAETH_API_KEY=agent.key, COLUMNS="80", LINES="24")
        assert done.returncode == 0, done.stderr
        assert agent.key not in done.stdout
        return done.stdout if "@ 1¢" in done.stdout else None  # else its window closed meanwhile

    text = until("the order on the picture", shown, 30)
    assert "╭─ looked-at ─" in text and "cash $1,000.00" in text and "BUY" in text


def test_what_cannot_be_watched_is_said_in_one_line(host: Host, venue: VenueProcess) -> None:
    for arguments, code, said in (
        (("--url", "http://127.0.0.1:9"), 1, "All connection attempts failed"),
        (("--url", "nowhere"), 2, "not the address of a venue"),
        (("--url", venue.url, "--api-key", "rk_live_x"), 1, "AUTH_INVALID"),
    ):
        done = host.run("watch", "--once", *arguments)
        assert done.returncode == code, done.stderr
        (line,) = done.stderr.splitlines()
        assert line.startswith("raeth watch: ") and said in line


def test_in_a_pipe_frames_follow_each_other_until_nobody_reads(host: Host, venue: VenueProcess) -> None:
    watching = subprocess.Popen(
        [RAETH, "watch", "--url", venue.url],
        env=environment(host.folder, {"COLUMNS": "80", "LINES": "24"}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert watching.stdout is not None and watching.stderr is not None
    seen = b""
    while seen.count(b"LIVE 1") + seen.count(b"closes in") < 3:
        chunk = watching.stdout.readline()
        assert chunk, watching.stderr.read()
        seen += chunk
    assert b"\x1b" not in seen
    watching.stdout.close()
    assert watching.wait(timeout=30) == 0
    assert watching.stderr.read() == b""
    watching.stderr.close()


class Terminal:
    """The program in a terminal of 80 by 24; `text` is all it wrote."""

    def __init__(self, folder: Path, url: str, **settings: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        env = environment(folder, settings)
        for name in ("NO_COLOR", "COLUMNS"):
            env.pop(name, None)
        env.update(TERM="xterm-256color", **settings)
        self.process = subprocess.Popen(
            [RAETH, "watch", "--url", url], env=env, stdin=slave, stdout=slave, stderr=slave, start_new_session=True
        )
        STARTED.append(self.process)
        os.close(slave)
        self._wrote = b""
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()

    def _read(self) -> None:
        while True:
            select.select([self._master], [], [], 1.0)
            try:
                chunk = os.read(self._master, 65_536)
            except OSError:
                return
            if not chunk:
                return
            self._wrote += chunk

    @property
    def text(self) -> str:
        return self._wrote.decode(errors="replace")

    def end(self) -> str:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=10)
        self._reading.join(timeout=10)
        os.close(self._master)
        assert code == 0, self.text[-2000:]
        return self.text


def test_in_a_terminal_it_draws_over_itself_and_puts_everything_back(host: Host, venue: VenueProcess) -> None:
    terminal = Terminal(host.folder, venue.url)
    until("some frames", lambda: terminal.text.count("● LIVE") >= 5, 30)
    text = terminal.end()
    pictures = re.split(r"\x1b\[H", re.sub(r"\x1b\[[\d;]*m", "", text))[2:-1]
    assert len(pictures) >= 5
    for picture in pictures:
        rows = picture.replace("\x1b[?25l", "").replace("\x1b[?25h", "").split("\r\n")
        assert [cell_len(row) for row in rows] == [80] * 24, picture
    assert "╭─ book ─" in pictures[-1] and "!!! SYNTHETIC PRICE" in pictures[-1]
    assert text.count("\x1b[?1049h") == text.count("\x1b[?1049l") == 1
    assert text.count("\x1b[?25l") >= 1 and text.rindex("\x1b[?25h") > text.rindex("\x1b[?25l")
    assert "\x1b[2J" not in text, "clearing the screen flickers"
    assert "\x1b[32m" in text or "\x1b[1;32m" in text, "colours"


def test_without_colours_where_none_are_wanted(host: Host, venue: VenueProcess) -> None:
    terminal = Terminal(host.folder, venue.url, NO_COLOR="1")
    until("some frames", lambda: terminal.text.count("● LIVE") >= 2, 30)
    text = terminal.end()
    assert not re.search(r"\x1b\[(?:\d+;)*[349][0-7](?:;\d+)*m", text)
    assert "!!! SYNTHETIC PRICE" in text


def test_a_venue_that_goes_is_said_to_be_gone_and_one_that_comes_back_is_shown_again(tmp_path: Path) -> None:
    with hosting(tmp_path) as host:
        venue = host.serve("--no-house", **SHORT)
        port = venue.url.rsplit(":", 1)[1]
        terminal = Terminal(host.folder, venue.url)
        until("a frame", lambda: "● LIVE" in terminal.text, 30)
        venue.process.send_signal(signal.SIGSTOP)
        until("it is silent", lambda: "NOT CURRENT: nothing was heard for" in terminal.text, 30)
        venue.process.send_signal(signal.SIGCONT)
        mark = len(terminal.text)
        until("it speaks again", lambda: "● LIVE" in terminal.text[mark:], 30)
        venue.kill()
        until("it is gone", lambda: "THE VENUE IS GONE" in terminal.text and "✖ GONE" in terminal.text, 30)
        mark = len(terminal.text)
        host.serve("--no-house", "--port", port, **SHORT)
        until("it is back", lambda: "● LIVE" in terminal.text[mark:], 30)
        terminal.end()


def test_it_waits_for_a_venue_that_is_not_there_yet(tmp_path: Path, venue: VenueProcess) -> None:
    with hosting(tmp_path) as host:
        terminal = Terminal(host.folder, "http://127.0.0.1:9")
        until("what it waits for", lambda: "NOT CONNECTED to http://127.0.0.1:9" in terminal.text, 30)
        terminal.end()
