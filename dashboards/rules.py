"""Alert rules for Prometheus: one row per alert.

The collector judges; a rule only says when a person must look.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from weighbridge.catalogue import metrics
from weighbridge.catalogue.findings import Meaning, meanings
from weighbridge.verdict import Verdict

MAX_CLOCK_SKEW_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Alert:
    """`hold` is how long `expr` must be true first; `summary` and `text` may use Prometheus' templates.

    `codes` are those of the findings that it is about: it says of each what to do where that is the verdict.
    """

    name: str
    expr: str
    hold: str
    severity: str
    summary: str
    text: str
    codes: Sequence[str] = ()
    verdict: Verdict = Verdict.BREACHED


def _matching(pattern: str) -> list[str]:
    return [code for code in meanings() if re.fullmatch(pattern, code)]


_FINDING = metrics.FINDING_ACTIVE.name
_GPUS = metrics.CONTRACT_GPUS.name
_VERDICT = metrics.CONTRACT_VERDICT.name
_TICK = metrics.TICK.name
_SILENT = "node_silent|collector_unreached|unreachable|(paused|agent_stopped)_by_(provider|lessee)"
_ABSENT = "never_reported|under_reported|batch_overdue"
_TWICE = "duplicate_device"
_UNJUDGED = "judging_failed"
_CONTRADICTED = "sides_contradict|device_differs"
_WRONG = "challenge_wrong_answer"
_OTHERWISE = f"{_SILENT}|{_ABSENT}|{_TWICE}|{_UNJUDGED}|{_CONTRADICTED}|{_WRONG}"
"""Errors that have an alert of their own."""
_PATH = "challenge_path"
_DOUBTED = "challenge_idle|challenge_unassessed|challenge_above_ceiling"
_SUBJECT = "{{ $labels.node }} {{ $labels.uuid }}"

_WHERE = f"{{{{ $labels.contract }}}}: {{{{ $labels.check }}}} at {_SUBJECT}"
_ERRORS = [code for code in meanings() if code not in _matching(_OTHERWISE)]

ALERTS = (
    Alert(
        "WeighbridgeBreach",
        f'{_FINDING}{{severity="error",verdict!="unknown",check!~"{_OTHERWISE}"}} == 1',
        "0s",
        "critical",
        _WHERE,
        "What was delivered is not what the contract promises. The contract's page shows expected and observed.",
        _ERRORS,
    ),
    Alert(
        "WeighbridgeErrorInDoubt",
        f'{_FINDING}{{severity="error",verdict="unknown",check!~"{_OTHERWISE}"}} == 1',
        "0s",
        "critical",
        _WHERE,
        "Nobody could see whether it is as promised, or what was seen does not tell whose it is. It accuses nobody.",
        _ERRORS,
        Verdict.UNKNOWN,
    ),
    Alert(
        "WeighbridgeNodeSilent",
        f'{_FINDING}{{check=~"{_SILENT}"}} == 1',
        "1m",
        "critical",
        "{{ $labels.contract }}: {{ $labels.node }} is silent",
        "No sample within the contract's largest gap. Its time counts as unknown until its spool arrives.",
        _matching(_SILENT),
    ),
    Alert(
        "WeighbridgeNeverReported",
        f'{_FINDING}{{check=~"{_ABSENT}"}} == 1',
        "0s",
        "critical",
        "{{ $labels.contract }}: promised GPUs never reported",
        "The time to report first is over, and there is no evidence that what is promised exists.",
        _matching(_ABSENT),
    ),
    Alert(
        "WeighbridgeDuplicateDevice",
        f'{_FINDING}{{check="{_TWICE}"}} == 1',
        "0s",
        "critical",
        "{{ $labels.contract }}: {{ $labels.uuid }} is in two places",
        "One GPU is shown by two nodes, or assigned to two exclusive contracts. Here its time is contested.",
        _matching(_TWICE),
    ),
    Alert(
        "WeighbridgeSidesContradict",
        f'{_FINDING}{{check=~"{_CONTRADICTED}"}} == 1',
        "0s",
        "critical",
        f"{{{{ $labels.contract }}}}: both sides contradict each other of {_SUBJECT}",
        "The provider's agent and the lessee's say different things of it. The contract says what the time counts as.",
        _matching(_CONTRADICTED),
    ),
    Alert(
        "WeighbridgeNodeNotJudged",
        f'{_FINDING}{{check="{_UNJUDGED}"}} == 1',
        "0s",
        "critical",
        "{{ $labels.contract }}: the collector fails at the evidence of {{ $labels.node }}",
        "Its time is unknown and held for both sides until a newer version judges it. The node is not to blame.",
        _matching(_UNJUDGED),
    ),
    Alert(
        "WeighbridgeWrongAnswer",
        f'{_FINDING}{{check="{_WRONG}"}} == 1',
        "0s",
        "critical",
        f"{{{{ $labels.contract }}}}: a wrong answer from {_SUBJECT}",
        "Exact proof that it did not compute what it was asked for: a cheat, or broken silicon. It is final.",
        _matching(_WRONG),
    ),
    Alert(
        "WeighbridgeChallengePath",
        f'{_FINDING}{{check="{_PATH}"}} == 1',
        "0s",
        "warning",
        "{{ $labels.contract }}: challenges of {{ $labels.node }} are void, one after the other",
        "Both sides' times do not agree: the way between them, this collector's clock or the node's. Nobody is judged.",
        _matching(_PATH),
    ),
    Alert(
        "WeighbridgeProofInDoubt",
        f'{_FINDING}{{check=~"{_DOUBTED}",severity="warning"}} == 1',
        "0s",
        "warning",
        _WHERE,
        "The card idled as it was met, was faster than one can be, or none is assessed. There are innocent reasons.",
        _matching(_DOUBTED),
    ),
    Alert(
        "WeighbridgeObjectiveMissed",
        f'{_VERDICT}{{verdict="breached"}} == 1',
        "0s",
        "critical",
        "{{ $labels.contract }}: objective {{ $labels.objective }} is missed",
        "Its share, or an outage, is beyond what is promised even if unknown time was good, and so is all to come.",
    ),
    Alert(
        "WeighbridgeObjectiveInDoubt",
        f'{_VERDICT}{{verdict="unknown"}} == 1',
        "10m",
        "warning",
        "{{ $labels.contract }}: objective {{ $labels.objective }} is in doubt",
        "It is not met if unseen time was bad, or if all stays as it is now.",
    ),
    Alert(
        "WeighbridgeCapacityNotReporting",
        f'{_GPUS}{{state="reporting"}} < on (contract) {_GPUS}{{state="contracted"}}',
        "5m",
        "warning",
        "{{ $labels.contract }}: only {{ $value }} GPUs report",
        "Fewer GPUs report than are contracted.",
    ),
    Alert(
        "WeighbridgeClockSkew",
        f"abs({metrics.NODE_CLOCK_SKEW.name}) > {MAX_CLOCK_SKEW_SECONDS}",
        "10m",
        "warning",
        "{{ $labels.node }}: its clock is {{ $value }} s off",
        "Skew beyond two seconds weakens the evidence of this node. Check its time synchronization.",
    ),
    Alert(
        "WeighbridgeCollectorStalled",
        f"time() - {_TICK} > 60",
        "1m",
        "critical",
        "The collector has logged no tick for {{ $value }} s",
        "Nothing is judged meanwhile. Agents keep their reports and send them later.",
    ),
    Alert(
        "WeighbridgeCollectorAbsent",
        f"absent({_TICK})",
        "5m",
        "critical",
        "Prometheus sees no collector",
        "It does not answer, or it is not scraped.",
    ),
)


def build() -> str:
    """The rule file's YAML."""
    group = {"name": "weighbridge", "rules": [_rule(alert) for alert in ALERTS]}
    return yaml.safe_dump({"groups": [group]}, sort_keys=False, width=1000)


def _rule(alert: Alert) -> dict[str, Any]:
    said = {"summary": alert.summary, "description": alert.text}
    if alert.codes:
        said["what_to_do"] = _advice([meanings()[code] for code in alert.codes], alert.verdict)
    return {
        "alert": alert.name,
        "expr": alert.expr,
        "for": alert.hold,
        "labels": {"severity": alert.severity},
        "annotations": said,
    }


def _advice(rows: Sequence[Meaning], verdict: Verdict) -> str:
    """What to do about the finding that it fires for, by Prometheus' template where there are several."""
    if len(rows) == 1:
        return _steps(rows[0], verdict)
    branches = (f'if eq $labels.check "{row.code}" }}}}{_steps(row, verdict)}' for row in rows)
    return "{{ " + "{{ else ".join(branches) + "{{ end }}"


def _steps(row: Meaning, verdict: Verdict) -> str:
    steps = enumerate(row.next_steps(verdict), start=1)
    told = "; ".join(f"{number}. {step.says.en}" for number, step in steps)
    return f"{row.code}: {row.says(verdict).en}. {told}"
