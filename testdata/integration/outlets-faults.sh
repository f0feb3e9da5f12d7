#!/usr/bin/env bash
# Every outlet at 1,000 rows a second while its service is there, gone for a minute, cut
# off in the middle of what is sent, silent, and answering with errors: in a process of
# its own, all beside each other, with real services where they can be had. Prints a row
# of a table for each. Takes about four minutes; what is missing is said and left out.
set -euo pipefail
cd "$(dirname "$0")/../.."
here=$PWD/testdata/integration
cache=${XDG_CACHE_HOME:-$HOME/.cache}/weir-integration
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT
export WEIR_OUTLETS_FAULTS=full
kinds="clickhouse dnstap httpout kafka parquetout postgres syslog"
for k in $kinds; do go test -c -o "$work/$k.test" "./pdns/outlet/$k"; done
jobs=()
begin() { # NAME KIND TEST [ENV=VALUE...]: one process
  local name=$1 kind=$2 test=$3
  shift 3
  (cd "pdns/outlet/$kind" && env "$@" "$work/$kind.test" -test.run "$test" -test.v -test.timeout 15m) >"$work/$name.log" 2>&1 &
  jobs+=("$name:$!")
}
through() { # NAME SCRIPT KIND TEST: by a script that starts a service and runs a command
  bash "$here/$2" bash -c "cd pdns/outlet/$3 && exec '$work/$3.test' -test.run '$4' -test.v -test.timeout 15m" >"$work/$1.log" 2>&1 &
  jobs+=("$1:$!")
}
for preset in ndjson loki splunk_hec elastic_bulk; do begin "http_$preset" httpout "^TestFaults\$/^$preset\$"; done
begin syslog syslog '^TestFaults$'
begin dnstap dnstap '^TestFaults$'
begin s3 parquetout '^TestFaults$'
through clickhouse clickhouse-server.sh clickhouse '^TestFaultsOfAWholeServer$'
through kafka kafka.sh kafka '^TestFaultsOfRealBrokers$'
through versitygw s3.sh parquetout '^TestFaultsOfRealS3$'
through postgres postgres.sh postgres '^TestFaults$'
python=${WEIR_CHDB_PYTHON:-$cache/chdb/bin/python}
if "$python" -c 'import chdb' 2>/dev/null; then
  begin chdb clickhouse '^TestFaultsOfTheEngine$' "WEIR_CHDB_PYTHON=$python"
else
  echo "SKIP ClickHouse's engine: no chdb"
fi
bad=0
for job in "${jobs[@]}"; do
  wait "${job##*:}" || { bad=1; echo "FAIL ${job%%:*}"; tail -30 "$work/${job%%:*}.log"; }
done
echo "| outlet | rows | arrived | came twice | spool at most | all there after | memory before | at most |"
echo "|---|---|---|---|---|---|---|---|"
for job in "${jobs[@]}"; do
  sed -n 's/^ *faults_test.go:[0-9]*: \(|.*\)/\1/p; s/^ *given_test.go:[0-9]*: \(|.*\)/\1/p; s/^\(SKIP.*\)/'"${job%%:*}"': \1/p' "$work/${job%%:*}.log"
done
for job in "${jobs[@]}"; do sed -n 's/.*\(failed tries: .*\)/'"${job%%:*}"': \1/p' "$work/${job%%:*}.log"; done
exit $bad
