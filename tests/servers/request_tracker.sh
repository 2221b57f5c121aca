#!/usr/bin/env bash
# A real Request Tracker 5 for tests: Debian's package, SQLite, REST 2, on loopback alone. No mail ever leaves it.
#
#   request_tracker.sh install | start | seed [N] | stop | reset | status | environment
#
# install      apt packages (needs root), a database, accounts and their tokens; repeating it is harmless
# start        starts the server and waits until it answers; installs before if that is missing
# seed N       N tickets with replies and notes, to try things out by hand
# reset        back to the empty database with the same accounts and tokens; a running server is started again
# environment  BASE_URL, the tokens and ids as KEY=VALUE lines (start and status print them too)
#
# SYNCD_RT_PORT (8081), SYNCD_RT_WORKERS (2), SYNCD_RT_BCRYPT_COST (4; what RT ships is 12 and costs 230 ms of CPU a
# request) and SYNCD_SERVERS_DIR (a folder in the temporary directory) may be set. Each port has a state of its own.
set -euo pipefail

here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
port="${SYNCD_RT_PORT:-8081}"
state="${SYNCD_SERVERS_DIR:-${TMPDIR:-/tmp}/syncd-test-servers}/request_tracker-$port"
base="http://127.0.0.1:$port"
database="$state/rt.sqlite"
pid_file="$state/server.pid"
export RT_SITE_CONFIG="$state/RT_SiteConfig.pm" RT_SITE_CONFIG_DIR="$state/RT_SiteConfig.d"  # nothing in /etc is used

say() { printf '# %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

packages_installed() {
  local package
  for package in request-tracker5 rt5-standalone rt5-db-sqlite curl; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)" = installed ] || return 1
  done
}

install_packages() {
  packages_installed && return 0
  [ "$(id -u)" = 0 ] || die "the Debian package request-tracker5 is missing; run '$0 install' as root"
  export DEBIAN_FRONTEND=noninteractive
  # The packages would start daemons; this file is how Debian is told not to. It goes away again.
  local policy=/usr/sbin/policy-rc.d made_policy=
  [ -e "$policy" ] || { printf '#!/bin/sh\nexit 101\n' >"$policy"; chmod +x "$policy"; made_policy=yes; }
  apt-get -q update >"$state/apt.log" 2>&1 || die "apt-get update failed; see $state/apt.log"
  apt-get -q -y --no-install-recommends install debconf >>"$state/apt.log" 2>&1
  debconf-set-selections <<'ANSWERS'
request-tracker5 request-tracker5/dbconfig-install boolean false
request-tracker5 request-tracker5/rtname string rt.test
request-tracker5 request-tracker5/organization string rt.test
request-tracker5 request-tracker5/handle-siteconfig-permissions boolean true
ANSWERS
  # dbconfig-no-thanks asks no database question; msmtp-mta stands for a mail server and is never run.
  local done_well=yes
  apt-get -q -y --no-install-recommends install \
    request-tracker5 rt5-standalone rt5-db-sqlite msmtp-mta dbconfig-no-thanks curl >>"$state/apt.log" 2>&1 || done_well=
  [ -z "$made_policy" ] || rm -f "$policy"
  [ -n "$done_well" ] || die "apt-get install failed; see $state/apt.log"
}

write_settings() {
  mkdir -p "$RT_SITE_CONFIG_DIR"
  cat >"$RT_SITE_CONFIG" <<SETTINGS
Set(\$rtname, 'rt.test');
Set(\$Organization, 'rt.test');
Set(\$WebDomain, 'rt.internal.test');               # as behind a proxy: the _url values in answers lead nowhere
Set(\$WebPort, 80);
Set(\$WebPath, '');
Set(\$WebBaseURL, 'http://rt.internal.test');
Set(\$WebURL, 'http://rt.internal.test/');
Set(\$Timezone, 'America/New_York');                # what RT ships
Set(\$DatabaseType, 'SQLite');
Set(\$DatabaseName, '$database');
Set(\$CorrespondAddress, 'support\@example.test');
Set(\$CommentAddress, 'support-comment\@example.test');
Set(\$MailCommand, 'testfile');                     # a file in the temporary directory, no mail
Set(\$LogToSyslog, undef);
Set(\$LogToFile, undef);
Set(\$LogToSTDERR, 'warning');
Set(\$RestrictReferrer, 0);
Set(\$BcryptCost, ${SYNCD_RT_BCRYPT_COST:-4});
1;
SETTINGS
}

