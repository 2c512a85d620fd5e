# shellcheck shell=bash
# A browser for the tests of the web page: one that is there, or the distribution's. Sourced after page.sh, not run.

find_browser() {
    local name
    [ -n "${RAETH_CHROMIUM:-}" ] && command -v "$RAETH_CHROMIUM" && return
    for name in chromium chromium-browser google-chrome; do
        command -v "$name" && return
    done
    return 1
}

patient_apt() {
    DEBIAN_FRONTEND=noninteractive bounded 200 apt-get -qq -y --no-install-recommends \
        -o DPkg::Lock::Timeout=60 -o Acquire::Retries=0 -o Acquire::http::Timeout=20 "$@" </dev/null
}

# Succeeds when there is one. Installs only as root with apt-get, and gives up after minutes; failing is no error.
ensure_browser() {
    find_browser >/dev/null && return
    [ "$(id -u)" -eq 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
    say "installing Chromium for the tests of the web page, once …"
    {
        patient_apt install chromium || { patient_apt update && patient_apt install chromium; }
    } >"$venv/browser.log" 2>&1
    find_browser >/dev/null
}
