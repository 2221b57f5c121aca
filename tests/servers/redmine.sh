#!/usr/bin/env bash
# A real Redmine 5 for tests: Debian's package, SQLite, puma, REST, on loopback alone. No mail ever leaves it.
#
#   redmine.sh install | start | seed [N] | stop | reset | status | environment
#
# install      apt packages (needs root), a database, accounts and their API keys; repeating it is harmless
# start        starts the server and waits until it answers; installs before if that is missing
# seed N       N tickets with replies and notes, to try things out by hand
# reset        back to the empty database with the same accounts and keys; a running server is started again
# environment  BASE_URL, the keys and ids as KEY=VALUE lines (install, start and status print them too)
#
# SYNCD_REDMINE_PORT (8182), SYNCD_REDMINE_THREADS (4) and SYNCD_SERVERS_DIR (a folder in the temporary directory) may be
# set. Each port has a state of its own.
name=redmine
port="${SYNCD_REDMINE_PORT:-8182}"
. "$(dirname "${BASH_SOURCE[0]}")/server.sh"

usage() { sed -n '2,13p' "$0"; }

application=/usr/share/redmine
instance="$state/instance"
database="$state/redmine.sqlite"
packages=(redmine redmine-sqlite puma curl)

# Debian 12's bundler calls a gem deleted when the directory beside its specification is missing, and many Debian
# packages ship none; Redmine cannot even be configured then. Empty directories are enough.
make_gem_directories() {
  ruby -rfileutils -e 'Gem::Specification.each { |gem|
    FileUtils.mkdir_p(gem.full_gem_path) unless gem.default_gem? || File.directory?(gem.full_gem_path) }'
}

preseed() { echo "redmine redmine/instances/default/dbconfig-install boolean false" | debconf-set-selections; }

install_redmine() {
  packages_installed "${packages[@]}" && return 0
  install_packages ruby debconf || die "ruby could not be installed; see $state/apt.log"
  without_services preseed
  # On a bare machine the first try leaves Redmine unconfigured, as its gems came without their directories.
  if ! install_packages "${packages[@]}"; then
    make_gem_directories
    without_services dpkg --configure -a || true
  fi
  packages_installed "${packages[@]}" || die "apt-get install failed; see $state/apt.log"
  make_gem_directories
}

# Debian's Redmine finds its settings by the name of an instance; this one lives in the state, and /etc is not used.
link_instance() {
  local link="/var/lib/redmine/$name-$port"
  [ "$(readlink "$link" 2>/dev/null)" = "$instance" ] || ln -sfnT "$instance" "$link" \
    || die "$link could not be made; run '$0 install' as root"
}

make_instance() {
  mkdir -p "$instance"/{config,files,log,tmp,public/plugin_assets}
  cat >"$instance/config/database.yml" <<SETTINGS
production:
  adapter: sqlite3
  database: $database
  encoding: utf8
  timeout: 20000
SETTINGS
  echo "only-for-tests-on-this-machine-0123456789" >"$instance/config/secret_key.txt"
  # Debian's list of gems, and the web server.
  printf '%s\n' "eval_gemfile '$application/Gemfile'" "gem 'puma'" >"$state/Gemfile"
  rm -f "$state/Gemfile.lock"
}

# The environment is set here alone: Debian's own scripts call bundle too, and must not see it. The database holds the
# local time of this zone, which is far from that of everybody else and has no hour twice a year.
in_redmine() {
  cd "$application"
  TZ=Asia/Kolkata RAILS_ENV=production REDMINE_INSTANCE="$name-$port" REDMINE_LANG=en SCHEMA=/dev/null \
    BUNDLE_GEMFILE="$state/Gemfile" BUNDLE_SILENCE_ROOT_WARNING=1 "$@"
}

# Two processes make it: the first one keeps the old lists of columns in mind.
make_database() {
  rm -f "$database"
  in_redmine bundle install --local --quiet &&
    in_redmine bundle exec rake db:migrate &&
    in_redmine bundle exec rake redmine:load_default_data
}

install() {
  install_redmine
  link_instance
  installed && return 0
  make_instance
  (make_database) >"$state/init.log" 2>&1 || die "the database could not be made; see $state/init.log"
  (in_redmine bundle exec rails runner "$here/redmine_accounts.rb") >"$state/environment.new" 2>>"$state/init.log" \
    || die "the accounts could not be made; see $state/init.log"
  echo "DATABASE=$database" >>"$state/environment.new"
  cp "$database" "$database.empty"
  mv "$state/environment.new" "$state/environment"
}

start_server() {
  local threads="${SYNCD_REDMINE_THREADS:-4}"
  in_redmine serve 401 /users/current.json bundle exec puma --environment production --quiet \
    --bind "tcp://127.0.0.1:$port" --threads "$threads:$threads" --workers 0 config.ru
}

empty() {
  rm -f "$database-journal" "$database-wal" "$database-shm"
  cp "$database.empty" "$database"
  rm -rf "${instance:?}/files"
  mkdir "$instance/files"
}

write() {  # write KEY METHOD PATH JSON
  curl -sS -f -m 60 -X "$2" -H "X-Redmine-API-Key: $1" -H 'Content-Type: application/json' -d "$4" "$base$3"
}

seed() {
  local number id
  . "$state/environment"
  for number in $(seq "$1"); do
    id="$(write "$CUSTOMER_KEY" POST /issues.json '{"issue":{"project_id":"support","tracker_id":3,
      "subject":"Printer '"$number"'","description":"Good morning,\nmy printer no longer prints."}}' \
      | sed -E 's/.*"issue":\{"id":([0-9]+).*/\1/')"
    write "$AGENT_KEY" PUT "/issues/$id.json" '{"issue":{"notes":"Is it *switched on*?","status_id":2}}'
    write "$AGENT_KEY" PUT "/issues/$id.json" '{"issue":{"notes":"Rings often.","private_notes":true}}'
    write "$CUSTOMER_KEY" PUT "/issues/$id.json" '{"issue":{"notes":"Yes, it is."}}'
    say "ticket $id"
  done
}

main "$@"