install() {
  mkdir -p "$state"
  # Two test workers may come at once; apt and the database are made by one of them.
  exec 9>"$(dirname "$state")/request_tracker.lock"
  flock 9
  install_packages
  if [ ! -s "$state/environment" ]; then
    write_settings
    rm -f "$database"
    rt-setup-database-5 --action init --skip-create --dba root >"$state/init.log" 2>&1 \
      || die "the database could not be made; see $state/init.log"
    perl -I/usr/share/request-tracker5/lib "$here/request_tracker_accounts.pl" >"$state/environment.new" \
      2>>"$state/init.log" || die "the accounts could not be made; see $state/init.log"
    cp "$database" "$state/rt.sqlite.empty"
    mv "$state/environment.new" "$state/environment"
  fi
  flock -u 9
  exec 9>&-
}

running() { [ -s "$pid_file" ] && kill -0 "$(cat "$pid_file")" 2>/dev/null; }

start() {
  running && return 0
  install
  setsid /usr/share/request-tracker5/libexec/rt-server --server Starlet --host 127.0.0.1 --port "$port" \
    --max-workers "${SYNCD_RT_WORKERS:-2}" >>"$state/server.log" 2>&1 </dev/null &
  echo $! >"$pid_file"
  local tries
  for tries in $(seq 300); do
    [ "$(curl -s -o /dev/null -m 10 -w '%{http_code}' "$base/REST/2.0/rt" || true)" = 401 ] && return 0
    running || die "the server ended (is port $port taken?); see $state/server.log"
    sleep 0.2
  done
  die "no answer from $base after $tries tries; see $state/server.log"
}

stop() {
  running || { rm -f "$pid_file"; return 0; }
  local pid tries
  pid="$(cat "$pid_file")"
  kill -TERM -- "-$pid" 2>/dev/null || true  # its own process group, by the id that was written at the start
  for tries in $(seq 50); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
  kill -KILL -- "-$pid" 2>/dev/null || true
  rm -f "$pid_file"
}

reset() {
  [ -s "$state/rt.sqlite.empty" ] || die "nothing to reset: not installed"
  local was_running=
  running && was_running=yes
  stop
  rm -f "$database-journal" "$database-wal" "$database-shm"
  cp "$state/rt.sqlite.empty" "$database"
  [ -z "$was_running" ] || start
}

post() {  # post TOKEN PATH JSON
  curl -sS -f -m 60 -H "Authorization: token $1" -H 'Content-Type: application/json' -d "$3" "$base/REST/2.0$2"
}

seed() {
  local number id
  . "$state/environment"
  for number in $(seq "${1:-10}"); do
    id="$(post "$CUSTOMER_TOKEN" /ticket '{"Queue":"Support","Requestor":"carla@customer.test","Subject":"Printer '"$number"'",
      "Content":"Good morning,\nmy printer no longer prints.","ContentType":"text/plain"}' | sed -E 's/.*"id":"?([0-9]+).*/\1/')"
    post "$AGENT_TOKEN" "/ticket/$id/correspond" '{"Content":"<p>Is it <b>switched on</b>?</p>","ContentType":"text/html"}' >/dev/null
    post "$AGENT_TOKEN" "/ticket/$id/comment" '{"Content":"Rings often.","ContentType":"text/plain"}' >/dev/null
    post "$CUSTOMER_TOKEN" "/ticket/$id/correspond" '{"Content":"Yes, it is.","ContentType":"text/plain"}' >/dev/null
    say "ticket $id"
  done
}

environment() { echo "BASE_URL=$base"; echo "DATABASE=$database"; cat "$state/environment"; }

case "${1:-}" in
  install) install; environment ;;
  start) start; environment ;;
  seed) running || die "not running; '$0 start' first"; seed "${2:-10}" ;;
  stop) stop ;;
  reset) reset ;;
  environment) environment ;;
  status)
    if running; then echo STATUS=running; elif packages_installed; then echo STATUS=installed; else echo STATUS=missing; fi
    [ ! -s "$state/environment" ] || environment ;;
  *) sed -n '2,13p' "$0" >&2; exit 2 ;;
esac
