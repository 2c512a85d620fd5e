"""The commands' tests share a host for their venue, and end the programs they started whatever happens."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.programs import STARTED
from tests.e2e.venue import Host, hosting


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    with hosting(tmp_path_factory.mktemp("host")) as host:
        yield host


@pytest.fixture(autouse=True)
def _nothing_is_left_running() -> Iterator[None]:
    """A test that fails ends what it started as well."""
    yield
    while STARTED:
        process = STARTED.pop()
        if process.poll() is None:
            process.kill()
            process.wait(timeout=10)
