# shellcheck shell=bash
# A browser for the tests of the web page: one that is there, or the distribution's. Sourced after page.sh, not run.

find_browser() {
    local name
    for name in chromium chromium-browser google-chrome; do
        command -v "$name" && return
    done
    return 1
}

# Succeeds when there is one. Installs only as root with apt-get, and gives up after five minutes.
ensure_browser() {
    find_browser >/dev/null && return
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
    say "installing Chromium for the tests of the web page, once …"
    local install=(apt-get install -y -qq --no-install-recommends -o DPkg::Lock::Timeout=60 chromium)
    export DEBIAN_FRONTEND=noninteractive
    bounded 300 bash -c '"$@" || { apt-get update -qq && "$@"; }' install "${install[@]}" >"$venv/browser.log" 2>&1 </dev/null
    find_browser >/dev/null
}
