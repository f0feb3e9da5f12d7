#!/usr/bin/env bash
# The ClickHouse outlet against a whole server: Debian's clickhouse-server (18.16: old,
# but it is the protocol), in a folder and on ports of its own. Where it is not installed
# its package is taken apart instead; the libraries that it needs have to be there, else
# this skips and names them. WEIR_CLICKHOUSE=HOST:PORT,URL asks another server instead:
# its database weir is made anew.
set -euo pipefail
cd "$(dirname "$0")/../.."
run() {
  if [ $# -gt 0 ]; then "$@"; else go test -count=1 -timeout 10m -run 'WholeServer' -v ./pdns/outlet/clickhouse; fi
}
if [ -n "${WEIR_CLICKHOUSE:-}" ]; then run "$@"; exit; fi
for tool in curl python3; do
  command -v "$tool" >/dev/null || { echo "SKIP: no $tool"; exit 0; }
done
cache=${XDG_CACHE_HOME:-$HOME/.cache}/weir-integration/clickhouse-18.16
server=$(PATH=$PATH:/usr/sbin command -v clickhouse-server || true)
if [ -z "$server" ]; then
  server=$cache/usr/sbin/clickhouse-server
  if [ ! -x "$server" ]; then
    command -v dpkg-deb >/dev/null || { echo "SKIP: no clickhouse-server, and no Debian"; exit 0; }
    mkdir -p "$cache"
    (cd "$cache" && apt-get download -q clickhouse-server clickhouse-common >/dev/null 2>&1) || { echo "SKIP: clickhouse-server cannot be had"; exit 0; }
    for deb in "$cache"/*.deb; do dpkg-deb -x "$deb" "$cache"; done
  fi
  LD_LIBRARY_PATH=$(dirname "$(find "$cache" -name 'libclickhouse.so*' | head -1)")
  export LD_LIBRARY_PATH
fi
missing=$(ldd "$server" | awk '/not found/ {print $1}' | sort -u | tr '\n' ' ')
[ -z "$missing" ] || { echo "SKIP: clickhouse-server needs $missing"; exit 0; }
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
read -r native http < <(python3 -c '
import socket
s = [socket.socket() for _ in range(2)]
for x in s: x.bind(("127.0.0.1", 0))
print(*[x.getsockname()[1] for x in s])')
cat >"$work/config.xml" <<EOF
<yandex>
  <logger><level>warning</level><log>$work/log</log><errorlog>$work/err</errorlog></logger>
  <tcp_port>$native</tcp_port><http_port>$http</http_port><listen_host>127.0.0.1</listen_host>
  <path>$work/data/</path><tmp_path>$work/tmp/</tmp_path><timezone>UTC</timezone>
  <users_config>$work/users.xml</users_config><default_profile>default</default_profile><default_database>default</default_database>
  <mark_cache_size>67108864</mark_cache_size>
</yandex>
EOF
cat >"$work/users.xml" <<EOF
<yandex><profiles><default/></profiles><quotas><default/></quotas><users><default><password></password>
<networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users></yandex>
EOF
"$server" --config-file="$work/config.xml" >"$work/out" 2>&1 &
pids+=($!)
for _ in $(seq 120); do
  curl -sf "http://127.0.0.1:$http/ping" >/dev/null && break
  sleep 0.5
done
unset LD_LIBRARY_PATH
WEIR_CLICKHOUSE=127.0.0.1:$native,http://127.0.0.1:$http/ run "$@" || { tail -5 "$work/err"; exit 1; }
