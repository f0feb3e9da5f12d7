#!/usr/bin/env bash
# The Kafka outlet against a real broker (KRaft mode, from Maven) behind a proxy that
# cuts connections, or a command of yours with the broker. Needs java, mvn and python3; skips where one is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
for tool in java mvn python3; do
  command -v "$tool" >/dev/null || { echo "SKIP: no $tool"; exit 0; }
done
version=3.9.1
cache=${XDG_CACHE_HOME:-$HOME/.cache}/weir-integration/kafka-$version
work=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2>/dev/null || true; wait 2>/dev/null || true; rm -rf "$work"' EXIT

if [ ! -e "$cache/ready" ]; then
  mkdir -p "$cache"
  cat >"$work/pom.xml" <<EOF
<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>weir</groupId><artifactId>integration</artifactId><version>1</version><dependencies>
<dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>$version</version></dependency>
<dependency><groupId>org.slf4j</groupId><artifactId>slf4j-nop</artifactId><version>1.7.36</version></dependency>
</dependencies></project>
EOF
  mvn -q -B -f "$work/pom.xml" dependency:copy-dependencies -DoutputDirectory="$cache" || { echo "SKIP: Maven cannot be reached"; exit 0; }
  touch "$cache/ready"
fi

read -r broker controller proxy < <(python3 -c '
import socket
s = [socket.socket() for _ in range(3)]
for x in s: x.bind(("127.0.0.1", 0))
print(*[x.getsockname()[1] for x in s])')
cat >"$work/server.properties" <<EOF
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:$controller
listeners=PLAINTEXT://127.0.0.1:$broker,CONTROLLER://127.0.0.1:$controller
advertised.listeners=PLAINTEXT://127.0.0.1:$proxy
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs=$work/data
num.partitions=3
offsets.topic.replication.factor=1
EOF
java -cp "$cache/*" kafka.tools.StorageTool format -t MkU3OEVBNTcwNTJENDM2Qg -c "$work/server.properties" >/dev/null
java -Xmx512m -cp "$cache/*" kafka.Kafka "$work/server.properties" >"$work/kafka.log" 2>&1 &
pids+=($!)
for _ in $(seq 120); do
  (exec 3<>"/dev/tcp/127.0.0.1/$broker") 2>/dev/null && break
  sleep 0.5
done
if [ $# -gt 0 ]; then # the command's own proxy
  WEIR_KAFKA_FAULTS=127.0.0.1:$proxy,127.0.0.1:$broker "$@"
  exit
fi
python3 testdata/integration/cutproxy.py "$proxy" "$broker" >"$work/cuts" &
pids+=($!)
sleep 1
WEIR_KAFKA=127.0.0.1:$proxy go test -count=1 -timeout 10m -run TestRealBrokers -v ./pdns/outlet/kafka
echo "the proxy cut $(wc -l <"$work/cuts") connections"
