#!/usr/bin/env bash
# How long the dashboard takes on a database of so many names (bench.py), in a
# folder that is made for it and goes afterwards.
set -euo pipefail
cd "$(dirname "$0")/../.."

names=${1:-1000000}
weir=${WEIR:-bin/weir}
venv=${UI_VENV:-.venv-ui}
chromium=$(command -v chromium || command -v chromium-browser)
[ -x "$venv/bin/python" ] || python3 -m venv "$venv"
"$venv/bin/pip" install --quiet --disable-pip-version-check -r testdata/ui/requirements.txt
state=$(mktemp -d)
trap 'rm -rf "$state"' EXIT
go run ./testdata/ui/fill "$state" "$names"
"$venv/bin/python" testdata/ui/bench.py --weir "$weir" --chromium "$chromium" --state "$state"
