"""Hosts for venues: one a test, one a file, and one on which a window is open already."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.venue import Host, hosting, write_recording

NOON_MS = 1_767_268_800_000
"""A whole hour, where the recording of these tests begins."""
TOKEN = "rk_admin_" + "t" * 43


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with hosting(tmp_path) as host:
        yield host


@pytest.fixture(scope="module")
def shared_host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(tmp_path_factory.mktemp("host")) as host:
        yield host


@pytest.fixture(scope="session")
def recording(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Forty minutes of a price that moves."""
    ticks = ((after, 9_500_000 + after % 7_919) for after in range(0, 2_400_000, 250))
    path = write_recording(tmp_path_factory.mktemp("recording") / "moving.csv", NOON_MS, ticks)
    return f"replay:{path}"


@pytest.fixture(scope="session")
def begun(tmp_path_factory: pytest.TempPathFactory, recording: str) -> Path:
    """A data dir in which a window is open and an agent has orders, left by a crash: no test need wait for a minute."""
    with hosting(tmp_path_factory.mktemp("begun")) as host:
        venue = host.serve("--reference", recording, "--speed", "30", RAETH_ADMIN_TOKEN=TOKEN)
        market = venue.open_market()["id"]
        agent = venue.signup("forerunner")
        for price in range(1, 21):
            agent.place(market, "BUY", price, 1)
        assert len(agent.all("/orders")) == 20  # a read brings the tables forward: what the crash leaves is the same
        venue.kill()
        return host.data_dir


@pytest.fixture
def opened(host: Host, begun: Path) -> Host:
    """A host whose venue goes on, at speed 1, where that one stopped."""
    shutil.copytree(begun, host.data_dir)
    return host
