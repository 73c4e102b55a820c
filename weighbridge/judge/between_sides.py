"""What is found live where the agents of both sides see one node: that they contradict each other of a GPU, or show
different GPUs.

The time that both have told of is compared by the rule of statements, so a finding is open exactly where a statement
has contradicted time, for as long as that lasts. What a side tells of time that was compared, or in which the other was
silent, is in the statement alone.

Within one boot both agents read one driver. Each may see a part of the node: GPUs of a container, slices. Where each
fills a slot with a device that the other does not see at all, both cannot be true. Longer than a sample may be awaited,
that is a contradiction like others: of the provider's device the lessee's word is that it is not there. What a device
that nobody announced serves is another rule's, and it puts no other word in doubt.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from weighbridge.judge.checks import Promise, Severity
from weighbridge.judge.findings import close_finding, noted, open_finding
from weighbridge.judge.ledger import (
    BY_DEVICE,
    DEVICE_DIFFERS,
    SIDES_CONTRADICT,
    Finding,
    Row,
    State,
    StateSpan,
)
from weighbridge.judge.node_state import ChainState, Compared, NodeState, OpenInterval, Track
from weighbridge.judge.snapshot import Key
from weighbridge.judge.track import hours_us, open_rows
from weighbridge.judge.two_sides import OF_LESSEE, by_slot, grounds_of, of_rows, side_of, words_of
from weighbridge.verdict import Verdict

ROWS_KEPT = 512
"""Rows that one side told of and the other has not come to. Of more, the oldest are not compared live."""


OF_INVENTORIES = "inventories" + OF_LESSEE
"""The `chain` of rows that tell of what a lessee's agent does not see where the provider's does."""


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
    provider: NodeState, lessee: NodeState, promises: Sequence[Promise], now_us: int, entry: int
) -> Iterator[Finding | Row]:
    """What began or ended, as far as both sides have told of the node's time, as known from this entry on."""
    held, until_us = lessee.compared, min(provider.last_sample_us or 0, lessee.last_sample_us or 0)
    if any(one.silent or one.quarantine is not None for one in (provider, lessee)):
        for code in (SIDES_CONTRADICT, DEVICE_DIFFERS):
            yield from _close_but(lessee, code, set(), until_us)
        held.from_us, held.rows, held.differ = max(held.from_us, until_us), [], {}
        return
    if until_us <= held.from_us:
        return
    if not (held.rows or held.differ) and _alike(provider, lessee, held.from_us):
        held.from_us = until_us - 1
        return
    newest = {promise.contract: promise for promise in promises}
    laid = list(_differences(provider, lessee, newest.values(), until_us, (now_us, entry)))
    yield from laid
    keep(lessee, laid)
    yield from _contradictions(provider, lessee, newest.values(), until_us, now_us)


def _alike(provider: NodeState, lessee: NodeState, since_us: int) -> bool:
    """Whether both sides have seen the same since then, as far as no row tells otherwise: by far the usual case."""
    if any(one.code in (SIDES_CONTRADICT, DEVICE_DIFFERS) for one in lessee.open.values()):
        return False
    words = []
    for side in (provider, lessee):
        *before, newest = side.chains.values()
        if any((chain.last_us or 0) > since_us for chain in before):
            return False
        words.append(
            {
                contract: [(one.state, device) for one, device in _slots(track)]
                for contract, track in newest.tracks.items()
            }
        )
    return words[0] == words[1]


def _slots(track: Track) -> Iterable[tuple[OpenInterval, str]]:
    return zip(track.segments, track.slots, strict=True)


def _contradictions(
    provider: NodeState,
    lessee: NodeState,
    promises: Iterable[Promise],
    until_us: int,
    now_us: int,
) -> Iterator[Finding]:
    held = lessee.compared
    rows = [*held.rows, *open_rows(provider, now_us), *open_rows(lessee, now_us)]
    lasting: set[tuple[str, str]] = set()
    from_us = until_us - 1
    for promise in promises:
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
    yield from _close_but(lessee, SIDES_CONTRADICT, lasting, until_us)
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


def _close_but(
    lessee: NodeState, code: str, lasting: Collection[tuple[str, str]], at_us: int
) -> Iterator[Finding]:
    for one in [one for one in lessee.open.values() if one.code == code]:
        if (one.contract, one.device) not in lasting:
            yield from close_finding(lessee, one.contract, code, one.device, at_us)


def _differences(
    provider: NodeState,
    lessee: NodeState,
    promises: Iterable[Promise],
    until_us: int,
    known: tuple[int, int],
) -> Iterator[Finding | Row]:
    """Lay the lessee's word over the devices of the provider's that differ, and say so."""
    before, lessee.compared.differ = lessee.compared.differ, {}
    for promise in promises:
        for device, other, strange in _pairs(provider, lessee, promise.contract):
            key = Key((promise.contract, device))
            since_us, laid_us = before.get(key, (until_us, until_us))
            if until_us - since_us > promise.max_gap_us:
                if Key((promise.contract, DEVICE_DIFFERS, device)) not in lessee.open:
                    yield open_finding(lessee, _differing(lessee, key, other, since_us))
                place = (promise.contract, lessee.node, BY_DEVICE, device, OF_INVENTORIES)
                for span in () if strange else hours_us(laid_us, until_us):
                    yield Row(
                        *place, *span, State.DOWN, DEVICE_DIFFERS, known[0], known[1], known[1]
                    )
                laid_us = until_us
            lessee.compared.differ[key] = (since_us, laid_us)
    yield from _close_but(lessee, DEVICE_DIFFERS, lessee.compared.differ.keys(), until_us)


def _pairs(
    provider: NodeState, lessee: NodeState, contract: str
) -> Iterator[tuple[str, str, bool]]:
    """Devices that fill the provider's slots and that the lessee's agent does not see, each with one of which the
    opposite is true, and whether one of the two is a stranger; none but of one boot."""
    mine, theirs = provider.newest, lessee.newest
    if mine is None or theirs is None or mine.boot != theirs.boot:
        return
    strange = {one for chain in (mine, theirs) for one in _strangers(chain, contract)}
    seen = _unseen(mine, theirs, contract), _unseen(theirs, mine, contract)
    for device, other in zip(*seen, strict=False):
        yield device, other, not strange.isdisjoint((device, other))


def _strangers(chain: ChainState, contract: str) -> Sequence[str]:
    track = chain.tracks.get(contract)
    return () if track is None else track.strangers


def _unseen(chain: ChainState, other: ChainState, contract: str) -> list[str]:
    track = chain.tracks.get(contract)
    shown = () if track is None else track.slots
    return [device for device in shown if device and device not in other.view.devices]


def _differing(lessee: NodeState, key: Key, other: str, since_us: int) -> Finding:
    return noted(
        lessee,
        key[0],
        DEVICE_DIFFERS,
        since_us,
        expected="the same GPUs to both sides' agents in one boot",
        observed=f"the lessee's agent shows {other} and not this one, the provider's this one and not that",
        severity=Severity.ERROR,
        verdict=Verdict.UNKNOWN,
        device=key[1],
    )


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
    return noted(
        lessee,
        contract,
        SIDES_CONTRADICT,
        run.start_us,
        expected="one word of the provider's agent and of the lessee's",
        observed=f"provider: {run.words[0]}; lessee: {run.words[1]}{because}",
        severity=Severity.ERROR,
        verdict=Verdict.UNKNOWN,
        device=device,
    )
