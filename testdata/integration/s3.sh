#!/usr/bin/env bash
# The Parquet outlet against a real S3 server (versitygw, from the Go proxy) behind a
# proxy that cuts connections; then DuckDB and pyarrow (PyPI) read what it wrote. Needs
# python3; skips what cannot be had.
set -euo pipefail
cd "$(dirname "$0")/../.."
command -v python3 >/dev/null || { echo "SKIP: no python3"; exit 0; }
version=v1.8.0
cache=${XDG_CACHE_HOME:-$HOME/.cache}/weir-integration/versitygw-$version
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT

if [ ! -x "$cache/versitygw" ]; then
  GOBIN=$cache go install "github.com/versity/versitygw/cmd/versitygw@$version" || { echo "SKIP: versitygw cannot be built"; exit 0; }
fi
read -r server proxy < <(python3 -c '
import socket
s = [socket.socket() for _ in range(2)]
for x in s: x.bind(("127.0.0.1", 0))
print(*[x.getsockname()[1] for x in s])')
mkdir "$work/data" "$work/sidecar" "$work/lake"
"$cache/versitygw" --port "127.0.0.1:$server" --access weir --secret weir-secret posix --sidecar "$work/sidecar" "$work/data" >"$work/server.log" 2>&1 &
pids+=($!)
for _ in $(seq 120); do
  (exec 3<>"/dev/tcp/127.0.0.1/$server") 2>/dev/null && break
  sleep 0.5
done
if [ $# -gt 0 ]; then # a command of yours, with the server
  WEIR_S3_FAULTS=http://127.0.0.1:$server "$@"
  exit
fi
python3 testdata/integration/cutproxy.py "$proxy" "$server" 0 500 5000 30000 >"$work/cuts" &
pids+=($!)
for _ in $(seq 120); do
  (exec 3<>"/dev/tcp/127.0.0.1/$proxy") 2>/dev/null && break
  sleep 0.5
done
WEIR_S3=http://127.0.0.1:$proxy WEIR_S3_FILES=$work/lake go test -count=1 -timeout 10m -run TestRealS3 -v ./pdns/outlet/parquetout || { tail -20 "$work/server.log"; exit 1; }
echo "the proxy cut $(wc -l <"$work/cuts") connections"
python3 -c 'import duckdb, pyarrow' 2>/dev/null || { echo "SKIP: no duckdb or no pyarrow: pip install duckdb pyarrow"; exit 0; }
python3 testdata/integration/lake.py "$work/lake"
