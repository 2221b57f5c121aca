#!/usr/bin/env bash
# A real Roundup 2.6 for tests: from PyPI in a virtual environment of its own, template "classic", SQLite, REST, on
# loopback alone. No mail ever leaves it.
#
#   roundup.sh install | start | seed [N] | stop | reset | status | environment
#
# install      the virtual environment, a tracker and accounts; repeating it is harmless
# start        starts the server and waits until it answers; installs before if that is missing
# seed N       N issues with messages, to try things out by hand
# reset        back to the empty tracker with the same accounts; a running server is started again
# environment  BASE_URL, the logins and ids as KEY=VALUE lines (install, start and status print them too)
#
# SYNCD_ROUNDUP_PORT (8183), SYNCD_ROUNDUP_VERSION (2.6.0), SYNCD_ROUNDUP_ROUNDS (10000 rounds of PBKDF2; what it ships
# is 250000 and costs much CPU in each request) and SYNCD_SERVERS_DIR (a folder in the temporary directory) may be set.
name=roundup
port="${SYNCD_ROUNDUP_PORT:-8183}"
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"

usage() { sed -n '2,14p' "$0"; }

tracker="$state/tracker"
address="$base/support"
outbox="$state/outbox.mbox"  # what would have been sent as mail
password=roundup-pass1

admin() { "$state/venv/bin/roundup-admin" -i "$tracker" "$@" 2>>"$state/init.log"; }

account() {  # account WHO LOGIN NAME MAIL ZONE: prints KEY=VALUE lines
  local id
  id="$(admin create user username="$2" password="$password" realname="$3" address="$4" roles=User timezone="$5")" || return 1
  printf '%s\n' "$1_USER=$2" "$1_ID=$id" "$1_PASSWORD=$password"
}

make_tracker() {
  rm -rf "$tracker"
  : >"$state/init.log"
  # The settings are one list, divided by commas: no value may hold one.
  admin install classic sqlite "tracker_web=$address/,mail_domain=example.test,mail_host=127.0.0.1,mail_debug=$outbox,\
admin_email=admin@example.test,password_pbkdf2_default_rounds=${SYNCD_ROUNDUP_ROUNDS:-10000}" >>"$state/init.log" &&
    admin initialise "$password" >>"$state/init.log"
}

make_accounts() {
  # Times in questions are in the zone of who asks, those in answers are not; so the people live far from the reader.
  account AGENT peter.meyer "Peter Meyer" peter.meyer@example.test -5 &&
    account CUSTOMER carla.customer "Carla Customer" carla@customer.test 5 &&
    account READER syncd "Sync Daemon" syncd@example.test 0 &&
    printf '%s\n' ROOT_USER=admin ROOT_ID=1 "ROOT_PASSWORD=$password" "TRACKER=$tracker"
}

install() {
  install_from_pypi "roundup==${SYNCD_ROUNDUP_VERSION:-2.6.0}"
  installed && return 0
  make_tracker || die "the tracker could not be made; see $state/init.log"
  make_accounts >"$state/environment.new" || die "the accounts could not be made; see $state/init.log"
  cp -a "$tracker/db" "$state/db.empty"
  mv "$state/environment.new" "$state/environment"
}

start_server() {
  local user=()
  # roundup-server refuses to work as root.
  if [ "$(id -u)" = 0 ]; then
    touch "$outbox"
    chown -R nobody "$tracker" "$outbox"
    user=(-u nobody)
  fi
  TZ=Asia/Kolkata serve 403 /support/rest/data/issue \
    "$state/venv/bin/roundup-server" "${user[@]}" -n 127.0.0.1 -p "$port" -t thread "support=$tracker"
}

empty() {
  rm -rf "$tracker/db"
  cp -a "$state/db.empty" "$tracker/db"
}

write() {  # write LOGIN METHOD PATH JSON [HEADER]
  curl -sS -f -m 60 -u "$1:$password" -X "$2" -H 'Content-Type: application/json' -H 'X-Requested-With: rest' \
    -H "Origin: $base" -H "Referer: $address/" ${5:+-H "$5"} -d "$4" "$address/rest/data$3"
}

id_of() { sed -nE 's/.*"id": ?"([0-9]+)".*/\1/p' | head -1; }

message() { write "$1" POST /msg '{"content":"'"$3"'","author":"'"$2"'","date":"."}' | id_of; }  # message LOGIN ID TEXT

seed() {
  local number id reply etag
  . "$state/environment"
  for number in $(seq "$1"); do
    reply="$(message "$CUSTOMER_USER" "$CUSTOMER_ID" 'Good morning,\nmy printer no longer prints.')"
    id="$(write "$CUSTOMER_USER" POST /issue '{"title":"Printer '"$number"'","priority":"bug","messages":["'"$reply"'"]}' | id_of)"
    reply="$(message "$AGENT_USER" "$AGENT_ID" 'Is it switched on?')"
    etag="$(curl -sS -f -u "$AGENT_USER:$password" "$address/rest/data/issue/$id" | sed -nE 's/.*"@etag": "\\"(.*)\\"".*/\1/p')"
    write "$AGENT_USER" PATCH "/issue/$id" '{"@op":"add","messages":["'"$reply"'"]}' "If-Match: \"$etag\"" >/dev/null
    say "issue $id"
  done
}

environment() { echo "BASE_URL=$address"; echo "STATE=$state"; cat "$state/environment"; }

main "$@"
