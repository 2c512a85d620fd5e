"""What the tests of the commands have in common."""

from __future__ import annotations

import subprocess

SHORT = {"RAETH_SERIES__WINDOW_MS": "12000"}
"""Long enough for agents that are quiet for the last five seconds of a window."""

STARTED: list[subprocess.Popen[bytes]] = []
"""Programs that the present test has started."""
