#!/usr/bin/env bash
# A counter's first value is an increase for VictoriaMetrics up to 9, and none from 10 on; for Prometheus it is never one.
#
# A counter of rare faults (XIDs, uncorrectable ECC errors, remapped rows) has no series until the first fault, and then begins
# above 0. increase() in Prometheus needs a value before it: the first fault of a GPU fires no alert. VictoriaMetrics guesses:
# a series that begins far above its own step is an old counter seen late, any other began at 0. Where the series stays flat
# at first the bound is 10: one to nine faults at once count in full, ten or more count as nothing, and what follows counts.
# For telemetry: the same rule on the same data pages in one store and not in the other, and in the one that pages the worse
# burst is the silent one. Export 0 for every GPU and kind of fault from the start, or alert on the level.
# increase_pure() of VictoriaMetrics takes every first value as an increase.
#
# Seen with the Debian 12 packages prometheus 2.42.0+ds-5+deb12u1 (promtool) and victoria-metrics 1.79.5+ds1-2+b5, unpacked here
# and not installed. Needs apt-get, dpkg-deb and python3; the server listens on loopback alone and ends with this script.
set -eu
for tool in python3 apt-get dpkg-deb; do
  command -v "$tool" >/dev/null || { echo "$tool is missing" >&2; exit 2; }
done
folder=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$folder"' EXIT
cd "$folder"
apt-get download -q prometheus=2.42.0+ds-5+deb12u1 victoria-metrics=1.79.5+ds1-2+b5 >log 2>&1 ||
  { tail -n 3 log >&2; echo "apt does not give the pinned packages of Debian 12" >&2; exit 2; }
for package in ./*.deb; do
  dpkg-deb -x "$package" root
done

cat >rules.yaml <<'YAML'
rule_files: []
evaluation_interval: 1m
tests:
  - interval: 1m
    input_series:
      - {series: 'xid{first="1"}', values: '_x20 1x9'}
      - {series: 'xid{first="9"}', values: '_x20 9x9'}
      - {series: 'xid{first="10"}', values: '_x20 10x9'}
      - {series: 'xid{first="79"}', values: '_x20 79x9'}
    promql_expr_test:
      - expr: increase(xid[30m]) > 0
        eval_time: 30m
        exp_samples: []
      - expr: count(increase(xid[30m]) == 0)
        eval_time: 30m
        exp_samples: [{labels: '{}', value: 4}]
YAML

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
root/usr/bin/victoria-metrics -storageDataPath data -httpListenAddr "127.0.0.1:$port" -loggerLevel ERROR >log 2>&1 &
server=$!
cat >ask.py <<'PY'
import json
import sys
import time
from urllib.error import URLError
from urllib.parse import urlencode
from urllib.request import ProxyHandler, Request, build_opener

url, direct = f"http://127.0.0.1:{sys.argv[1]}", build_opener(ProxyHandler({}))
deadline = time.monotonic() + 60
while True:
    try:
        direct.open(f"{url}/health").read()
        break
    except URLError:
        if time.monotonic() > deadline:
            raise
        time.sleep(0.2)
now, firsts = int(time.time()) // 60 * 60, (1, 9, 10, 12, 79)
lines = []
for minute in range(now - 600, now, 60):
    lines += [f'flat{{first="{first}"}} {first} {minute}000' for first in firsts]
    lines += [f'later{{first="{first}"}} {first + (minute > now - 300)} {minute}000' for first in firsts]
direct.open(Request(f"{url}/api/v1/import/prometheus", "\n".join(lines).encode() + b"\n")).read()
direct.open(f"{url}/internal/force_flush").read()
for question in ("increase(flat[30m])", "increase(later[30m])", "increase_pure(flat[30m])"):
    asked = urlencode({"query": question, "time": now, "nocache": 1})
    series = json.load(direct.open(f"{url}/api/v1/query?{asked}"))["data"]["result"]
    told = sorted((int(one["metric"]["first"]), one["value"][1]) for one in series)
    print(f"victoria-metrics {question}:", ", ".join(f"{first} -> {value}" for first, value in told))
PY
cat >expected <<'TEXT'
promtool increase(flat[30m]) > 0: none of 1, 9, 10, 79
victoria-metrics increase(flat[30m]): 1 -> 1, 9 -> 9, 10 -> 0, 12 -> 0, 79 -> 0
victoria-metrics increase(later[30m]): 1 -> 2, 9 -> 10, 10 -> 1, 12 -> 1, 79 -> 1
victoria-metrics increase_pure(flat[30m]): 1 -> 1, 9 -> 9, 10 -> 10, 12 -> 12, 79 -> 79
TEXT
{
  if root/usr/bin/promtool test rules rules.yaml >log 2>&1; then
    echo "promtool increase(flat[30m]) > 0: none of 1, 9, 10, 79"
  else
    cat log
  fi
  python3 ask.py "$port"
} | tee seen
diff expected seen || { echo "it behaves otherwise now" >&2; exit 1; }
