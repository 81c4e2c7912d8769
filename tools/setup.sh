#!/bin/sh
# setup.sh demo|test: a virtual environment in .venv with the project in it, on a fresh Debian or Ubuntu.
# demo: what the simulated world needs, which is Python; of the system's packages python3-venv where it is not there.
# test: all that the tests use: the emulated world, real programs, containers; as root, or with sudo.
# Says what it does before it does it; does nothing twice.
set -eu
cd "$(dirname "$0")/.."

case "${1:-}" in
    demo) PACKAGES="python3-venv" EXTRAS="" ;;
    test)
        PACKAGES="python3-venv python3-dev gcc libc6-dev libnetfilter-queue-dev mininet net-tools iproute2 iptables sip-tester sipsak busybox-static tshark util-linux chromium firefox-esr kamailio kamailio-tls-modules baresip-core rtpengine-daemon coturn linphone-cli"
        EXTRAS="[emulated,dev,docs]"
        ;;
    *)
        echo "usage: tools/setup.sh demo|test" >&2
        exit 2
        ;;
esac

say() { printf 'setup: %s\n' "$*"; }

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

may_install() {
    command -v apt-get >/dev/null 2>&1 || return 1
    [ "$(id -u)" = 0 ] && return 0
    command -v sudo >/dev/null 2>&1 || return 1
    # Ask for a password only where somebody can type one.
    sudo -n true 2>/dev/null || { [ -t 0 ] && sudo true; }
}

recent_python() {
    # A Python that every user can run comes first: the tests also run as an ordinary user.
    for candidate in /usr/bin/python3 python3.14 python3.13 python3.12 python3.11 python3; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return 0
        fi
    done
    return 1
}

# Daemons come along (kamailio, rtpengine, coturn): the lab starts them in its own networks, nobody on this machine.
# While packages are installed, policy-rc.d says so, where there is none yet.
POLICY=/usr/sbin/policy-rc.d
without_services() {
    [ ! -e "$POLICY" ] || return 0
    trap 'as_root rm -f "$POLICY"' EXIT
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$POLICY" >/dev/null
    as_root chmod 755 "$POLICY"
}

installed() {
    [ "$(dpkg-query -W -f='${Status}' "$1" 2>/dev/null)" = "install ok installed" ]
}

missing=""
if command -v dpkg-query >/dev/null 2>&1; then
    for package in $PACKAGES; do
        installed "$package" || missing="$missing $package"
    done
    if [ "$1" = test ]; then
        # Only where there is none: those of other origin don't get on with Debian's.
        command -v dockerd >/dev/null 2>&1 || missing="$missing docker.io"
        command -v node >/dev/null 2>&1 || missing="$missing nodejs"
        command -v npm >/dev/null 2>&1 || missing="$missing npm"
        recent_python >/dev/null || missing="$missing python3.11-dev"
    elif recent_python >/dev/null && "$(recent_python)" -c 'import ensurepip' 2>/dev/null; then
        missing=""
    fi
    recent_python >/dev/null || missing="$missing python3.11 python3.11-venv"
fi
if [ -n "$missing" ]; then
    if may_install; then
        say "installing Debian packages:$missing"
        as_root apt-get update -qq
        without_services
        # shellcheck disable=SC2086  # a list of words
        as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install -y -qq --no-install-recommends $missing >/dev/null
    else
        say "not installed, for want of root or sudo:$missing"
        say "without them the simulated world may work, the emulated one may not (see 'siplab doctor')"
    fi
fi

python=$(recent_python) || { say "Python 3.11 or later is needed, and apt-get did not bring it"; exit 2; }
[ -x .venv/bin/python ] || { say "making .venv with $python"; "$python" -m venv .venv; }
say "installing the project into .venv: pip install -e '.$EXTRAS'"
export PIP_DISABLE_PIP_VERSION_CHECK=1
if ! .venv/bin/pip install --quiet -e ".$EXTRAS"; then
    [ "$1" = test ] || exit 2
    say "the packages for the emulated world could not be installed; going on without them"
    .venv/bin/pip install --quiet -e '.[dev]'
fi
BROWSER=tests/browser
# dash's -nt is false where the second file is missing.
if [ "$1" = test ] && command -v npm >/dev/null 2>&1 &&
    { [ ! -e $BROWSER/node_modules ] || [ $BROWSER/package-lock.json -nt $BROWSER/node_modules ]; }; then
    say "installing what the browser tests need: npm ci in $BROWSER"
    npm ci --prefix $BROWSER --no-audit --no-fund --silent || say "npm brought nothing: tests in a browser will be skipped"
fi
touch ".venv/ready-$1"
