#!/usr/bin/env bash
# weir between real servers: NSD as its first upstream, Unbound as its second,
# dig as its client. Everything is on loopback and ends with this script.
set -euo pipefail
cd "$(dirname "$0")/../.."

for tool in nsd unbound dig; do
  PATH=$PATH:/usr/sbin:/sbin command -v $tool >/dev/null || { echo "$tool is needed: apt-get install nsd unbound bind9-dnsutils" >&2; exit 1; }
done
PATH=$PATH:/usr/sbin:/sbin

work=$(mktemp -d)
pids=()
cleanup() {
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

# Ports in a row that nobody listens on.
base=$((20000 + RANDOM % 20000))
nsd_port=$base unbound_port=$((base + 1)) port=$((base + 2)) admin=$((base + 3))

cat >"$work/zone" <<ZONE
\$ORIGIN weir-e2e.net.
\$TTL 300
@     SOA ns admin 1 3600 600 86400 60
@     NS  ns
ns    A   192.0.2.53
www   A   192.0.2.1
www   AAAA 2001:db8::1
alias CNAME www
evil  A   198.51.100.66
svc   HTTPS 1 . alpn=h2 ipv4hint=192.0.2.7
$(for i in $(seq 1 120); do printf 'big A 192.0.2.%d\n' "$i"; done)
ZONE
cat >"$work/nsd.conf" <<NSD
server:
  ip-address: 127.0.0.1@$nsd_port
  username: ""
  chroot: ""
  zonesdir: "$work"
  database: ""
  pidfile: "$work/nsd.pid"
  xfrdfile: "$work/xfrd.state"
  zonelistfile: "$work/zone.list"
  xfrdir: "$work"
  logfile: "$work/nsd.log"
remote-control:
  control-enable: no
zone:
  name: weir-e2e.net
  zonefile: zone
NSD
cat >"$work/unbound.conf" <<UNBOUND
server:
  interface: 127.0.0.1@$unbound_port
  username: ""
  chroot: ""
  directory: "$work"
  pidfile: "$work/unbound.pid"
  use-syslog: no
  logfile: "$work/unbound.log"
  do-daemonize: no
  module-config: "iterator"
  access-control: 127.0.0.0/8 allow
  local-zone: "weir-e2e.net." static
  local-data: "alive.weir-e2e.net. 300 IN A 192.0.2.99"
remote-control:
  control-enable: no
UNBOUND
cat >"$work/weir.yaml" <<WEIR
resolver:
  listen: ["127.0.0.1:$port", "[::1]:$port"]
  upstream:
    servers: ["127.0.0.1:$nsd_port", "127.0.0.1:$unbound_port"]
    # The second knows other names: it must be asked only when the first is dead.
    strategy: failover
lists:
  - name: e2e
    inline: [evil.weir-e2e.net]
admin:
  listen: 127.0.0.1:$admin
WEIR

nsd -d -c "$work/nsd.conf" & pids+=($!); nsd_pid=$!
unbound -d -c "$work/unbound.conf" & pids+=($!)
./bin/weir serve -c "$work/weir.yaml" --state "$work/state" 2>"$work/weir.log" & pids+=($!); weir_pid=$!

for _ in $(seq 100); do
  if dig +short +tries=1 +time=1 -p $nsd_port @127.0.0.1 ns.weir-e2e.net 2>/dev/null | grep -q 192.0.2.53 &&
     dig +short +tries=1 +time=1 -p $unbound_port @127.0.0.1 alive.weir-e2e.net 2>/dev/null | grep -q 192.0.2.99 &&
     ./bin/weir healthcheck --admin 127.0.0.1:$admin >/dev/null 2>&1; then ready=1; break; fi
  sleep 0.1
done
[ "${ready:-}" = 1 ] || { echo "the servers did not start"; cat "$work"/*.log; exit 1; }

passed=0 failed=0
# expect WHAT PATTERN DIG-ARGUMENT... wants a line of dig's output to match.
expect() {
  local what=$1 pattern=$2; shift 2
  local out; out=$(dig -p $port +tries=1 +time=5 "$@" 2>&1 || true)
  if grep -Eq -- "$pattern" <<<"$out"; then
    passed=$((passed + 1))
  else
    failed=$((failed + 1)); echo "FAIL $what: nothing matches $pattern in:"; echo "$out"
  fi
}
check() { if eval "$2"; then passed=$((passed + 1)); else failed=$((failed + 1)); echo "FAIL $1: $2"; fi; }

expect 'address'              '^www\.weir-e2e\.net\..*A.192\.0\.2\.1$'          @127.0.0.1 www.weir-e2e.net A
expect 'cached address'       '^www\.weir-e2e\.net\..*A.192\.0\.2\.1$'          @127.0.0.1 www.weir-e2e.net A
expect 'IPv6 client'          'AAAA.2001:db8::1$'                               @::1 www.weir-e2e.net AAAA
expect 'CNAME'                '^alias.*CNAME.www\.weir-e2e\.net\.$'             @127.0.0.1 alias.weir-e2e.net A
expect 'HTTPS rdata intact'   'HTTPS.1 \. alpn="h2" ipv4hint=192\.0\.2\.7$'      @127.0.0.1 svc.weir-e2e.net HTTPS
expect 'NXDOMAIN'             'status: NXDOMAIN'                                @127.0.0.1 none.weir-e2e.net A
expect 'SOA with NXDOMAIN'    'weir-e2e\.net\..*SOA'                            @127.0.0.1 none.weir-e2e.net A
expect 'NODATA'               'status: NOERROR.*'                               @127.0.0.1 www.weir-e2e.net MX
expect 'large: TC over UDP'   'flags: qr tc rd ra'                              @127.0.0.1 +ignore big.weir-e2e.net A
expect 'large: TCP'           'ANSWER: 120,'                                    @127.0.0.1 +tcp big.weir-e2e.net A
expect 'blocked'              'evil\.weir-e2e\.net\..*10.*A.0\.0\.0\.0$'        @127.0.0.1 evil.weir-e2e.net A
expect 'blocked: EDE'         'EDE: 15 \(Blocked\): \(list=e2e rule=evil\.weir-e2e\.net\)' @127.0.0.1 evil.weir-e2e.net A
expect 'blocked: HTTPS'       'ANSWER: 0, AUTHORITY: 1'                         @127.0.0.1 evil.weir-e2e.net HTTPS
expect 'special name'         '127\.0\.0\.1$'                                   @127.0.0.1 localhost A

kill "$nsd_pid"; wait "$nsd_pid" 2>/dev/null || true
expect 'first upstream dead'  'A.192\.0\.2\.99$'                                @127.0.0.1 alive.weir-e2e.net A
expect 'cache outlives it'    'A.192\.0\.2\.1$'                                 @127.0.0.1 www.weir-e2e.net A

kill -HUP "$weir_pid"
for _ in $(seq 50); do grep -q '"reloaded"' "$work/weir.log" && break; sleep 0.1; done
check 'SIGHUP reloads' "grep -q '\"reloaded\"' '$work/weir.log'"
kill -TERM "$weir_pid"
code=0; wait "$weir_pid" || code=$?
check 'SIGTERM ends it with 0' "[ $code = 0 ]"
check 'passive DNS was kept' "cat '$work'/state/records/cof* | grep -q '\"rrname\":\"www.weir-e2e.net'"
check 'what was blocked is not passive DNS' "! cat '$work'/state/records/cof* | grep -q 'evil.weir-e2e.net'"
check 'the log names no query' "! grep -q weir-e2e.net '$work/weir.log'"

[ $failed = 0 ] || cat "$work/weir.log"
echo "$passed passed, $failed failed"
[ $failed = 0 ]
