"""One venue a file, started with the file's SETTINGS; when the file is done it must stop cleanly and pass its audit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.desk import ADMIN, BEFORE_MS, BOUNDARY_MS, Desk
from tests.e2e.venue import Host, hosting, write_recording


@pytest.fixture
def host(tmp_path: object) -> Iterator[Host]:
    with hosting(tmp_path) as host:  # type: ignore[arg-type]
        yield host


@pytest.fixture(scope="module")
def desk(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """A venue in recorded time that begins just before the boundary of an hour-long window."""
    settings = {
        "RAETH_ADMIN_TOKEN": ADMIN,
        "RAETH_SERIES__WINDOW_MS": "3600000",
        "RAETH_FAUCET__SIGNUP_GRANT_CENTS": "1000000",
        **getattr(request.module, "SETTINGS", {}),
    }
    with hosting(tmp_path_factory.mktemp("contract")) as host:
        ticks = [(n * 250, 9_000_000 + n % 7) for n in range(4 * 900)]
        recording = write_recording(host.folder / "calm.csv", BOUNDARY_MS - BEFORE_MS, ticks)
        desk = Desk(host, host.serve("--no-house", "--reference", f"replay:{recording}", **settings))
        desk.wait_open()
        yield desk
        if desk.venue.process.poll() is None:
            desk.venue.stop()
        audit = host.run("audit", "--data-dir", str(host.data_dir))
        assert audit.returncode == 0, audit.stdout + audit.stderr


@pytest.fixture
def calm(desk: Desk) -> Iterator[Desk]:
    """The venue with an empty book and a mark of 50."""
    desk.calm()
    yield desk
