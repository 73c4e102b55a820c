"""How findings open and close. A node's open findings are kept by (contract, code, device)."""

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import replace

from weighbridge.catalogue.findings import Answerable, answerable
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
    if known is not None and _says_the_same(known, answer, each=check.each):
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
                check.weight(answer.verdict),
                answer.verdict,
                check.level,
                answer.expected,
                answer.observed,
                answers_for(code, answer.verdict),
                at_us,
                None,
            ),
        )


def answers_for(code: str, verdict: Verdict) -> str:
    """Who answers for a check's answer: for what nobody saw, that is open."""
    return answerable(code) if verdict is Verdict.BREACHED else Answerable.OPEN.value


def _says_the_same(known: Finding, answer: Answer, *, each: bool) -> bool:
    said = (known.verdict, known.expected) == (answer.verdict, answer.expected)
    return said and not (each and known.observed != answer.observed)


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


def close_finding(
    state: NodeState, contract: str, code: str, device: str, at_us: int
) -> Iterator[Finding]:
    """Closes a finding, if it is open."""
    known = state.open.pop(_key(contract, code, device), None)
    if known is not None:
        yield replace(known, until_us=max(at_us, known.since_us))


def hold(state: NodeState, finding: Finding, by: str) -> Iterator[Finding]:
    """Opens a finding in the place of what is open. It stays until all by whom it is held let go of it."""
    key = _key(finding.contract, finding.code, finding.device)
    for holder in _holders(state, key):
        if holder == by or key not in state.open:
            del state.held[Key((*key, holder))]
    named = (finding.contract, finding.code, finding.device)
    yield from close_finding(state, *named, finding.since_us)
    state.held[Key((*key, by))] = finding
    yield open_finding(state, finding)


def let_go(
    state: NodeState, key: tuple[str, str, str], lets: Callable[[str], bool], at_us: int
) -> Iterator[Finding]:
    """Closes a finding of a contract, code and device, as far as its holders let go; what another holds opens again."""
    shown = state.open.get(Key(key))
    if shown is None:
        return
    holders = _holders(state, Key(key))
    gone = {one: state.held.pop(Key((*key, one))) for one in holders if lets(one)}
    if shown not in gone.values() and (holders or not lets("")):
        return
    yield from close_finding(state, *key, at_us)
    left = [one for one in holders if one not in gone]
    if left:
        yield from hold(state, replace(state.held[Key((*key, left[-1]))], since_us=at_us), left[-1])


def held(state: NodeState, key: tuple[str, str, str], by: str) -> list[Finding]:
    """What is held by one, where it is open."""
    if Key(key) not in state.open:
        return []
    return [state.held[Key((*key, one))] for one in _holders(state, Key(key)) if one == by]


def _holders(state: NodeState, key: Key) -> list[str]:
    """By whom a finding is held, the newest last; none of one that is older than this is kept."""
    return [str(one[-1]) for one in state.held if one[:-1] == key]


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
    until_us: int | None = None,
) -> Finding:
    """What the node or the collector itself noticed: one that no check answers for. Level E1: the collector saw it."""
    told = (contract, state.node, device, code, severity, verdict, "E1")
    return Finding(*told, expected, observed, answerable(code), at_us, until_us)


def _key(contract: str, code: str, device: str) -> Key:
    return Key((contract, code, device))
