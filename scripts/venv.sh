# shellcheck shell=bash
# Makes `.venv/` in the project root fit pyproject.toml and constraints.txt. Sourced, not run.
#
# Needs nothing but Python >= 3.11 with its venv module and a package index. Does nothing when the
# stamp is current; takes a lock otherwise, so that several first runs at once install once. PYTHON names
# an interpreter to prefer.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
venv="$root/.venv"

say() { printf 'raeth: %s\n' "$*" >&2; }

find_python() {
    local name incomplete="" refused=""
    for name in ${PYTHON:+"$PYTHON"} python3.13 python3.12 python3.11 python3 python; do
        command -v "$name" >/dev/null 2>&1 || continue
        # Running it is the only proof: version managers put names on the PATH that refuse to start.
        "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 || {
            refused="$refused $(command -v "$name")"
            continue
        }
        if "$name" -c 'import ensurepip, venv' >/dev/null 2>&1; then
            command -v "$name"
            return
        fi
        incomplete="${incomplete:-$name}"
    done
    if [ -n "$incomplete" ]; then
        local version
        version="$("$incomplete" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
        say "$(command -v "$incomplete") cannot create virtual environments (its ensurepip module is missing)."
        say "On Debian and Ubuntu: apt install python$version-venv"
    else
        say "Python 3.11 or newer is needed, and none was found on the PATH.${refused:+ Too old or unusable:$refused.} Or name one: PYTHON=/path/to/python $0"
    fi
    return 1
}

# What an installation depends on: both files, the kind of it, and where the project lies.
wanted_stamp() { printf '%s %s %s\n' "$1" "$root" "$(cat "$root/pyproject.toml" "$root/constraints.txt" | cksum)"; }

is_current() { [ -x "$venv/bin/python" ] && [ "$(cat "$venv/.installed-$1" 2>/dev/null)" = "$(wanted_stamp "$1")" ]; }

install_venv() {
    local kind="$1" target="$root" python
    is_current "$kind" && return # somebody else did it while we waited for the lock
    [ "$kind" = dev ] && target="$root[dev]"
    if ! "$venv/bin/python" -c 'import sys, pip; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; then
        python="$(find_python)" || return 1
        say "creating .venv with $("$python" --version 2>&1) and installing (the first time takes a minute) …"
        "$python" -m venv --clear "$venv" || return 1
    else
        say "bringing .venv up to date with pyproject.toml and constraints.txt …"
    fi
    local pip=("$venv/bin/python" -m pip install -qq --no-input --disable-pip-version-check -c "$root/constraints.txt")
    # The build backend comes from the constraints too, hence no isolated build with whatever is newest.
    "${pip[@]}" hatchling editables && "${pip[@]}" --no-build-isolation -e "$target" || {
        say "installing failed; the lines above say why. Nothing else was changed, run it again."
        return 1
    }
    wanted_stamp run >"$venv/.installed-run"
    if [ "$kind" = dev ]; then wanted_stamp dev >"$venv/.installed-dev"; fi
}

# ensure_venv run|dev
ensure_venv() {
    is_current "$1" && return
    # A file of the project serves as the lock: nothing to clean up, and the lock ends with the subshell.
    (
        if command -v flock >/dev/null 2>&1; then
            flock -n 9 || {
                say "another process is installing into .venv; waiting for it …"
                flock 9
            }
        fi
        install_venv "$1" 9>&-
    ) 9<"$root/constraints.txt"
}
