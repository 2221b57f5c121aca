# What the scripts of the real ticketing systems for tests share; sourced by them after they have set `name` and `port`.
# Each port has a state of its own below SYNCD_SERVERS_DIR; everything listens on loopback alone.
# shellcheck shell=bash disable=SC2034,SC2154
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
servers="$(realpath -m "${SYNCD_SERVERS_DIR:-${TMPDIR:-/tmp}/syncd-test-servers}")"
state="$servers/$name-$port"
base="http://127.0.0.1:$port"
pid_file="$state/server.pid"
export LANG=C.UTF-8 LC_ALL=C.UTF-8

say() { printf '# %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

# The accounts are made last, so what they left tells that nothing is missing.
installed() { [ -s "$state/environment" ]; }

# Two test workers may come at once; only one of them installs or starts. The lock is not passed on to the server.
locked() {
  mkdir -p "$state"
  exec 9>"$servers/$name.lock"
  flock 9
  "$@"
  exec 9>&-
}

packages_installed() {
  local package
  for package in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || return 1
  done
}

# Runs a command of apt or dpkg in a subshell, one at a time, so that the lock and the trap end with it.
without_services() (
  [ "$(id -u)" = 0 ] || die "Debian packages are missing; run '$0 install' as root"
  exec 9>"$servers/apt.lock"
  flock 9
  # The packages would start daemons; this file is how Debian is told not to. It goes away again.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  DEBIAN_FRONTEND=noninteractive "$@" >>"$state/apt.log" 2>&1 </dev/null 9>&-
)

apt_install() {
  apt-get -q update && apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=600 install "$@"
}

install_packages() { packages_installed "$@" || without_services apt_install "$@"; }

# A virtual environment in the state, with pinned packages from PyPI.
install_from_pypi() {
  [ ! -e "$state/venv/complete" ] || return 0
  command -v curl >/dev/null || install_packages curl || die "curl could not be installed; see $state/apt.log"
  python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3 python3-venv \
    || die "python3-venv could not be installed; see $state/apt.log"
  rm -rf "$state/venv"
  python3 -m venv "$state/venv"
  "$state/venv/bin/pip" --disable-pip-version-check --no-input install -q "$@" >"$state/pip.log" 2>&1 \
    || die "pip install failed; see $state/pip.log"
  touch "$state/venv/complete"
}

running() { [ -s "$pid_file" ] && kill -0 "$(cat "$pid_file")" 2>/dev/null; }

# The HTTP status of an address, 000 if nobody is there.
answer() { curl -s -o /dev/null -m 10 -w '%{http_code}' "$base$1" || true; }

# Starts a command in a process group of its own and waits until PATH answers with STATUS.
serve() {  # serve STATUS PATH COMMAND...
  local status=$1 path=$2 tries
  shift 2
  [ "$(answer "$path")" = 000 ] || die "something else answers on port $port"
  setsid "$@" >>"$state/server.log" 2>&1 </dev/null 9>&- &
  echo $! >"$pid_file"
  for tries in $(seq 300); do
    [ "$(answer "$path")" = "$status" ] && return 0
    running || die "the server ended; see $state/server.log"
    sleep 0.2
  done
  die "no answer from $base after $tries tries; see $state/server.log"
}

stop() {
  running || { rm -f "$pid_file"; return 0; }
  local pid tries
  pid="$(cat "$pid_file")"
  kill -TERM -- "-$pid" 2>/dev/null || true  # its own process group, by the id that was written at the start
  for tries in $(seq 100); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -KILL -- "-$pid" 2>/dev/null || true
  rm -f "$pid_file"
}

start() { running || { install; start_server; }; }

reset() {
  installed || die "nothing to reset: not installed"
  local was_running=
  running && was_running=yes
  stop
  empty
  [ -z "$was_running" ] || start_server
}

environment() { echo "BASE_URL=$base"; echo "STATE=$state"; cat "$state/environment"; }

status() {
  if running; then echo STATUS=running; elif installed; then echo STATUS=installed; else echo STATUS=missing; fi
  if installed; then environment; else echo "STATE=$state"; fi
}

# The script has `install`, `start_server`, `seed N` and `empty`, which puts back the state after the installation.
main() {
  case "${1:-}" in
    install) locked install; environment ;;
    start) locked start; environment ;;
    seed) running || die "not running; '$0 start' first"; seed "${2:-10}" ;;
    stop) locked stop ;;
    reset) locked reset ;;
    status) status ;;
    environment) environment ;;
    *) usage >&2; exit 2 ;;
  esac
}
