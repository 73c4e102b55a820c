"""What becomes of a node whose entry this judge cannot judge: nobody else waits for it, and nobody is blamed.

From the entry that failed on nothing of the node is judged by this version. Its time is unknown, for a cause of its
own, which every contract holds: neither side gains by a fault of the judge. Which entries fail is a function of the
entries and of the judge's version, so live judgement, a rebuilt ledger and a replay agree. The next version judges the
node again from the beginning of the log, with all that was skipped.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from weighbridge.judge.checks import Promise, Severity
from weighbridge.judge.findings import close_finding, is_open, noted, open_finding
from weighbridge.judge.ledger import JUDGING_FAILED, LOG_HOLE, Finding, Row, Use
from weighbridge.judge.node import JUDGE, Change, contracts
from weighbridge.judge.node_state import NodeState, Quarantine
from weighbridge.judge.track import flush, unjudged
from weighbridge.verdict import Verdict

LAID_US = 600_000_000
"""How often the time of a node that is not judged is written down."""

LEDGER_MOST = 2**63 - 1


def storable(change: Change) -> Change:
    """A change that a ledger can hold. Raises OverflowError."""
    if isinstance(change, Finding):
        told: tuple[int, ...] = (change.since_us, change.until_us or 0)
    elif isinstance(change, Use):
        told = (change.from_us, change.until_us, change.busy, change.energy_millijoules)
    else:
        told = (change.start_us, change.end_us)
    if max(map(abs, told)) > LEDGER_MOST:
        raise OverflowError("beyond what a ledger holds")
    return change


def begin(
    state: NodeState, promises: Sequence[Promise], entry: int, now_us: int, error: Exception
) -> list[Change]:
    """The node is judged no more from this entry on: what is known of it is written, and its findings close, but for a
    hole in the log."""
    from_us = min(now_us, now_us if state.last_sample_us is None else state.last_sample_us)
    state.quarantine = Quarantine(from_us, from_us, entry, type(error).__name__, JUDGE, now_us)
    changes = _salvaged(state, now_us)
    state.cuts.clear()
    for finding in [one for one in state.open.values() if one.code != LOG_HOLE]:
        changes += close_finding(state, finding.contract, finding.code, finding.device, now_us)
    return [*changes, *lay(state, promises, now_us)]


def _salvaged(state: NodeState, now_us: int) -> list[Change]:
    """The rows that grew until the last sample that was judged; none where they are what cannot be written."""
    try:
        return [
            storable(change)
            for chain in state.chains.values()
            for change in flush(state, chain, now_us)
        ]
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001
        return []


def lay(state: NodeState, promises: Sequence[Promise], now_us: int) -> Iterator[Change]:
    """The node's time up to now is unknown under each promise, and a finding of each contract says so."""
    held = state.quarantine
    if held is None:
        return
    for contract in contracts(promises):
        if not is_open(state, contract, JUDGING_FAILED):
            yield open_finding(state, _finding(state, held, contract))
    held.places = {promise.contract: _slots(state, promise) for promise in promises}
    for promise in promises:
        first_us, last_us = max(held.known_us, promise.from_us), min(now_us, promise.until_us)
        yield from unjudged(state, held, promise.contract, (first_us, last_us), now_us)
    held.known_us = max(held.known_us, now_us)


def release(state: NodeState, contract: str, now_us: int) -> Iterator[Change]:
    """A contract holds the node no more: its time up to now is unknown too."""
    held = state.quarantine
    if held is not None and contract in held.places:
        yield from unjudged(state, held, contract, (held.known_us, now_us), now_us)
        del held.places[contract]


def _slots(state: NodeState, promise: Promise) -> list[str]:
    track = None if state.newest is None else state.newest.tracks.get(promise.contract)
    return list(track.slots) if track is not None else [""] * promise.resource.per_node


def _finding(state: NodeState, held: Quarantine, contract: str) -> Finding:
    return noted(
        state,
        contract,
        JUDGING_FAILED,
        held.from_us,
        expected="evidence that this judge can judge",
        observed=f"{held.judge} fails at entry {held.entry} ({held.error}); it says nothing against the node",
        severity=Severity.ERROR,
        verdict=Verdict.UNKNOWN,
    )


def taken_up(
    before: NodeState, after: NodeState, judged: Iterable[Change], now_us: int
) -> Iterator[Change]:
    """Of all that a newer judge says of a node, what the one before could not: known from now on."""
    held = before.quarantine
    for finding in list(before.open.values()):
        yield from close_finding(
            before, finding.contract, finding.code, finding.device, max(now_us, finding.since_us)
        )
    for change in judged:
        match change:
            case Row() if held is not None and change.end_us > held.from_us:
                yield replace(change, recorded_us=now_us)
            case Use() if held is not None and change.until_us > held.from_us:
                yield replace(change, recorded_us=now_us)
            case _:
                pass
    yield from after.open.values()
