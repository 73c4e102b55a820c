"""What is found live where the agents of both sides see one node: that they contradict each other of a GPU.

The time that both have told of is compared by the rule of statements, so a finding is open exactly where a statement
has contradicted time, for as long as that lasts. What a side tells of time that was compared, or in which the other was
silent, is in the statement alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from weighbridge.judge.checks import Promise, Severity
from weighbridge.judge.findings import close_finding, noted, open_finding
from weighbridge.judge.ledger import SIDES_CONTRADICT, Finding, Row, State, StateSpan, by_slot
from weighbridge.judge.node_state import Compared, NodeState
from weighbridge.judge.snapshot import Key
from weighbridge.judge.track import open_rows
from weighbridge.judge.two_sides import grounds_of, of_rows, side_of, words_of
from weighbridge.verdict import Verdict

ROWS_KEPT = 512
"""Rows that one side told of and the other has not come to. Of more, the oldest are not compared live."""


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of contradicted time, as it is seen by `until_us`. `short`: it may be two samplings of one change."""

    start_us: int
    end_us: int
    words: tuple[State, State]
    grounds: str
    lasting: bool
    short: bool


def keep(lessee: NodeState, changes: Iterable[object]) -> None:
    """Rows of either side, to be compared once both have come so far."""
    held = lessee.compared
    held.rows += [one for one in changes if isinstance(one, Row) and side_of(one.chain)]
    del held.rows[:-ROWS_KEPT]


def compare(
    provider: NodeState, lessee: NodeState, promises: Sequence[Promise], now_us: int
) -> Iterator[Finding]:
    """Findings of contradictions that began or ended, as far as both sides have told of the node's time."""
    held, until_us = lessee.compared, min(provider.last_sample_us or 0, lessee.last_sample_us or 0)
    if any(one.silent or one.quarantine is not None for one in (provider, lessee)):
        yield from _close_but(lessee, set(), until_us)
        held.from_us, held.rows = max(held.from_us, until_us), []
        return
    if until_us <= held.from_us:
        return
    rows = [*held.rows, *open_rows(provider, now_us), *open_rows(lessee, now_us)]
    lasting: set[tuple[str, str]] = set()
    from_us = until_us - 1
    for promise in {promise.contract: promise for promise in promises}.values():
        slots = by_slot(row for row in rows if row.contract == promise.contract)
        for (_, slot), mine in sorted(slots.items()):
            line = of_rows(mine, held.from_us, until_us, promise.cadence_us)
            place = Key((promise.contract, slot))
            runs = list(_runs(line, until_us, promise.cadence_us, held.told.get(place, 0)))
            device = _device(mine)
            yield from _told(lessee, place, device, runs)
            if runs and runs[-1].lasting:
                lasting.add((promise.contract, device))
                from_us = min(from_us, runs[-1].start_us - 1) if runs[-1].short else from_us
    yield from _close_but(lessee, lasting, until_us)
    _forget(held, max(from_us, held.from_us))


def _runs(line: Iterable[StateSpan], until_us: int, cadence_us: int, told_us: int) -> Iterator[Run]:
    for _, group in groupby(line, lambda span: words_of(span.cause) is not None):
        spans = list(group)
        start_us, end_us = spans[0].start_us, spans[-1].end_us
        words, grounds = words_of(spans[-1].cause), grounds_of(spans[-1].cause)
        if words is not None and end_us > told_us:
            lasting = end_us == until_us
            short = lasting and end_us - start_us <= cadence_us
            yield Run(start_us, end_us, words, grounds, lasting, short)


def _told(lessee: NodeState, place: Key, device: str, runs: Iterable[Run]) -> Iterator[Finding]:
    contract = place[0]
    for run in runs:
        known = Key((contract, SIDES_CONTRADICT, device)) in lessee.open
        if not known and not run.short:
            yield open_finding(lessee, _finding(lessee, contract, device, run))
        if not run.lasting:
            lessee.compared.told[place] = run.end_us
            yield from close_finding(lessee, contract, SIDES_CONTRADICT, device, run.end_us)


def _close_but(lessee: NodeState, lasting: set[tuple[str, str]], at_us: int) -> Iterator[Finding]:
    for one in [one for one in lessee.open.values() if one.code == SIDES_CONTRADICT]:
        if (one.contract, one.device) not in lasting:
            yield from close_finding(lessee, one.contract, one.code, one.device, at_us)


def _forget(held: Compared, from_us: int) -> None:
    held.from_us = from_us
    held.rows = [row for row in held.rows if row.end_us > from_us]
    held.told = {place: end_us for place, end_us in held.told.items() if end_us > from_us}


def _device(rows: Iterable[Row]) -> str:
    """The device in the slot: the provider's word, or else the lessee's."""
    named = {side_of(row.chain): row.device for row in rows if row.device}
    return named.get("provider") or named.get("lessee", "")


def _finding(lessee: NodeState, contract: str, device: str, run: Run) -> Finding:
    because = f" ({run.grounds})" if run.grounds else ""
    said = noted(
        lessee,
        contract,
        SIDES_CONTRADICT,
        run.start_us,
        expected="one word of the provider's agent and of the lessee's",
        observed=f"provider: {run.words[0]}; lessee: {run.words[1]}{because}",
        severity=Severity.ERROR,
        verdict=Verdict.UNKNOWN,
    )
    return replace(said, device=device)
