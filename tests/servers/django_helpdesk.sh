#!/usr/bin/env bash
# A real django-helpdesk 2.6 for tests: from PyPI in a virtual environment of its own, SQLite, gunicorn, REST, on loopback
# alone. Mail goes to files. It is an app for somebody's Django project; that project is django_helpdesk_project.
#
#   django_helpdesk.sh install | start | seed [N] | stop | reset | status | environment | desk
#
# install      the virtual environment, a database, accounts and their tokens; repeating it is harmless
# start        starts the server and waits until it answers; installs before if that is missing
# seed N       N tickets with replies and notes, to try things out by hand
# reset        back to the empty database with the same accounts and tokens; a running server is started again
# environment  BASE_URL, the tokens and ids as KEY=VALUE lines (install, start and status print them too)
# desk         does what the REST API cannot: requests as lines of JSON in, answers out, until the input ends
#
# SYNCD_DJANGO_HELPDESK_PORT (8184), SYNCD_DJANGO_HELPDESK_VERSION (2.6.1), SYNCD_DJANGO_HELPDESK_ZONE (UTC; the zone of
# the times in its answers) and SYNCD_SERVERS_DIR (a folder in the temporary directory) may be set.
name=django_helpdesk
port="${SYNCD_DJANGO_HELPDESK_PORT:-8184}"
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"

usage() { sed -n '2,15p' "$0"; }

database="$state/helpdesk.sqlite"
export DJANGO_SETTINGS_MODULE=settings PYTHONPATH="$here/django_helpdesk_project" PYTHONDONTWRITEBYTECODE=1
export SYNCD_DJANGO_HELPDESK_STATE="$state" SYNCD_DJANGO_HELPDESK_DATABASE="$database"

python() { "$state/venv/bin/python" "$@"; }

make_database() {
  rm -f "$database" "$database"-*
  python -m django migrate --noinput && python -m django loaddata emailtemplate.json
}

install() {
  install_from_pypi "django-helpdesk==${SYNCD_DJANGO_HELPDESK_VERSION:-2.6.1}" \
    'Django~=5.2.19' 'djangorestframework~=3.18.3' 'gunicorn~=27.0'
  installed && return 0
  mkdir -p "$state/media" "$state/outbox"
  make_database >"$state/init.log" 2>&1 || die "the database could not be made; see $state/init.log"
  python "$here/django_helpdesk_project/accounts.py" >"$state/environment.new" 2>>"$state/init.log" \
    || die "the accounts could not be made; see $state/init.log"
  cp "$database" "$database.empty"
  mv "$state/environment.new" "$state/environment"
}

start_server() {
  serve 401 /api/tickets/ "$state/venv/bin/gunicorn" --bind "127.0.0.1:$port" --workers 1 --threads 4 \
    --no-control-socket wsgi:application
}

empty() {
  rm -f "$database"-*
  cp "$database.empty" "$database"
  rm -rf "${state:?}/media" "${state:?}/outbox"
  mkdir "$state/media" "$state/outbox"
}

write() {  # write TOKEN METHOD PATH JSON
  curl -sS -f -m 60 -X "$2" -H "Authorization: Token $1" -H 'Content-Type: application/json' -d "$4" "$base/api$3"
}

seed() {
  local number id
  . "$state/environment"
  for number in $(seq "$1"); do
    id="$(write "$AGENT_TOKEN" POST /tickets/ '{"queue":'"$QUEUE_ID"',"title":"Printer '"$number"'","priority":3,
      "description":"Good morning,\nmy printer no longer prints.","submitter_email":"carla@customer.test"}' \
      | sed -E 's/^\{"id":([0-9]+).*/\1/')"
    write "$AGENT_TOKEN" POST /followups/ '{"ticket":'"$id"',"comment":"Is it **switched on**?","public":true}' >/dev/null
    write "$AGENT_TOKEN" POST /followups/ '{"ticket":'"$id"',"comment":"Rings often.","public":false}' >/dev/null
    say "ticket $id"
  done
}

case "${1:-}" in
  desk) installed || die "not installed"; exec "$state/venv/bin/python" "$here/django_helpdesk_project/desk.py" ;;
  *) main "$@" ;;
esac
