#!/usr/bin/env bash
# Grafana's own SDK reads a Prometheus annotation and writes it without its title, text, tags and step.
#
# Grafana stores what an annotation of a Prometheus query shows beside the query: titleFormat, textFormat, tagKeys, step and
# useValueForTime. The SDK's AnnotationQuery has none of them: from_json takes the query, raises nothing, and its JSON lacks
# them. grafanalib writes titleFormat as any exported dashboard has it.
# For dashboards: one that goes through the SDK, to be checked or changed, still draws its lines for outages and maintenance, and
# no longer says what they are.
#
# Seen with grafana-foundation-sdk 1769699379!11.6.0, grafanalib 0.7.1 and Python 3.11.
set -eu
command -v python3 >/dev/null || { echo "python3 is missing" >&2; exit 2; }
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip install --quiet --target packages 'grafana-foundation-sdk==1769699379!11.6.0' grafanalib==0.7.1 attrs==25.4.0 ||
  { echo "pip does not give the pinned packages" >&2; exit 2; }
cat >read.py <<'PY'
import json

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import AnnotationQuery
from grafanalib._gen import DashboardEncoder
from grafanalib.core import Annotations

SHOWN = {
    "name": "Outages", "enable": True, "iconColor": "red", "datasource": {"type": "prometheus", "uid": "p"},
    "expr": 'gpu_down == 1', "step": "60s", "titleFormat": "{{node}} is down", "textFormat": "{{cause}}", "tagKeys": "node",
    "useValueForTime": False,
}
written = json.loads(json.dumps(Annotations(list=[SHOWN]), cls=DashboardEncoder, default=lambda one: one.to_json_data()))
print("grafanalib loses", sorted(SHOWN.keys() - written["list"][0].keys()))
told = json.loads(json.dumps(AnnotationQuery.from_json(SHOWN), cls=JSONEncoder))
print("the SDK loses", sorted(SHOWN.keys() - told.keys()))
PY
cat >expected <<'TEXT'
grafanalib loses []
the SDK loses ['step', 'tagKeys', 'textFormat', 'titleFormat', 'useValueForTime']
TEXT
PYTHONPATH=packages python3 read.py | tee seen
diff expected seen || { echo "it behaves otherwise now" >&2; exit 1; }
