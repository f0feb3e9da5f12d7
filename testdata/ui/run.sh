#!/usr/bin/env bash
# The dashboard of `weir demo` in a real browser: Debian's Chromium, driven by
# Playwright, and axe for what people need who see or move otherwise (both from
# PyPI, in a virtual environment). --shots DIR writes the pictures of the docs.
set -euo pipefail
cd "$(dirname "$0")/../.."

weir=${WEIR:-bin/weir}
[ -x "$weir" ] || { echo "build $weir first: make build" >&2; exit 1; }

chromium=$(command -v chromium || command -v chromium-browser || true)
if [ -z "$chromium" ]; then
  echo "SKIPPED: no Chromium here (Debian's package chromium)"
  exit 0
fi
venv=${UI_VENV:-.venv-ui}
if ! { [ -x "$venv/bin/python" ] || python3 -m venv "$venv"; } || ! "$venv/bin/pip" install --quiet --disable-pip-version-check -r testdata/ui/requirements.txt; then
  echo "SKIPPED: Playwright cannot be had from PyPI"
  exit 0
fi
exec "$venv/bin/python" testdata/ui/ui.py --weir "$weir" --chromium "$chromium" "$@"
