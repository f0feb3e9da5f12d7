#!/usr/bin/env bash
# Brings alerts to real receivers: Alertmanager, rsyslog and aiosmtpd, each of them
# away at first, and counts what arrived. Programs that are missing are said.
# Needs: Debian's prometheus-alertmanager, rsyslog; aiosmtpd for Python (pip or
# Debian's python3-aiosmtpd); curl, python3.
set -euo pipefail
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
pids=()
cleanup() {
  for p in "${pids[@]}"; do kill "$p" 2>/dev/null || true; done
  wait 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT
have() { command -v "$1" >/dev/null || { echo "SKIP $2: $1 is not there"; return 1; }; }
until_true() { # WHAT COMMAND...
  local what=$1; shift
  for _ in $(seq 300); do "$@" && return 0; sleep 0.2; done
  echo "FAIL: no $what within a minute"; tail -5 "$work"/*.log; exit 1
}
read -r dns up am syslog smtp < <(python3 -c '
import socket
s = [socket.socket() for _ in range(5)]
for x in s: x.bind(("127.0.0.1", 0))
print(*[x.getsockname()[1] for x in s])')

CGO_ENABLED=0 go build -o "$work/weir" ./cmd/weir
receivers="" ; todo=()
if have prometheus-alertmanager Alertmanager; then
  todo+=(am); receivers+="    - {name: am, kind: alertmanager, url: 'http://127.0.0.1:$am', retry_max: 1s}"$'\n'
fi
if have rsyslogd syslog; then
  todo+=(syslog); receivers+="    - {name: syslog, kind: syslog, syslog: {address: 'tcp://127.0.0.1:$syslog'}, retry_max: 1s}"$'\n'
fi
if python3 -c 'import aiosmtpd' 2>/dev/null; then
  todo+=(mail); receivers+="    - {name: mail, kind: mail, mail: {server: '127.0.0.1:$smtp', security: none, from: weir@example.com, to: [ops@example.com]}, retry_max: 1s}"$'\n'
else
  echo "SKIP mail: aiosmtpd is not there"
fi
[ ${#todo[@]} -gt 0 ] || { echo "SKIP: no receiver is there"; exit 0; }
cat >"$work/weir.yaml" <<EOF
state_dir: $work/state
resolver: {listen: ["127.0.0.1:$dns"], upstream: {servers: ["127.0.0.1:$up"]}}
admin: {listen: ""}
lists: [{name: bad, inline: [bad.example]}]
alerts:
  receivers:
$receivers
  rules: [{name: blocked, match: {lists: [bad]}, by: name, resolve_after: 5s, severity: critical}]
EOF
ask() {
  python3 - "$dns" <<'EOF'
import socket, sys
q = bytes.fromhex("123401000001000000000000") + b"\x03bad\x07example\x00\x00\x01\x00\x01"
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(10)
s.sendto(q, ("127.0.0.1", int(sys.argv[1]))); s.recv(512)
EOF
}
weir_starts() {
  "$work/weir" serve -c "$work/weir.yaml" 2>>"$work/weir.log" &
  weir=$!; pids+=("$weir")
  until_true "weir" "$work/weir" status -c "$work/weir.yaml" >/dev/null 2>&1
}
waiting() { "$work/weir" alerts --json -c "$work/weir.yaml" | python3 -c "
import json, sys
print(sum(r['$1'] for r in json.load(sys.stdin)['receivers']))"; }
is() { [ "$(waiting "$1")" -ge "$2" ]; }

weir_starts
ask
until_true "notifications on the disk" is waiting ${#todo[@]}
kill -9 "$weir"; wait "$weir" 2>/dev/null || true
echo "killed with ${#todo[@]} notifications on the disk; nobody is there to take them"
weir_starts

for one in "${todo[@]}"; do case $one in
  am)
    printf 'route: {receiver: none}\nreceivers: [{name: none}]\n' >"$work/am.yml"
    prometheus-alertmanager --config.file="$work/am.yml" --storage.path="$work/am" --web.listen-address="127.0.0.1:$am" --cluster.listen-address= >"$work/am.log" 2>&1 &
    pids+=($!) ;;
  syslog)
    cat >"$work/rsyslog.conf" <<EOF
module(load="imtcp")
input(type="imtcp" port="$syslog" address="127.0.0.1")
template(name="line" type="string" string="%syslogseverity-text% %app-name% %msgid% %msg%\n")
*.* action(type="omfile" file="$work/messages" template="line")
EOF
    rsyslogd -n -f "$work/rsyslog.conf" -i "$work/rsyslog.pid" >"$work/rsyslog.log" 2>&1 &
    pids+=($!) ;;
  mail)
    python3 - "$smtp" "$work/mail" >"$work/smtp.log" 2>&1 <<'EOF' &
import sys, time
from aiosmtpd.controller import Controller
class Handler:
    busy = 2
    async def handle_DATA(self, server, session, envelope):
        if self.busy:
            self.busy -= 1
            return "451 come again"
        with open(sys.argv[2], "ab") as f: f.write(envelope.content + b"\n")
        return "250 OK"
c = Controller(Handler(), hostname="127.0.0.1", port=int(sys.argv[1])); c.start()
while True: time.sleep(60)
EOF
    pids+=($!) ;;
esac; done
"$work/weir" alerts test -c "$work/weir.yaml" >/dev/null 2>&1 || true
# What was kept arrives, and that it is over, too.
until_true "delivery" is sent $((2 * ${#todo[@]}))
[ "$(waiting waiting)" = 0 ]
for one in "${todo[@]}"; do case $one in
  am) until_true "alert in Alertmanager" sh -c "curl -s 'http://127.0.0.1:$am/api/v2/alerts?inhibited=true' >/dev/null && curl -s 'http://127.0.0.1:$am/metrics' | grep -q 'alertmanager_alerts_received_total{status=\"resolved\",version=\"v2\"} [1-9]'"
    curl -s "http://127.0.0.1:$am/metrics" | grep 'alerts_received_total{' ;;
  syslog) until_true "lines of syslog" sh -c "grep -q '^crit weir resolved' '$work/messages'"
    grep -c '^crit weir new .*blocked is firing for bad' "$work/messages" | sed 's/^/syslog, fires: /' ;;
  mail) grep -c '^Subject: .*blocked is firing' "$work/mail" | sed 's/^/mail, fires (after two times 451): /'
    grep -q '^Subject: .*blocked is resolved' "$work/mail" ;;
esac; done
echo "PASS: ${todo[*]}"
