"""The Gymnasium environment: its checker is content, its rewards are money, its seeds are its own."""

from __future__ import annotations

import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("gymnasium", reason="NOT TESTED: gymnasium is missing (extra: research)")

import gymnasium
from gymnasium.utils.env_checker import check_env

from raeth.engine import invariants
from raeth.sim.env import AGENT, ENV_ID, HIGH, LOW, BinaryWindowEnv
from tests.sim.agents import steady

NOON = 1_767_268_800_000


def episode(env: BinaryWindowEnv, seed: int | None, action_seed: int = 1) -> Iterator[tuple[Any, ...]]:
    env.action_space.seed(action_seed)
    observation, info = env.reset(seed=seed)
    yield observation, 0.0, False, info
    over = False
    while not over:
        observation, reward, over, truncated, info = env.step(env.action_space.sample())
        assert not truncated
        yield observation, reward, over, info


@pytest.mark.parametrize("actions", ["target", "quote"])
def test_gymnasiums_checker_finds_nothing(actions: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gymnasium.make(ENV_ID, actions=actions, warmup_s=20).unwrapped)


@pytest.mark.parametrize("actions", ["target", "quote"])
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_rewards_add_up_to_what_was_earned(actions: str, seed: int) -> None:
    env = BinaryWindowEnv(actions=actions, windows=2, step_ms=3_000)  # type: ignore[arg-type]
    steps = list(episode(env, seed))
    observations, rewards, overs, infos = zip(*steps, strict=True)
    sim = env._sim
    assert sim is not None
    agent = sim.seats[AGENT].agent
    assert infos[0]["equity_cents"] + sum(rewards) == infos[-1]["equity_cents"] == agent.cash
    assert len(infos[-1]["resolutions"]) >= 2 and not agent.positions.keys() & set(sim.records.closes)
    assert overs.count(True) == 1 and overs[-1]
    assert len(steps) == 1 + 2 * 20
    assert any(info["net_qty"] for info in infos), "it has traded"
    for observation in observations:
        assert observation.dtype == np.float32
        assert (observation >= LOW).all() and (observation <= HIGH).all()
    invariants.check(sim.state)


def test_a_seed_is_an_episode() -> None:
    env = BinaryWindowEnv(step_ms=5_000)
    first = [(o.tolist(), r) for o, r, *_ in episode(env, 5)]
    again = [(o.tolist(), r) for o, r, *_ in episode(BinaryWindowEnv(step_ms=5_000), 5)]
    other = [(o.tolist(), r) for o, r, *_ in episode(env, 6)]
    following = [(o.tolist(), r) for o, r, *_ in episode(env, None)]
    assert first == again
    assert first != other and following not in (first, other)


def test_a_target_is_reached_and_kept() -> None:
    env = BinaryWindowEnv(max_position=20, target_steps=2, slippage_cents=30, warmup_s=60)
    env.reset(seed=3)
    held = []
    for _ in range(30):
        _, _, _, _, info = env.step(4)
        held.append(info["net_qty"])
    assert max(held) == held[-1] == 20
    _, _, _, _, info = env.step(2)
    assert info["net_qty"] == 0


def test_doing_nothing_earns_nothing() -> None:
    env = BinaryWindowEnv(actions="quote")
    env.reset(seed=1)
    total, over = 0.0, False
    while not over:
        _, reward, over, _, _ = env.step([0, 0])
        total += reward
    assert total == 0


def test_any_price_path_will_do_and_its_end_ends_the_episode() -> None:
    env = BinaryWindowEnv(price_path=lambda seed: steady(NOON, 100), opponents=lambda seed: {})
    *_, (observation, reward, over, info) = episode(env, 1)
    assert over and info["resolutions"][0] == "VOID", "the series ends before the window does"
    assert reward == 0 and observation[0] == 0


def test_impossible_bounds_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        BinaryWindowEnv(windows=0)


def test_the_simulation_needs_neither_gymnasium_nor_pyarrow(tmp_path: Path) -> None:
    code = (
        "import sys; import raeth.sim, raeth.examples, raeth.sim.raw; "
        "print([name for name in ('gymnasium', 'pyarrow', 'httpx2', 'fastapi', 'sqlalchemy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
