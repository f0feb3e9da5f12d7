#!/usr/bin/env bash
# The syslog outlet against rsyslog, by every way, with connections that are cut.
# Needs rsyslogd with its gtls driver (Debian: rsyslog, rsyslog-gnutls) and root or
# not; skips where it is missing. No service of the system is touched.
set -euo pipefail
cd "$(dirname "$0")/../.."
daemon=$(PATH=$PATH:/usr/sbin:/sbin command -v rsyslogd) || { echo "SKIP: no rsyslogd"; exit 0; }
ls /usr/lib/*/rsyslog/lmnsd_gtls.so >/dev/null 2>&1 || { echo "SKIP: rsyslogd has no gtls driver"; exit 0; }
WEIR_RSYSLOGD=$daemon go test -count=1 -timeout 10m -run TestRealReceiver -v ./pdns/outlet/syslog
