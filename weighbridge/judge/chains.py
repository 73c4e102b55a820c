"""Whether the log holds each chain whole: `seq`, `prev` and `gaps`, by the rule by which reports are let in.

Only what continues its chain is let into the log, so a hole is no word of the node: the log was made otherwise, or lost
entries.
"""

from collections.abc import Iterator, Sequence

from weighbridge.judge.checks import Severity
from weighbridge.judge.findings import is_open, noted, open_finding
from weighbridge.judge.ledger import LOG_HOLE, Finding
from weighbridge.judge.node import chain_name
from weighbridge.judge.node_state import ChainEnd, NodeState
from weighbridge.verdict import Verdict
from weighbridge.wire.report import Report
from weighbridge.wire.sequence import covered

ENDS_KEPT = 64
"""Of the chains of one observer, those that spoke last. One that was forgotten may go on where it likes."""


def follow_chain(
    state: NodeState, contracts: Sequence[str], report: Report, end: ChainEnd, received_us: int
) -> Iterator[Finding]:
    """Take in that the chain has come to `end` with this report, and find it where it does not continue the chain."""
    name, forgotten = chain_name(report), state.ends_forgotten
    before = pass_over(state, name, end)
    if before is not None and before.key_id != end.key_id:
        before = None
    missing = "" if before is None and forgotten else _missing(report, before)
    for contract in contracts if missing else ():
        yield _hole(state, contract, f"chain {name}: {missing}", received_us)


def pass_over(state: NodeState, name: str, end: ChainEnd) -> ChainEnd | None:
    """The chain has come to `end`, wherever it was before, which is returned."""
    before = state.ends.pop(name, None)
    state.ends[name] = end
    if len(state.ends) > ENDS_KEPT:
        del state.ends[next(iter(state.ends))]
        state.ends_forgotten = True
    return before


def _missing(report: Report, before: ChainEnd | None) -> str:
    """What the log lacks before this report; empty: nothing."""
    following = 0 if before is None else before.seq + 1
    if report.seq < following:
        return f"report {report.seq} stands behind report {following - 1}"
    if report.seq == following:
        whole = before is None or report.prev == before.payload_hash
        return "" if whole else f"report {report.seq} follows another report {following - 1}"
    if covered(report.gaps, following, report):
        return ""
    return f"reports {following} to {report.seq - 1} are missing, and no gap says why"


def _hole(state: NodeState, contract: str, observed: str, at_us: int) -> Finding:
    """The first stays open: what is gone does not come back. Later ones stand beside it."""
    first = not is_open(state, contract, LOG_HOLE)
    finding = noted(
        state,
        contract,
        LOG_HOLE,
        at_us,
        expected="every report of the chain, or a gap in which the node says why not",
        observed=observed,
        severity=Severity.ERROR,
        verdict=Verdict.UNKNOWN,
        until_us=None if first else at_us,
    )
    return open_finding(state, finding) if first else finding
