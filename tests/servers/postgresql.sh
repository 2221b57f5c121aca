#!/usr/bin/env bash
# A PostgreSQL cluster of its own for the tests, on loopback. usage: postgresql.sh install|start|stop
# `start` prints the line to export: SYNCD_TEST_POSTGRESQL=postgresql://...
# Debian's package, started with pg_ctlcluster, as there need be no systemd; it must be run as root.
set -euo pipefail
CLUSTER=${SYNCD_TEST_PG_CLUSTER:-syncdtest}
PORT=${SYNCD_TEST_PG_PORT:-5439}

version() { pg_lsclusters -h 2>/dev/null | awk -v c="$CLUSTER" '$2 == c { print $1 }' | head -1; }
newest() { find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' 2>/dev/null | sort -n | tail -1; }

install() {
  if [ -n "$(newest)" ] && command -v pg_createcluster >/dev/null; then return 0; fi
  export DEBIAN_FRONTEND=noninteractive
  # Keep the package from starting a cluster of its own.
  mkdir -p /etc/postgresql-common
  [ -e /etc/postgresql-common/createcluster.conf ] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf
  apt-get -q update >&2
  apt-get -q -y --no-install-recommends install postgresql >&2
}

start() {
  install
  local v
  v=$(version)
  if [ -z "$v" ]; then
    v=$(newest)
    pg_createcluster "$v" "$CLUSTER" --port "$PORT" -- --auth-local=trust --auth-host=trust -E UTF8 >&2
  fi
  if ! pg_ctlcluster "$v" "$CLUSTER" status >/dev/null 2>&1; then
    pg_ctlcluster "$v" "$CLUSTER" start -- -w >&2
  fi
  echo "SYNCD_TEST_POSTGRESQL=postgresql://postgres@127.0.0.1:$PORT/postgres"
}

stop() {
  local v
  v=$(version)
  [ -z "$v" ] || pg_ctlcluster "$v" "$CLUSTER" stop -m fast >&2 || true
}

case "${1:-}" in
  install | start | stop) "$1" ;;
  *) echo "usage: $0 install|start|stop" >&2; exit 2 ;;
esac
