"""Places where a venue runs out of disk for real: a file system of a few megabytes, and a limit on the size of files.

The small file system is mounted in a namespace of its own, which needs no powers of an administrator where the system
lets users have namespaces; elsewhere its tests are skipped. The limit is set from outside on the running process.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pytest

from tests.e2e.venue import Host, VenueProcess, hosting, until

DISK_BYTES = 16 << 20


class Disk(Protocol):
    """Where a host's data are."""

    host: Host
    data_dir: Path
    """The host's, as this process sees it."""

    def fill(self, venue: VenueProcess) -> None:
        """From now on the venue cannot make anything longer."""
        ...

    def free(self, venue: VenueProcess) -> None: ...


NEARLY_BYTES = 8 << 20


class SmallFileSystem:
    """A file system of `DISK_BYTES` in memory, which a file of the test's fills up to the last byte."""

    def __init__(self, host: Host, seen_from_here: Path) -> None:
        self.host = host
        self.data_dir = seen_from_here / host.data_dir.name
        self._ballast = seen_from_here / "ballast"

    def fill(self, venue: VenueProcess) -> None:
        descriptor = os.open(self._ballast, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        try:
            for block in (bytes(1 << 16), bytes(1 << 10), b"\0"):
                with suppress_full():
                    while True:
                        os.write(descriptor, block)
        finally:
            os.close(descriptor)

    def free(self, venue: VenueProcess) -> None:
        self._ballast.unlink()


class FileLimit:
    """No file of the venue may become longer than its write-ahead log is now."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.data_dir = host.data_dir

    def fill(self, venue: VenueProcess) -> None:
        """As a disk does: first there is little room, then none."""
        log = self.host.database.with_name(self.host.database.name + "-wal")
        self._limit(venue, log.stat().st_size + NEARLY_BYTES)
        noticed = venue.get("/health")["seq"] + 2
        until("two transactions", lambda: venue.get("/health")["seq"] >= noticed)
        self._limit(venue, log.stat().st_size)

    def free(self, venue: VenueProcess) -> None:
        self._limit(venue, resource.RLIM_INFINITY)

    @staticmethod
    def _limit(venue: VenueProcess, size: int) -> None:
        _, hard = resource.prlimit(venue.process.pid, resource.RLIMIT_FSIZE)
        soft = size if hard == resource.RLIM_INFINITY or size == resource.RLIM_INFINITY else min(size, hard)
        resource.prlimit(venue.process.pid, resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def suppress_full() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


@contextmanager
def small_file_system(folder: Path) -> Iterator[SmallFileSystem]:
    """Mount one and run a host on it; all of it is gone at the end. Skips the test where that is not allowed."""
    unshare, nsenter = shutil.which("unshare"), shutil.which("nsenter")
    if unshare is None or nsenter is None:
        pytest.skip("no unshare, no nsenter")
    place = folder / "small"
    place.mkdir()
    told = folder / "mounted"
    mount = 'mount -t tmpfs -o size="$2" tmpfs "$1" && echo yes && exec sleep 600'
    with told.open("wb") as stdout, (folder / "mount.err").open("wb") as stderr:
        keeper = subprocess.Popen(
            [unshare, "--user", "--map-root-user", "--mount", "sh", "-c", mount, "sh", str(place), str(DISK_BYTES)],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )
    try:
        until("the mount", lambda: "yes" in told.read_text() or keeper.poll() is not None)
        if keeper.poll() is not None:
            pytest.skip(f"no file system of one's own: {(folder / 'mount.err').read_text().strip()}")
        prefix = (nsenter, "--preserve-credentials", "--user", "--mount", f"--target={keeper.pid}", "--")
        with Host(folder, prefix) as host:
            host.data_dir = place / "data"
            # Seen from here the folder is empty: the way to the mounted one leads through the keeper's root.
            yield SmallFileSystem(host, Path(f"/proc/{keeper.pid}/root{place}"))
    finally:
        keeper.kill()
        keeper.wait(timeout=10)


@contextmanager
def file_limit(folder: Path) -> Iterator[FileLimit]:
    if not sys.platform.startswith("linux"):
        pytest.skip("only Linux lets a limit be set on a running process")
    with hosting(folder) as host:
        yield FileLimit(host)


DISKS = {"a small file system": small_file_system, "a limit on files": file_limit}


@contextmanager
def disk_named(name: str, folder: Path) -> Iterator[Disk]:
    with DISKS[name](folder) as disk:
        yield disk
