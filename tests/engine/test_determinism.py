"""The same journal gives the same bytes: in another process, under another hash seed, on another Python.

A process of its own applies the recorded commands and prints one digest of all event bytes and the hash of the state.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from raeth.engine.codec import decode_command, encode_command, encode_events
from raeth.engine.exchange import apply, new_state
from raeth.engine.snapshot import dump, load, state_hash
from tests.engine.workloads import generate

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = 3_000

REPLAY = """
import hashlib, json, sys
from raeth.engine.codec import decode_command, encode_events
from raeth.engine.exchange import apply, new_state
from raeth.engine.snapshot import state_hash
state, digest = new_state(), hashlib.sha256()
with open(sys.argv[1], encoding="utf-8") as journal:
    for seq, line in enumerate(journal, 1):
        ts, command = json.loads(line)
        digest.update(encode_events(apply(state, decode_command(command.encode()), seq, ts)) + b"\\n")
print(json.dumps([digest.hexdigest(), state_hash(state)]))
"""


@pytest.fixture(scope="module")
def journal(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A file of `[ts, command]` lines and what this process made of them."""
    path = tmp_path_factory.mktemp("determinism") / "journal.jsonl"
    *_, (pair, _, _) = generate(seed=7, count=COMMANDS)
    with path.open("w", encoding="utf-8") as file:
        for ts, command in pair.journal:
            file.write(json.dumps([ts, encode_command(command).decode()]) + "\n")
    state, digest = new_state(), hashlib.sha256()
    for seq, (ts, command) in enumerate(pair.journal, 1):
        digest.update(encode_events(apply(state, command, seq, ts)) + b"\n")
    assert dump(state) == dump(pair.state)
    return path, [digest.hexdigest(), state_hash(state)]


def replay(python: str, path: Path, hash_seed: str) -> list[str]:
    env = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [python, "-c", REPLAY, str(path)], env=env, cwd=path.parent, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    answer: list[str] = json.loads(done.stdout)
    return answer


def pythons() -> list[str]:
    """Other interpreters this machine has, by name."""
    here = f"python3.{sys.version_info.minor}"
    return [name for name in ("python3.11", "python3.12", "python3.13", "python3.14") if name != here]


@pytest.mark.parametrize("hash_seed", ["0", "1", "20261120", "random"])
def test_same_bytes_under_any_hash_seed(journal: tuple[Path, list[str]], hash_seed: str) -> None:
    path, expected = journal
    assert replay(sys.executable, path, hash_seed) == expected


@pytest.mark.parametrize("name", pythons())
def test_same_bytes_on_another_python(journal: tuple[Path, list[str]], name: str) -> None:
    path, expected = journal
    python = shutil.which(name)
    if python is None or subprocess.run([python, "-c", "import msgspec"], capture_output=True).returncode != 0:
        pytest.skip(f"no {name} with msgspec here")
    assert replay(python, path, "random") == expected


def test_a_decoded_command_is_the_command(journal: tuple[Path, list[str]]) -> None:
    path, _ = journal
    for line in path.read_text("utf-8").splitlines():
        data = json.loads(line)[1].encode()
        assert encode_command(decode_command(data)) == data


def test_a_snapshot_anywhere_continues_alike(journal: tuple[Path, list[str]]) -> None:
    """Every 100 commands the state is thrown away and taken up again from its bytes."""
    path, expected = journal
    state, digest = new_state(), hashlib.sha256()
    for seq, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        ts, command = json.loads(line)
        digest.update(encode_events(apply(state, decode_command(command.encode()), seq, ts)) + b"\n")
        if seq % 100 == 0:
            data = dump(state)
            state = load(data)
            assert dump(state) == data
    assert [digest.hexdigest(), state_hash(state)] == expected
