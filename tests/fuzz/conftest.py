"""A real venue process for each file that asks for `lab`, with every kind of caller; what it leaves behind is checked.

When the file is done the process must have logged no error, stop cleanly, and pass its audit.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.fuzz.lab import Lab, opened_lab


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    with opened_lab(tmp_path_factory.mktemp("fuzz")) as lab:
        yield lab
