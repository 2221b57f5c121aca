#!/usr/bin/env bash
# promtool, which checks Prometheus's rules: promtool.sh install puts Debian's into /usr/local/bin.
# The package itself would bring a service and 330 MB; this takes the one program out of it.
set -euo pipefail

install() {
  command -v promtool >/dev/null && return 0
  folder=$(mktemp -d)
  trap 'rm -rf "$folder"' EXIT
  cd "$folder"
  apt-get -q download prometheus >/dev/null 2>&1 || { apt-get -q update >/dev/null && apt-get -q download prometheus >/dev/null; }
  dpkg-deb --fsys-tarfile prometheus_*.deb | tar -x -C /usr/local/bin --strip-components=3 ./usr/bin/promtool
}

case "${1:-}" in
  install) install ;;
  *) echo "usage: $0 install" >&2; exit 2 ;;
esac
