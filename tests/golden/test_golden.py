"""History stays what it was: every golden journal, re-executed by the engine of today, byte for byte.

If one of these fails, the engine gives other events for commands that venues have in their journals. That is either a
mistake, or a new ENGINE_VERSION; README.md in this folder says what to do then.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from raeth.engine import clearing, exchange, fees, plan, risk, trading, windows
from raeth.engine import commands as cmd
from raeth.engine.book import Book
from raeth.engine.fees import FEE_UNIT
from raeth.engine.state import State
from raeth.engine.types import ENGINE_VERSION, VOID, Order
from tests.golden import make
from tests.golden.coverage import seen, wanted
from tests.golden.replay import (
    NOTE,
    Golden,
    HistoryAltered,
    chain,
    continued,
    difference,
    execute,
    files,
    read,
    replay,
    write,
)

MOST_BYTES = 300_000

PENDING: dict[str, list[str]] = {}
"""What the engine has and no golden shows yet."""


@pytest.fixture(scope="module")
def goldens() -> list[Golden]:
    """Those that the engine of today goes on with."""
    return [golden for golden in map(read, files()) if continued(golden)]


def ids(path: Path) -> str:
    return path.name.removesuffix(".jsonl.gz")


@pytest.mark.parametrize("path", files(), ids=ids)
def test_the_engine_gives_what_the_journal_holds(path: Path) -> None:
    golden = read(path)
    chain(golden)
    if not continued(golden):
        pytest.skip(f"engine {golden.head.engine_version} wrote it: only its chain can be checked, and holds")
    replay(golden)


def test_nothing_the_engine_knows_is_left_out(goldens: list[Golden]) -> None:
    met = seen(goldens)
    missing = {kind: sorted(names - met[kind]) for kind, names in wanted().items() if names - met[kind]}
    assert missing == PENDING, "no golden has these: add a workload to tests/golden/make.py and run it"


def test_the_folder_is_small_and_says_what_it_is() -> None:
    heads = {ids(path): read(path).head for path in files()}
    assert set(heads) == set(make.WORKLOADS), "every file is explained, and none is lost"
    for name, head in heads.items():
        assert (head.name, head.note) == (name, NOTE)
        assert name.startswith(f"v{head.engine_version}-")
    assert sum(path.stat().st_size for path in files()) < MOST_BYTES


def test_commands_read_and_written_again_are_the_same(goldens: list[Golden]) -> None:
    for golden in goldens:
        assert execute(golden.head.name, make.decoded(golden)).rows == golden.rows


def test_a_file_keeps_every_byte(tmp_path: Path, goldens: list[Golden]) -> None:
    write(tmp_path / "one.gz", goldens[0])
    write(tmp_path / "two.gz", read(tmp_path / "one.gz"))
    assert (tmp_path / "one.gz").read_bytes() == (tmp_path / "two.gz").read_bytes()
    assert read(tmp_path / "two.gz") == goldens[0]


def test_a_changed_file_is_not_blamed_on_the_engine(goldens: list[Golden]) -> None:
    golden = goldens[0]
    ts, command, events = golden.rows[7]
    rows = [*golden.rows[:7], (ts, command + b" ", events), *golden.rows[8:]]
    with pytest.raises(HistoryAltered, match="not the one that was made"):
        chain(Golden(golden.head, rows, golden.foot))


# ---- changes of the engine, made on purpose ----


def altered(goldens: list[Golden]) -> HistoryAltered:
    """What the first golden that notices says; the tour is the plainest."""
    for golden in sorted(goldens, key=lambda golden: "tour" not in golden.head.name):
        try:
            replay(golden)
        except HistoryAltered as found:
            print(found)
            return found
    raise AssertionError("history was altered and no golden noticed")


def test_a_smaller_fee_is_caught(goldens: list[Golden], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (fees, clearing):
        monkeypatch.setattr(module, "FEE_UNIT", FEE_UNIT * 11 // 10)
    assert "Traded: taker_fee_cents is" in altered(goldens).why


def test_last_come_first_served_is_caught(goldens: list[Golden], monkeypatch: pytest.MonkeyPatch) -> None:
    add = Book.add

    def in_front(book: Book, order: Order, level: int) -> None:
        add(book, order, level)
        queue = book.levels[order.side][level]
        others = [queue.pop(order_id) for order_id in list(queue) if order_id != order.id]
        queue.update((other.id, other) for other in others)

    monkeypatch.setattr(Book, "add", in_front)
    assert "PlaceOrder event 1, Traded: qty is 5, not 9" in altered(goldens).why


def test_a_kinder_cool_down_is_caught(goldens: list[Golden], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(risk, "note_decline", lambda *_: None)
    assert "PlaceOrder gives OrderEnded as event 0, not OrderPlaced" in altered(goldens).why


def test_a_tie_that_pays_is_caught(goldens: list[Golden], monkeypatch: pytest.MonkeyPatch) -> None:
    outcome = windows._outcome

    def paying(closes: Any, close: Any) -> tuple[str, str]:
        ended, reason = outcome(closes, close)
        return ("YES", reason) if (ended, reason) == (VOID, "TIE") else (ended, reason)

    monkeypatch.setattr(windows, "_outcome", paying)
    assert "outcome is 'YES', not 'VOID'" in altered(goldens).why


def test_a_command_that_does_more_is_caught(goldens: list[Golden], monkeypatch: pytest.MonkeyPatch) -> None:
    cancel_order, _, when_frozen = exchange._AGENT[cmd.CancelOrder]

    def twice(*given: Any) -> None:
        cancel_order(*given)
        cancel_order(*given)

    monkeypatch.setitem(exchange._AGENT, cmd.CancelOrder, (twice, True, when_frozen))
    assert "CancelOrder gives 2 events, not 1: one too many, Refused" in altered(goldens).why


def test_a_state_that_differs_in_silence_is_caught(goldens: list[Golden], monkeypatch: pytest.MonkeyPatch) -> None:
    """No event says where the reference came from, but a snapshot would."""
    index_tick: Callable[..., None] = exchange._VENUE[cmd.IndexTick]

    def forgetful(state: State, *given: Any) -> None:
        index_tick(state, *given)
        state.reference_source = "somewhere"

    monkeypatch.setitem(exchange._VENUE, cmd.IndexTick, forgetful)
    assert "equal events, but the state's digest" in altered(goldens).why


def test_an_engine_that_breaks_is_caught(goldens: list[Golden], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trading, "lock_cents", None)
    monkeypatch.setattr(plan, "lock_cents", None)
    assert "cannot be re-executed: TypeError" in altered(goldens).why


def test_differences_are_named() -> None:
    old = b'[["Refused","NOT_FOUND",null]]'
    assert (
        difference(old, b'[["Refused","FORBIDDEN",null]]') == "event 0, Refused: code is 'FORBIDDEN', not 'NOT_FOUND'"
    )
    assert difference(old, b"[]") == "gives 0 events, not 1: one too few, Refused at place 0"
    assert difference(old, b'[["Announced","a","b",1]]') == "gives Announced as event 0, not Refused"
    assert difference(old, b'[["Refused","NOT_FOUND"]]') == "event 0, Refused: details is 'nothing', not None"
    assert difference(old, b'[ ["Refused","NOT_FOUND",null]]') == "gives the same events in other bytes"


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The maker at work in an empty folder."""
    monkeypatch.setattr(make, "JOURNALS", tmp_path)
    monkeypatch.setattr(make, "files", lambda: sorted(tmp_path.glob("*.gz")))
    return tmp_path


def test_making_again_changes_nothing(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The maker adds what is missing and leaves the rest alone."""
    name = f"v{ENGINE_VERSION}-tour"
    monkeypatch.setattr(make, "WORKLOADS", {name: make.tour})
    assert make.main() == 0
    path = make.path_of(name)
    before = path.stat().st_mtime_ns
    assert make.main() == 0 and path.stat().st_mtime_ns == before
    golden = read(path)
    golden.foot.states = {"another engine": "its digest"}
    write(path, golden)
    assert make.main() == 0
    replay(read(path))
    assert read(path).foot.states["another engine"] == "its digest"
    golden.rows[3] = (golden.rows[3][0], golden.rows[3][1], b"[]")
    write(path, golden)
    assert make.main() == 1, "a digest is only given to history that is still the same"


def test_what_an_older_engine_made_cannot_be_made_again(elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(make, "WORKLOADS", {"v0-tour": make.tour})
    assert make.main() == 1 and not list(elsewhere.iterdir())
