#!/usr/bin/env bash
# The dnstap outlet read by programs of others. Needs fstrm_capture, dnstap-ldns and
# dnstap-read (Debian: fstrm-bin, dnstap-ldns, bind9-utils); skips where one is missing.
set -euo pipefail
cd "$(dirname "$0")/../.."
for tool in fstrm_capture dnstap-ldns dnstap-read; do
  command -v "$tool" >/dev/null || { echo "SKIP: no $tool"; exit 0; }
done
WEIR_FSTRM_CAPTURE=$(command -v fstrm_capture) go test -count=1 -timeout 10m -run TestReadersOfOthers -v ./pdns/outlet/dnstap
