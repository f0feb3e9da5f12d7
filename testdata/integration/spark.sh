#!/usr/bin/env bash
# examples/spark on a real Spark (pyspark from PyPI, in a venv of its own): weir's Parquet
# and COF lines scored, weir's Parquet counted as it is, and failures that must end the
# job. Needs java 17 and python3; skips where one is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
for tool in java python3; do
  command -v "$tool" >/dev/null || { echo "SKIP: no $tool"; exit 0; }
done
python=${WEIR_SPARK_PYTHON:-}
if [ -z "$python" ]; then
  venv=${XDG_CACHE_HOME:-$HOME/.cache}/weir-integration/pyspark-4.0
  python=$venv/bin/python
  if [ ! -e "$venv/ready" ]; then
    python3 -m venv "$venv" && "$venv/bin/pip" install -q --disable-pip-version-check -r examples/spark/requirements.txt ||
      { echo "SKIP: pyspark cannot be had"; exit 0; }
    touch "$venv/ready"
  fi
fi
"$python" -c 'import pyspark, pandas, pyarrow' || { echo "SKIP: no pyspark"; exit 0; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
CGO_ENABLED=0 go build -o "$work/weir" ./cmd/weir
for i in $(seq 3000); do echo "name$i.example$((i % 300)).com"; done >"$work/names"
WEIR_LAKE=$work/lake WEIR_LAKE_NAMES=$work/names WEIR_LAKE_ROWS=30000 go test -count=1 -run TestLargeLake ./pdns/outlet/parquetout
PYTHONPATH=examples/spark PYSPARK_PYTHON=$python "$python" testdata/integration/spark.py "$work"
