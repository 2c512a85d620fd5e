"""Other Pythons of this machine, each with the few packages that `raeth.audit` needs.

They live in `.venv/pythons/<version>`, beside what the project's own environment is, in the versions of
`constraints.txt`, and are made on first need: one download of some ten megabytes.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[2]
CACHE: Final = ROOT / ".venv" / "pythons"
VERSIONS: Final = ("3.11", "3.12", "3.13")
PACKAGES: Final = (
    *("annotated-types", "msgspec", "pydantic", "pydantic-core"),
    *("sqlalchemy", "sqlmodel", "typing-extensions", "typing-inspection"),
)
"""What importing `raeth.audit` needs, with nothing that they only need elsewhere; a test imports it."""
INSTALL_S: Final = 90


class Unavailable(Exception):
    """This Python cannot be had here; the text says why."""


def others() -> list[str]:
    """The versions the project promises to run on, without the one that runs this."""
    here = f"{sys.version_info.major}.{sys.version_info.minor}"
    return [version for version in VERSIONS if version != here]


def environment(version: str) -> Path:
    """The interpreter of an environment of this version, made if need be. Raises Unavailable."""
    base = find(version)
    folder = CACHE / version
    python = folder / "bin" / "python"
    stamp, wanted = folder / "installed", _wanted(base)
    CACHE.mkdir(parents=True, exist_ok=True)
    # Two test runs at once make it once.
    with (CACHE / f"{version}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (python.exists() and stamp.exists() and stamp.read_text() == wanted):
            _make(base, folder)
            stamp.write_text(wanted)
    return python


def find(version: str) -> Path:
    """An interpreter of this version on the PATH, or behind a version manager's shim there. Raises Unavailable."""
    name = f"python{version}"
    refused = []
    for folder in os.get_exec_path():
        shim = Path(folder, name)
        if not os.access(shim, os.X_OK):
            continue
        # A shim refuses to start a version that is not switched on; the versions lie beside the shims.
        for candidate in (shim, *sorted(shim.resolve().parent.parent.glob(f"versions/{version}*/bin/{name}"))):
            if _is(candidate, version):
                return candidate
        refused.append(str(shim))
    raise Unavailable(f"no {name} on the PATH" + (f" that starts ({', '.join(refused)} does not)" if refused else ""))


def _is(python: Path, version: str) -> bool:
    ask = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", ask], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.stdout.strip() == version


def _pins() -> list[str]:
    """The lines of constraints.txt for the packages wanted."""
    pins = {line.split("==")[0]: line for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines()}
    return [pins[name].split(";")[0].strip() for name in PACKAGES]


def _wanted(base: Path) -> str:
    return "\n".join([str(base), *_pins()]) + "\n"


def _make(base: Path, folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    _run([str(base), "-m", "venv", "--without-pip", str(folder)])
    # The project's own pip installs into it; no dependencies are followed, for most of them are not needed.
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "bin" / "python"), "install", "-qq", "--no-input"]
    _run([*pip, "--disable-pip-version-check", "--no-compile", "--only-binary", ":all:", "--no-deps", *_pins()])


def _run(command: list[str]) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=INSTALL_S)
    except subprocess.TimeoutExpired:
        raise Unavailable(f"not done in {INSTALL_S} s: {' '.join(command[:4])}") from None
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()] or ["it says nothing"]
        raise Unavailable(f"cannot be set up: {said[-1]}")
