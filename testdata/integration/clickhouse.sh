#!/usr/bin/env bash
# The ClickHouse outlet against ClickHouse's own engine, as the Python package chdb has
# it: the tests put a server of the native protocol in front of it. Needs python3 with
# chdb, or pip and PyPI; skips where neither is to be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v python3 >/dev/null || { echo "SKIP: no python3"; exit 0; }
python=${WEIR_CHDB_PYTHON:-python3}
if ! "$python" -c 'import chdb' 2>/dev/null; then
  venv=${XDG_CACHE_HOME:-$HOME/.cache}/weir-integration/chdb
  [ -x "$venv/bin/python" ] || python3 -m venv "$venv" || { echo "SKIP: no venv"; exit 0; }
  python=$venv/bin/python
  "$python" -c 'import chdb' 2>/dev/null || "$venv/bin/pip" install --quiet 'chdb==4.4.0' || { echo "SKIP: chdb cannot be had"; exit 0; }
fi
WEIR_CHDB_PYTHON=$(command -v "$python") go test -count=1 -timeout 10m -v ./pdns/outlet/clickhouse
