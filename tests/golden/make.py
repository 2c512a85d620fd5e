"""Makes the golden journals that are missing: `python -m tests.golden.make`. Never makes one anew; see README.md."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

from raeth.engine import codec
from raeth.engine.exchange import new_state
from raeth.engine.types import ENGINE_VERSION
from tests.engine.workloads import generate
from tests.golden.busy import busy
from tests.golden.replay import (
    JOURNALS,
    Golden,
    HistoryAltered,
    continued,
    digest_key,
    execute,
    files,
    read,
    replay,
    write,
)
from tests.golden.tour import Commands, deadman, tour


def seeded(seed: int, count: int) -> Callable[[], Commands]:
    """A workload of the engine's own tests, which draws nearly every command from a seed."""

    def make() -> Commands:
        *_, (pair, _, _) = generate(seed, count)
        return pair.journal

    return make


def interrupted(seed: int, count: int) -> Callable[[], Commands]:
    """Traffic with dead-man timers in it, at a venue that cannot be reached now and then."""

    def make() -> Commands:
        state = new_state()
        return decoded(execute("", busy(state, seed, count, breaks=40), state))

    return make


WORKLOADS: Final[dict[str, Callable[[], Commands]]] = {
    "v1-tour": tour,
    "v1-deadman": deadman,
    "v1-breaks": interrupted(404, 700),
    "v1-mixed-1": seeded(101, 900),
    "v1-mixed-2": seeded(202, 900),
    "v1-mixed-3": seeded(303, 900),
}
"""What each golden was made of. The engine's version is part of the name: no later engine can make it again."""


def path_of(name: str) -> Path:
    return JOURNALS / f"{name}.jsonl.gz"


def add_digest(path: Path) -> bool:
    """Give an old golden the digest of its state today, if its events are still the same. Raises HistoryAltered."""
    golden = read(path)
    if not continued(golden) or digest_key() in golden.foot.states:
        return False
    made = execute(golden.head.name, decoded(golden))
    if made.rows != golden.rows:
        replay(golden)  # says where
    golden.foot.states |= made.foot.states
    write(path, golden)
    return True


def decoded(golden: Golden) -> Commands:
    return [(ts, codec.decode_command(command)) for ts, command, _ in golden.rows]


def main() -> int:
    for path in files():
        try:
            if add_digest(path):
                print(f"{path.name}: the state's digest for {digest_key()} added")
        except HistoryAltered as altered:
            print(altered, file=sys.stderr)
            return 1
    for name, workload in WORKLOADS.items():
        path = path_of(name)
        if path.exists():
            print(f"{path.name}: is there, and stays as it is")
            continue
        if not name.startswith(f"v{ENGINE_VERSION}-"):
            print(f"{path.name}: is lost, and engine {ENGINE_VERSION} cannot make it: restore it", file=sys.stderr)
            return 1
        golden = execute(name, workload())
        write(path, golden)
        print(f"{path.name}: {golden.foot.commands} commands, {path.stat().st_size} bytes, {golden.foot.chain_head}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
