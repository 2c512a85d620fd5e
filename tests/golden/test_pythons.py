"""`raeth audit` says the same, byte for byte, under every hash seed and on every Python the project promises.

Each run is a process of its own over the same files: the golden journals and a bigger one made for the occasion, as a
venue keeps them. One golden that is wrong by one byte goes along, to show that all of them look.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from raeth.engine import codec
from raeth.engine.exchange import new_state
from raeth.journal.base import EMPTY_HEAD, Row
from raeth.journal.chain import head_of, next_row
from tests.golden import pythons
from tests.golden.busy import busy
from tests.golden.database import make_database
from tests.golden.replay import Golden, chain, continued, execute, files, read

COMMANDS = 4_000
LONG_COMMANDS = 20_000
SEED = 20_261_121
RUN_S = 100
ZONES = ("UTC", "Asia/Kathmandu", "America/St_Johns")
"""Where the machine thinks it is may not matter either: each hash seed runs elsewhere."""

AUDIT = """
import json, sys
from pathlib import Path
from raeth.audit import AuditFailed, audit_file
said = {}
for name in sys.argv[1:]:
    try:
        said[name] = audit_file(Path(name)).as_dict() | {"seconds": None}
    except AuditFailed as failed:
        said[name] = [failed.seq, failed.why]
print(json.dumps(said))
"""

Said = dict[str, Any]


def audit(python: str | Path, hash_seed: str, folder: Path) -> Said:
    """What `raeth.audit` says of every journal in the folder, in a process of its own."""
    # Bytecode of other Pythons is kept with them: compiling takes as long as the audit.
    compiled = str(pythons.CACHE / "compiled")
    env = {**os.environ, "PYTHONPATH": str(pythons.ROOT), "PYTHONHASHSEED": hash_seed, "PYTHONPYCACHEPREFIX": compiled}
    env |= {"TZ": ZONES[int(hash_seed) % len(ZONES)]}
    names = sorted(path.name for path in folder.glob("*.db"))
    command = [str(python), "-c", AUDIT, *names]
    done = subprocess.run(command, env=env, cwd=folder, capture_output=True, text=True, timeout=RUN_S)
    assert done.returncode == 0, done.stderr
    said: Said = json.loads(done.stdout)
    return said


@pytest.fixture(scope="module")
def present(request: pytest.FixtureRequest) -> dict[str, Golden]:
    """The goldens that this engine goes on with, and a bigger journal."""
    kept = [golden for golden in map(read, files()) if continued(golden)]
    state = new_state()
    commands = LONG_COMMANDS if request.config.getoption("--long") else COMMANDS
    big = execute("big", busy(state, SEED, commands), state)
    assert big.foot.commands >= commands
    return {golden.head.name: golden for golden in [*kept, big]}


@pytest.fixture(scope="module")
def folder(present: dict[str, Golden], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them as databases, and `wrong.db`, in which one event was changed and every hash made to fit."""
    folder = tmp_path_factory.mktemp("journals")
    for name, golden in present.items():
        make_database(folder / f"{name}.db", chain(golden))
    make_database(folder / "wrong.db", one_cent_less(chain(present["v1-tour"])))
    return folder


def one_cent_less(rows: list[Row]) -> list[Row]:
    """The first signup grant is a cent smaller than the rules say."""
    changed: list[Row] = []
    head, done = EMPTY_HEAD, False
    for row in rows:
        events = row.events
        if not done and b'"SIGNUP_GRANT"' in events:
            events = events.replace(b'"SIGNUP_GRANT",100000,100000', b'"SIGNUP_GRANT",99999,99999')
            codec.decode_events(events)
            done = events != row.events
        changed.append(next_row(head, row.ts, row.command, events))
        head = head_of(changed[-1])
    assert done, "nothing was changed"
    return changed


@pytest.fixture(scope="module")
def expected(present: dict[str, Golden], folder: Path) -> Said:
    """What this Python says under hash seed 0, which must be what the journals say of themselves."""
    said = audit(sys.executable, "0", folder)
    for name, golden in present.items():
        report = said[f"{name}.db"]
        assert isinstance(report, dict), report
        assert (report["commands"], report["chain_head"]) == (golden.foot.commands, golden.foot.chain_head)
        assert report["state_hash"] in golden.foot.states.values()
    assert said["wrong.db"] == [2, "re-executing it gives other events"]
    return said


@pytest.mark.parametrize("hash_seed", ["20261120"])
def test_under_any_hash_seed(expected: Said, folder: Path, hash_seed: str) -> None:
    assert audit(sys.executable, hash_seed, folder) == expected


@pytest.mark.timeout(300)
@pytest.mark.parametrize("version", pythons.others())
def test_on_every_python(expected: Said, folder: Path, version: str) -> None:
    try:
        python = pythons.environment(version)
    except pythons.Unavailable as why:
        pytest.skip(f"Python {version}: {why}")
    assert audit(python, str(pythons.VERSIONS.index(version) + 3), folder) == expected


def test_every_promised_python_is_tried() -> None:
    """The versions in pyproject.toml, this one among them."""
    lines = (pythons.ROOT / "pyproject.toml").read_text("utf-8").splitlines()
    promised = [line.split(" :: ")[-1].strip('",') for line in lines if "Programming Language :: Python :: " in line]
    assert promised == list(pythons.VERSIONS)
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert {here, *pythons.others()} >= set(promised)


def test_a_python_that_is_not_there_is_said_so() -> None:
    with pytest.raises(pythons.Unavailable, match=r"no python3\.2 on the PATH"):
        pythons.find("3.2")
