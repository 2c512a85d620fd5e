"""What docs/research.md shows, runs."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

import pytest

DOC = Path(__file__).resolve().parents[2] / "docs" / "research.md"
BLOCKS = re.findall(r"```python\n(.*?)```", DOC.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("place", range(len(BLOCKS)))
def test_a_block_of_the_page_runs(place: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    block = BLOCKS[place]
    if "gymnasium" in block:
        pytest.importorskip("gymnasium", reason="NOT TESTED: gymnasium is missing (extra: research)")
    if "btc.frames.gz" in block:
        rows = [f"{1_767_268_795_000 + 500 * step},{6_000_000 + step}" for step in range(400)]
        with gzip.open("btc.frames.gz", "wt") as file:
            file.write("ts_ms,price_cents\n" + "\n".join(rows) + "\n")
    known = "from raeth.examples import FairAgent, MakerAgent\nfrom raeth.sim import Simulation\n"
    exec(compile(known + block, f"{DOC.name}, block {place + 1}", "exec"), {})
    if "to_csv" in block:
        assert (tmp_path / "out" / "fills.csv").stat().st_size > 1_000


def test_the_page_has_blocks() -> None:
    assert len(BLOCKS) >= 4
