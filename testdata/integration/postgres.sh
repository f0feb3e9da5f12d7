#!/usr/bin/env bash
# The PostgreSQL outlet against a real server in a folder of the test's own, with
# cuts and a crash. Needs PostgreSQL's programs (Debian: postgresql); skips where they
# are missing. No service of the system is touched, and the server is never root.
set -euo pipefail
cd "$(dirname "$0")/../.."
bin=$(ls -d /usr/lib/postgresql/*/bin 2>/dev/null | sort -V | tail -1 || true)
[ -x "$bin/initdb" ] || { bin=$(dirname "$(readlink -f "$(command -v initdb || true)")"); }
[ -x "$bin/initdb" ] || { echo "SKIP: no PostgreSQL"; exit 0; }
export WEIR_POSTGRES_BIN=$bin
if [ $# -gt 0 ]; then exec "$@"; fi # a command of yours
go test -count=1 -timeout 10m -v ./pdns/outlet/postgres
