#!/usr/bin/env bash
# The dashboard of `weir demo` in a real browser: Debian's Chromium, driven by
# Playwright, and axe for what people need who see or move otherwise (both from
# PyPI, in a virtual environment). --shots DIR writes the pictures of the docs.
# Where there is no Chromium or no PyPI it is skipped, unless UI_REQUIRED is set.
set -euo pipefail
cd "$(dirname "$0")/../.."

weir=${WEIR:-bin/weir}
[ -x "$weir" ] || { echo "build $weir first: make build" >&2; exit 1; }

skip() {
  echo "SKIPPED: $1"
  [ -z "${UI_REQUIRED:-}" ] || exit 1
  exit 0
}

chromium=$(command -v chromium || command -v chromium-browser || true)
[ -n "$chromium" ] || skip "no Chromium here (Debian's package chromium)"
venv=${UI_VENV:-.venv-ui}
if ! { [ -x "$venv/bin/python" ] || python3 -m venv "$venv"; } || ! "$venv/bin/pip" install --quiet --disable-pip-version-check -r testdata/ui/requirements.txt; then
  skip "Playwright cannot be had from PyPI"
fi
exec "$venv/bin/python" testdata/ui/ui.py --weir "$weir" --chromium "$chromium" "$@"
