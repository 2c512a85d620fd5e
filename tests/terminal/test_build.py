"""How the page comes to be there: the scripts with a Node.js that works, one that fails, and none; and the packages."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.e2e.venue import until

ROOT = Path(__file__).resolve().parents[2]
TERMINAL = ROOT / "raeth" / "terminal"
TOOLS = "bash cat cksum dirname env find flock id mkdir mv rm sed sleep sort tail timeout touch tr true xargs".split()

NODE = """#!/usr/bin/env bash
exit "${NODE_IS_OLD:-0}"
"""
"""Asked only whether it is new enough."""

NPM = """#!/usr/bin/env bash
echo "$*" >>"$NPM_TOLD"
case "$1" in
ci) mkdir -p node_modules && touch node_modules/.package-lock.json && exit "${NPM_CI:-0}" ;;
run)
    out="${@: -1}"
    [ -z "${NPM_HANGS:-}" ] || sleep 60
    mkdir -p "$out/assets" && echo half >"$out/assets/half.js"
    [ "${NPM_BUILD:-0}" -eq 0 ] || exit 1
    cat src/main.ts >"$out/index.html"
    ;;
esac
"""
"""Leaves behind what the real one does, and fails when it is told to."""


class Place:
    """A project with the scripts, a page of one file, and a PATH of our own."""

    def __init__(self, folder: Path) -> None:
        self.root = folder / "project"
        self.page = self.root / "raeth" / "terminal"
        self.bin = folder / "bin"
        self.told = folder / "told"
        for made in (self.root / "scripts", self.root / ".venv", self.page / "src", self.bin):
            made.mkdir(parents=True)
        for script in ("venv.sh", "page.sh", "browser.sh"):
            shutil.copy(ROOT / "scripts" / script, self.root / "scripts")
        (self.page / "package.json").write_text("{}")
        (self.page / "package-lock.json").write_text("{}")
        os.utime(self.page / "package-lock.json", (1, 1))
        (self.page / "src" / "main.ts").write_text("one")
        for tool in TOOLS:
            if found := shutil.which(tool):
                (self.bin / tool).symlink_to(found)

    def install_node(self) -> None:
        for name, text in (("node", NODE), ("npm", NPM)):
            (self.bin / name).write_text(text)
            (self.bin / name).chmod(0o755)

    def run(self, ask: str, **environment: str) -> tuple[bool, list[str]]:
        """Whether it succeeded, and what was said. The script that asks always goes on to its end."""
        sourced = "".join(f". scripts/{name}.sh; " for name in ("venv", "page", "browser"))
        script = f"set -euo pipefail; {sourced}{ask} && echo yes || echo no"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.root,
            env={"PATH": str(self.bin), "NPM_TOLD": str(self.told), **environment},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert done.returncode == 0 and done.stdout in ("yes\n", "no\n"), done
        return done.stdout == "yes\n", done.stderr.splitlines()

    def ensure(self, **environment: str) -> tuple[bool, list[str]]:
        return self.run("ensure_page", **environment)

    @property
    def shown(self) -> str | None:
        built = self.page / "dist" / "index.html"
        return built.read_text() if built.exists() else None


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_built_once_and_again_when_a_source_changes(place: Place) -> None:
    place.install_node()
    assert place.ensure() == (True, ["raeth: building the web page, once …"])
    assert place.shown == "one"
    assert place.ensure() == (True, [])
    assert place.told.read_text().split("\n")[0] == "ci --no-progress"
    assert len(place.told.read_text().splitlines()) == 2, "the second time nothing was run"
    (place.page / "site.py").write_text("the server's half is none of its sources")
    assert place.ensure() == (True, [])
    (place.page / "src" / "main.ts").write_text("two")
    assert place.ensure() == (True, ["raeth: building the web page, once …"])
    assert place.shown == "two"
    assert place.told.read_text().count("ci ") == 1, "its packages were there"
    (place.page / "src" / "main.ts").rename(place.page / "src" / "more.ts")
    assert place.ensure()[0] is False, "a name is part of it, and this build lacks its entry"
    assert place.shown == "two"


def test_without_node_one_line_says_so(place: Place) -> None:
    succeeded, said = place.ensure()
    assert not succeeded and len(said) == 1
    assert "Node.js 20.19 or newer" in said[0] and "the venue runs without it" in said[0]
    place.install_node()
    succeeded, said = place.ensure(NODE_IS_OLD="1")
    assert not succeeded and len(said) == 1 and "Node.js 20.19 or newer" in said[0]
    assert place.ensure()[0]
    (place.page / "src" / "main.ts").write_text("two")
    succeeded, said = place.ensure(NODE_IS_OLD="1")
    assert not succeeded and len(said) == 1 and "runs with the old one" in said[0]
    assert place.shown == "one"


@pytest.mark.parametrize("fault", ["NPM_CI", "NPM_BUILD"])
def test_a_build_that_fails_leaves_what_was_there(place: Place, fault: str) -> None:
    place.install_node()
    succeeded, said = place.ensure(**{fault: "1"})
    assert not succeeded and len(said) == 2, said
    assert "the venue runs without it" in said[1] and ".venv/web-page.log" in said[1]
    assert place.shown is None and not (place.page / "dist").exists()
    assert place.ensure()[0]
    (place.page / "src" / "main.ts").write_text("two")
    shutil.rmtree(place.page / "node_modules")
    succeeded, said = place.ensure(**{fault: "1"})
    assert not succeeded and len(said) == 2 and "the old one stays" in said[1]
    assert place.shown == "one"
    assert place.ensure() == (True, ["raeth: building the web page, once …"])
    assert place.shown == "two"


def test_several_at_once_build_once(place: Place) -> None:
    if shutil.which("flock") is None:
        pytest.skip("no flock on this machine")
    place.install_node()
    three = "ensure_page & ensure_page & ensure_page; wait"
    assert place.run(f"{{ {three}; }}")[0]
    assert place.shown == "one"
    assert len(place.told.read_text().splitlines()) == 2


def test_who_changes_their_mind_need_not_wait_for_the_build(place: Place) -> None:
    place.install_node()
    script = "set -euo pipefail; . scripts/venv.sh; . scripts/page.sh; ensure_page || true; echo went on"
    environment = {"PATH": str(place.bin), "NPM_TOLD": str(place.told), "NPM_HANGS": "1"}
    with subprocess.Popen(
        ["bash", "-c", script],
        cwd=place.root,
        env=environment,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as asked:
        until("the build", lambda: place.told.exists() and "run " in place.told.read_text())
        os.killpg(asked.pid, signal.SIGINT)  # as a terminal does it
        assert asked.wait(timeout=10) != 0
        assert asked.stdout is not None and asked.stdout.read() == b"", "nor is anything started after that"
    assert place.shown is None
    assert place.ensure()[0], "and the lock is free"


def test_a_browser_is_installed_by_root_only_and_failing_is_no_error(place: Place) -> None:
    (place.bin / "id").unlink()
    for name, text in (("id", "echo ${ID:-0}"), ("apt-get", 'echo "apt $*" >>"$NPM_TOLD"; exit 1')):
        (place.bin / name).write_text(f"#!/usr/bin/env bash\n{text}\n")
        (place.bin / name).chmod(0o755)
    assert place.run("ensure_browser", ID="1000") == (False, [])
    assert not place.told.exists()
    succeeded, said = place.run("ensure_browser")
    assert not succeeded and len(said) == 1 and "Chromium" in said[0]
    assert place.told.read_text().count("chromium") == 1, "no second try when the lists cannot be had"
    (place.bin / "cp").symlink_to(shutil.which("cp") or "")
    (place.bin / "apt-get").write_text(f"#!/usr/bin/env bash\ncp {place.bin}/apt-get {place.bin}/chromium\n")
    assert place.run("ensure_browser")[0]
    assert place.run("ensure_browser") == (True, [])


def test_the_list_of_packages_is_whole() -> None:
    """`npm ci` refuses one that lacks what other platforms need, and renewing it on one machine may leave that out."""
    packages = json.loads((TERMINAL / "package-lock.json").read_text())["packages"]
    named = {path.rpartition("node_modules/")[2] for path in packages}
    for path, package in packages.items():
        wanted = {**package.get("dependencies", {}), **package.get("optionalDependencies", {})}
        assert wanted.keys() <= named, path
        assert "resolved" not in package, f"{path} names the index it came from"
    manifest = json.loads((TERMINAL / "package.json").read_text())
    root = packages[""]
    for kind in ("dependencies", "devDependencies"):
        assert root.get(kind, {}) == manifest.get(kind, {})


def test_the_wheel_holds_the_page_and_not_its_sources(tmp_path: Path) -> None:
    """Built from a copy, in which a page has been made, and things lie about that are no part of it."""
    copy = tmp_path / "project"
    unwanted = shutil.ignore_patterns("node_modules", "dist", "__pycache__")
    shutil.copytree(ROOT / "raeth", copy / "raeth", ignore=unwanted)
    for name in ("pyproject.toml", "README.md", "LICENSE", ".gitignore"):
        shutil.copy(ROOT / name, copy)
    built = {"index.html", "favicon.svg", "assets/index-abcdefgh.js", "assets/index-abcdefgh.js.br", ".stamp"}
    for name in built | {"../node_modules/left/index.js", "../node_modules/left/module.py"}:
        path = copy / "raeth" / "terminal" / "dist" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    made = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", tmp_path / "out"], cwd=copy, capture_output=True, text=True
    )
    assert made.returncode == 0, made.stderr
    (wheel,) = (tmp_path / "out").glob("*.whl")
    (sdist,) = (tmp_path / "out").glob("*.tar.gz")
    inside = set(zipfile.ZipFile(wheel).namelist())
    page = {name for name in inside if name.startswith("raeth/terminal/")}
    python = {"raeth/terminal/__init__.py", "raeth/terminal/site.py"}
    assert page == python | {f"raeth/terminal/dist/{name}" for name in built}
    assert not any(re.search(r"node_modules|\.tsx?$|package(-lock)?\.json", name) for name in inside)
    listed = subprocess.run(["tar", "tzf", sdist], capture_output=True, text=True, check=True).stdout
    assert "raeth/terminal/src/main.tsx" in listed and "raeth/terminal/package-lock.json" in listed
    assert "raeth/terminal/dist/index.html" in listed and "node_modules" not in listed
