#!/usr/bin/env bash
# The wheel installed as people install programs: by pipx and by `uv tool`, each into a home of its own.
# Both fetch what syncd requires, as its pyproject.toml says it and without the lock file; then the program is started.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
python=$PWD/.venv/bin/python
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$python" -m hatchling build -t wheel -d "$folder/dist" >/dev/null
"$python" -m venv "$folder/tools"
"$folder/tools/bin/pip" install --disable-pip-version-check -q pipx uv
wheel=("$folder"/dist/syncd-*.whl)
cd /

works() { # works SYNCD: it starts, knows its adapters, and delivers in its demo
  "$1" --version
  "$1" adapters | grep -q '^zendesk '
  "$1" demo >/dev/null
}

export UV_TOOL_DIR=$folder/uv UV_TOOL_BIN_DIR=$folder/uv-bin UV_CACHE_DIR=$folder/uv-cache
"$folder/tools/bin/uv" tool install -q --python "$python" "${wheel[0]}"
echo "uv tool: $(works "$folder/uv-bin/syncd") (${SECONDS} s)"

export PIPX_HOME=$folder/pipx PIPX_BIN_DIR=$folder/pipx-bin PIPX_MAN_DIR=$folder/man
"$folder/tools/bin/pipx" install --quiet --python "$python" "${wheel[0]}" >/dev/null
[ -e "$folder/man/man1/syncd.1" ]
echo "pipx: $(works "$folder/pipx-bin/syncd") (${SECONDS} s)"
