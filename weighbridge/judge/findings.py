"""How findings open and close. A node's open findings are kept by (contract, code, device)."""

from collections.abc import Iterator, Mapping, Set
from dataclasses import replace

from weighbridge.judge.checks import CHECKS, Severity
from weighbridge.judge.checks.check import Answer
from weighbridge.judge.ledger import Finding
from weighbridge.judge.node_state import NodeState
from weighbridge.judge.snapshot import Key
from weighbridge.verdict import Verdict

CHECK = {check.code: check for check in CHECKS}


def answered(
    state: NodeState, contract: str, code: str, answer: Answer, at_us: int
) -> Iterator[Finding]:
    """A check's answer against what was open: opens, replaces, closes or changes nothing."""
    check = CHECK[code]
    known = state.open.get(_key(contract, code, answer.device))
    if known is not None and (known.verdict, known.expected) == (answer.verdict, answer.expected):
        return
    if known is not None:
        yield from close_finding(state, contract, code, answer.device, at_us)
    if answer.verdict is not Verdict.MET:
        yield open_finding(
            state,
            Finding(
                contract,
                state.node,
                answer.device,
                code,
                check.severity if answer.verdict is Verdict.BREACHED else check.blind,
                answer.verdict,
                check.level,
                answer.expected,
                answer.observed,
                check.answerable,
                at_us,
                None,
            ),
        )


def unanswered(
    state: NodeState, contract: str, spoken: Mapping[str, Set[str]]
) -> dict[str, list[str]]:
    """By code of the checks that ran, the devices of which one no longer speaks: they left, and the finding closes."""
    gone: dict[str, list[str]] = {}
    for finding in state.open.values():
        devices = spoken.get(finding.code) if finding.contract == contract else None
        if devices is not None and finding.device not in devices:
            gone.setdefault(finding.code, []).append(finding.device)
    return gone


def open_finding(state: NodeState, finding: Finding) -> Finding:
    """Keeps a finding as open."""
    state.open[_key(finding.contract, finding.code, finding.device)] = finding
    return finding


def is_open(state: NodeState, contract: str, code: str) -> bool:
    """Whether the node has this finding open, of no device."""
    return _key(contract, code, "") in state.open


def opened(state: NodeState, contract: str, code: str, device: str) -> list[Finding]:
    """The finding of this device, if it is open."""
    known = state.open.get(_key(contract, code, device))
    return [] if known is None else [known]


def is_newest(state: NodeState, finding: Finding) -> bool:
    """Whether this very finding is open."""
    return opened(state, finding.contract, finding.code, finding.device) == [finding]


def close_finding(
    state: NodeState, contract: str, code: str, device: str, at_us: int
) -> Iterator[Finding]:
    """Closes a finding, if it is open."""
    known = state.open.pop(_key(contract, code, device), None)
    if known is not None:
        yield replace(known, until_us=max(at_us, known.since_us))


def noted(
    state: NodeState,
    contract: str,
    code: str,
    at_us: int,
    *,
    expected: str,
    observed: str,
    severity: Severity = Severity.INFO,
    verdict: Verdict = Verdict.BREACHED,
    device: str = "",
    answerable: str = "open",
    until_us: int | None = None,
) -> Finding:
    """What the node or the collector itself noticed: one that no check answers for. Level E1: the collector saw it."""
    told = (contract, state.node, device, code, severity, verdict, "E1")
    return Finding(*told, expected, observed, answerable, at_us, until_us)


def _key(contract: str, code: str, device: str) -> Key:
    return Key((contract, code, device))
