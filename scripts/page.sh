# shellcheck shell=bash
# Makes the web page in raeth/terminal/dist/ fit its sources. Sourced after venv.sh, not run.
#
# Needs Node.js with npm and, the first time, a package index. The venue runs without all of that: whatever is missing
# or fails is said in one line, and the page stays as it was. Takes a lock, so that several first runs at once build once.

page="$root/raeth/terminal"
page_log="$venv/web-page.log"
node_needed="Node.js 20.19 or newer with npm"

has_node() {
    command -v npm >/dev/null 2>&1 || return 1
    # As the bundler has it: 20 from 20.19 on, 22 from 22.12 on, everything later.
    node -e 'const [a, b] = process.versions.node.split(".").map(Number)
        process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)' >/dev/null 2>&1
}

# Whatever the page is made from: names and contents, in one order everywhere.
page_stamp() {
    (
        cd "$page" && find . \( -name node_modules -o -name dist -o -name __pycache__ \) -prune -o -type f \
            ! -name '*.py' ! -name '.*.sw?' -print | LC_ALL=C sort | tr '\n' '\0' | xargs -0 cksum | cksum
    )
}

page_is_current() { [ -f "$page/dist/index.html" ] && [ "$(cat "$page/dist/.stamp" 2>/dev/null)" = "$(page_stamp)" ]; }

# What npm leaves behind is newer than the list it installed from.
packages_are_current() { [ "$page/node_modules/.package-lock.json" -nt "$page/package-lock.json" ]; }

# bounded SECONDS COMMAND…; in the foreground, so that Ctrl-C reaches it.
bounded() {
    if timeout --foreground 1 true >/dev/null 2>&1; then timeout --foreground "$@"; else "${@:2}"; fi
}

# Fails when they cannot be had; the log says why.
install_packages() {
    packages_are_current && return
    (cd "$page" && npm_config_fetch_retries=1 npm_config_fetch_retry_mintimeout=1000 npm_config_update_notifier=false \
        bounded 300 npm ci --no-progress) >"$page_log" 2>&1 </dev/null || return 1
    touch "$page/node_modules/.package-lock.json" # npm keeps the time of one that has not changed
}

build_page() {
    local stamp made="$page/node_modules/.page" kept="the venue runs without it"
    page_is_current && return # somebody else did it while we waited for the lock
    [ -f "$page/dist/index.html" ] && kept="the old one stays"
    stamp="$(page_stamp)"
    say "building the web page, once …"
    if ! install_packages; then
        say "the web page could not be built, its packages cannot be had; $kept. Why: ${page_log#"$root"/}"
        return 1
    fi
    rm -rf "$made" "$made.old"
    if ! (cd "$page" && bounded 300 npm run --silent build -- --outDir "$made") >"$page_log" 2>&1 </dev/null ||
        [ ! -f "$made/index.html" ]; then
        say "the web page could not be built; $kept. Why: ${page_log#"$root"/}"
        return 1
    fi
    printf '%s\n' "$stamp" >"$made/.stamp"
    # A venue reads the whole folder when it starts, so it changes as a whole.
    if [ -e "$page/dist" ]; then mv "$page/dist" "$made.old"; fi
    mv "$made" "$page/dist"
    rm -rf "$made.old"
}

# A file of the project serves as the lock: nothing to clean up, and the lock ends with the subshell.
alone() {
    (
        if command -v flock >/dev/null 2>&1; then
            flock -n 9 || {
                say "another process is building the web page; waiting for it …"
                flock 9
            }
        fi
        "$@" 9>&-
    ) 9<"$page/package-lock.json"
}

# Succeeds when the page is there and current. Never ends the script that asks.
ensure_page() {
    page_is_current && return
    if has_node; then
        alone build_page
    elif [ -f "$page/dist/index.html" ]; then
        say "the web page is older than its sources, and building it again needs $node_needed; the venue runs with the old one."
        return 1
    else
        say "the web page is not built, which needs $node_needed, once; the venue runs without it."
        return 1
    fi
}

# Types, style and unit tests of the page; what they say only if they fail. Needs its packages.
check_page() {
    (cd "$page" && NO_COLOR=1 bounded 300 npm run --silent check) >"$page_log" 2>&1 </dev/null && return
    tail -n 100 "$page_log"
    return 1
}
