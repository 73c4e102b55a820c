#!/usr/bin/env bash
# pip's newest grafana-foundation-sdk is the one for the oldest Grafana that it knows.
#
# Each release of Grafana's SDK is uploaded once for every supported Grafana, with the time of the upload as the epoch of the
# version: `1769699379!11.6.0` for Grafana 11.6 went up before `1769699998!10.1.0` for Grafana 10.1. Epochs go before all else
# (PEP 440), so "at least the one for 11.6" is the one for 10.1, and no bound on the version keeps it out but the exact one.
# For dashboards as code: an unpinned install, or one with a lower bound, describes panels and schema of a Grafana of years
# ago, without a word.
#
# Seen with grafana-foundation-sdk of January 2026, pip 23 and Python 3.11.
set -eu
command -v python3 >/dev/null || { echo "python3 is missing" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
bounds='grafana-foundation-sdk>=1769699379!11.6.0,<=1769699998!10.1.0'
python3 -m pip install --quiet --no-deps --target by_bound "$bounds" &&
  python3 -m pip install --quiet --no-deps --target pinned 'grafana-foundation-sdk==1769699379!11.6.0' ||
  { echo "pip does not give the pinned packages" >&2; exit 2; }
cat >read.py <<'PY'
import importlib.metadata

for place in ("by_bound", "pinned"):
    [one] = importlib.metadata.distributions(name="grafana-foundation-sdk", path=[place])
    print(place, one.version)
PY
cat >expected <<'TEXT'
by_bound 1769699998!10.1.0
pinned 1769699379!11.6.0
TEXT
python3 read.py | tee seen
diff expected seen || { echo "it behaves otherwise now" >&2; exit 1; }
