"""What a node's own telemetry shows of the time of a challenge: a card that passed was at work, or somebody else's was.

A pass while the local card idles means a relay, or invented readings; or a clock that is off, a counter that stands
still, a prober that was told to compute on the CPU. So it is a hint, level E1, and never a verdict. Where nothing can
be seen the answer is unknown.

What the agents of both sides show of somebody else's use just before a series began, or after its end, does change what
a slow card counts for: see `BothSides`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from weighbridge.challenge.codec import Malformed, decode, encode, later
from weighbridge.challenge.record import (
    COMMITMENT,
    TELEMETRY,
    ChallengeOutcome,
    Commitment,
    RecordError,
    payload_kind,
    read_commitment,
    read_outcome,
)
from weighbridge.challenge.verdict import ChallengeVerdict, VerdictReason
from weighbridge.challenge.work import MARGIN_US
from weighbridge.log.entries import Entry, EntryKind, KeyChanged, payload_type
from weighbridge.log.merkle import leaf_hash
from weighbridge.log.succession import LogKeys
from weighbridge.wire.bounds import within_bounds
from weighbridge.wire.report import Report, WireError, read
from weighbridge.wire.report import decode as decode_report
from weighbridge.wire.signing import SignatureError, Signer, encode_envelope, key_id, verify

READ = ("power_draw_milliwatts", "utilization_gpu_percent", "energy_millijoules")
"""The readings that a sample holds, in its order."""
IDLE_PERCENT = 5
"""Percent of utilization up to which a card counts as idle."""


FRESH_US = 120_000_000
"""What was seen longer before a series, or longer after it, says nothing of its time."""

LINKS = (EntryKind.TELEMETRY, EntryKind.CHALLENGE)
"""Kinds of entries that hold a link. It had none of its own at first."""

OF_TIME = (
    VerdictReason.LATE,
    VerdictReason.TOO_SLOW,
    VerdictReason.TOO_LITTLE_MEMORY,
    VerdictReason.MEMORY_TOO_SLOW,
    VerdictReason.PEER_TOO_SLOW,
)
"""Failures that somebody else's work on the card explains. A wrong answer is none of them."""


class LoadShown(StrEnum):
    """What the telemetry of one card shows."""

    LOAD = "load"
    IDLE = "idle"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class CardLoad:
    """One GPU. `idle_milliwatts`: up to so much its card does nothing, by the table; None: the card is not known."""

    gpu: str
    idle_milliwatts: int | None
    shown: str
    reason: str


@dataclass(frozen=True, slots=True)
class BothSides:
    """Whether both sides' agents show somebody else's use of a GPU, where no challenge makes it.

    `busy_before`: GPUs that both show in use by their newest reports before the series was committed to, when nobody
    could know of it. `busy_after`: by their first samples after the end of its last attempt.
    `before` are the log indexes of those two newest reports, the provider's first; -1: none. `reports`: of the lessee's
    agent, whose key is `agent_key`, from the commitment of the last attempt on; `digest` is over the leaf hashes of all
    of them. No other challenge of the node ran from `free_from_us` to the beginning at `begun_us`, nor from the end
    to `free_until_us`; 0: there was none.
    """

    series: str
    agent_key: bytes
    before: tuple[int, int]
    reports: tuple[int, ...]
    digest: bytes
    begun_us: int
    free_from_us: int
    free_until_us: int
    busy_before: tuple[str, ...]
    busy_after: tuple[str, ...]

    @property
    def busy(self) -> frozenset[str]:
        """GPUs that both sides show in use at either time."""
        return frozenset(self.busy_before + self.busy_after)


@dataclass(frozen=True, slots=True)
class Telemetry:
    """The link from a proof to the node's reports of its time, entered once they have come or are not awaited any more.

    `reports` are log indexes of all reports of the agent from the last one before the exchange on; `digest` is over
    their leaf hashes. `skew_us`: how far the node's clock was ahead of the collector's, by its least delayed report;
    None: nobody knows. `both`: where somebody else's use, or a reboot, would change what the series counts for.
    `rebooted`: the node was, while it was to answer.
    """

    challenge: str
    contract: str
    node: str
    agent_key: bytes
    from_us: int
    until_us: int
    reports: tuple[int, ...]
    digest: bytes
    gpus: tuple[CardLoad, ...]
    skew_us: int | None
    judged_us: int
    type: str = TELEMETRY
    both: BothSides | None = later(None)
    rebooted: bool = later(False)


@dataclass(frozen=True, slots=True)
class _Sample:
    at_us: int
    power_milliwatts: int | None
    percent: int | None
    energy_millijoules: int | None


@dataclass(frozen=True, slots=True)
class _Window:
    from_us: int
    until_us: int
    margin_us: int

    def around(self, sample: _Sample) -> bool:
        """Whether a sample may lie within the run, given how far the clocks may be apart."""
        return self.from_us - self.margin_us <= sample.at_us <= self.until_us + self.margin_us

    def within(self, sample: _Sample) -> bool:
        """Whether a sample lies within the run, however far the clocks are apart."""
        return self.from_us + self.margin_us <= sample.at_us <= self.until_us - self.margin_us

    def touches(self, before: _Sample, after: _Sample) -> bool:
        """Whether a part of the run may lie between two samples."""
        start_us, end_us = self.from_us - self.margin_us, self.until_us + self.margin_us
        return before.at_us < end_us and after.at_us > start_us

    def fills(self, before: _Sample, after: _Sample) -> bool:
        """A third of the time between two samples and more was the run's, and well inside it.

        A run that lasts as long as two samples lie apart fills that much of one of two such times, wherever they fall.
        """
        start_us = max(before.at_us, self.from_us + self.margin_us)
        end_us = min(after.at_us, self.until_us - self.margin_us)
        return 3 * (end_us - start_us) >= after.at_us - before.at_us


def link(
    ended: ChallengeOutcome,
    entries: Sequence[Entry],
    idle_milliwatts: Mapping[str, int | None],
    skew_us: int | None,
    now_us: int,
    both: BothSides | None = None,
    *,
    rebooted: bool = False,
) -> Telemetry:
    """The link of an outcome to these reports of its agent."""
    return Telemetry(
        ended.challenge,
        ended.contract,
        ended.node,
        ended.agent_key,
        ended.from_us,
        ended.until_us,
        tuple(entry.index for entry in entries),
        _digest(entries),
        tuple(loads(ended, entries, idle_milliwatts, skew_us)),
        skew_us,
        now_us,
        both=both,
        rebooted=rebooted,
    )


def may_be_rebooted(ended: ChallengeOutcome) -> bool:
    """Whether a reboot of the node would change what a series that ended counts for: nobody answered."""
    return ended.final and ended.series_reason == VerdictReason.NO_ANSWER


def shows_reboot(
    ended: ChallengeOutcome, provider: Sequence[Entry], lessee: Sequence[Entry] = ()
) -> bool:
    """Whether the node was rebooted between the commitment and the end: by the reports of its provider's agent, and by
    those of the lessee's as well, where that spoke just before. The first of each is the newest before the commitment.
    """
    if not may_be_rebooted(ended) or ended.began_us == 0:
        return False
    theirs = _read(lessee)
    speaks = bool(theirs) and theirs[0].clock.wall_us >= ended.began_us - FRESH_US
    sides = [_read(provider), *([theirs] if speaks else [])]
    return all(_rebooted(ended, reports) for reports in sides)


def _rebooted(ended: ChallengeOutcome, reports: Sequence[Report]) -> bool:
    """The boot before lived no longer than the run, and the next one began no sooner, by clocks that may be right."""
    kept = [one for one in reports if one.clock.synchronized is not False]
    lived_us = [one.clock.wall_us for one in kept if one.boot == reports[0].boot]
    begun_us = [
        one.clock.wall_us - one.clock.boottime_us for one in kept if one.boot != reports[0].boot
    ]
    if not lived_us or not begun_us:
        return False
    from_us, until_us = ended.began_us - MARGIN_US, ended.ended_us + MARGIN_US
    return min(begun_us) >= from_us and max(lived_us) <= until_us


def may_be_unmade(ended: ChallengeOutcome) -> bool:
    """Whether somebody else's use would change what a series that ended counts for: it was too slow, or was declined
    for that reason."""
    if not ended.final:
        return False
    if ended.series_verdict == ChallengeVerdict.FAILED:
        return ended.series_reason in OF_TIME
    return ended.series_reason == VerdictReason.BUSY


@dataclass(frozen=True, slots=True)
class SidesSeen:
    """What `both_sides` judges: reports of each side before the series, and since its last attempt began.

    `before`: the newest one of the provider's agent, and of the lessee's; None: there is none.
    """

    agent_key: bytes
    before: tuple[Entry | None, Entry | None]
    provider: Sequence[Entry]
    lessee: Sequence[Entry]
    begun_us: int
    free_from_us: int
    free_until_us: int


def both_sides(
    ended: ChallengeOutcome, seen: SidesSeen, idle_milliwatts: Mapping[str, int | None]
) -> BothSides:
    """What both sides show of each GPU's use before a series and after it."""
    gpus = [gpu.gpu for gpu in ended.weighing.gpus]
    earlier, latest = _before_it(seen), _after_it(seen, ended)
    named = [one for one in (*seen.before, *seen.lessee) if one is not None]
    first, second = (-1 if one is None else one.index for one in seen.before)
    return BothSides(
        ended.series,
        seen.agent_key,
        (first, second),
        tuple(one.index for one in seen.lessee),
        _digest(named),
        seen.begun_us,
        seen.free_from_us,
        seen.free_until_us,
        tuple(gpu for gpu in gpus if _all_in_use(earlier, gpu, idle_milliwatts.get(gpu))),
        tuple(gpu for gpu in gpus if _all_in_use(latest, gpu, idle_milliwatts.get(gpu))),
    )


@dataclass(frozen=True, slots=True)
class _Look:
    """Reports of one side, and the time that counts. `newest`: its last sample does, else its first."""

    reports: Sequence[Report]
    from_us: int
    until_us: int
    newest: bool

    def takes(self, at_us: int) -> bool:
        """Whether something of this instant counts."""
        return self.from_us < at_us <= self.until_us


def _before_it(seen: SidesSeen) -> list[_Look]:
    """Before anybody was asked, and behind the challenge before: a prober is nobody's work."""
    from_us = max(seen.free_from_us + 2 * MARGIN_US, seen.begun_us - FRESH_US)
    return [
        _Look([] if one is None else _read([one]), from_us, seen.begun_us + 2 * MARGIN_US, True)
        for one in seen.before
    ]


def _after_it(seen: SidesSeen, ended: ChallengeOutcome) -> list[_Look]:
    """Behind the end, when the prober has gone, and before the next challenge."""
    from_us = ended.ended_us + 2 * MARGIN_US
    until_us = ended.ended_us + FRESH_US
    if seen.free_until_us:
        until_us = min(until_us, seen.free_until_us - 2 * MARGIN_US)
    return [_Look(_read(one), from_us, until_us, False) for one in (seen.provider, seen.lessee)]


def _read(entries: Iterable[Entry]) -> list[Report]:
    return [within_bounds(decode_report(entry.envelope.payload)) for entry in entries]


def _all_in_use(looks: Iterable[_Look], gpu: str, idle_milliwatts: int | None) -> bool:
    return all(_in_use(look, gpu, idle_milliwatts) for look in looks)


def _in_use(look: _Look, gpu: str, idle_milliwatts: int | None) -> bool:
    """Power above what the card draws when it does nothing, utilization, or a process that holds its memory."""
    samples = [s for report in look.reports for s in _samples(report, gpu) if look.takes(s.at_us)]
    samples.sort(key=lambda sample: sample.at_us, reverse=look.newest)
    works = bool(samples) and _works(samples[0], idle_milliwatts)
    return works or _held(look, gpu)


def _works(sample: _Sample, idle_milliwatts: int | None) -> bool:
    power, percent = sample.power_milliwatts, sample.percent
    drawn = power is not None and idle_milliwatts is not None and power > idle_milliwatts
    return drawn or (percent is not None and percent > IDLE_PERCENT)


def _held(look: _Look, gpu: str) -> bool:
    """Whether the report that counts lists a process on the card; one that reaches out of the time does not count."""
    mine = [report for report in look.reports if _lies_within(look, report)]
    if not mine:
        return False
    shown = mine[-1] if look.newest else mine[0]
    return any(process.device == gpu for process in shown.processes or ())


def _lies_within(look: _Look, report: Report) -> bool:
    offset_us = report.clock.wall_us - report.clock.boottime_us
    times = [offset_us + at_us for block in report.blocks for at_us in block.boottime_us]
    return bool(times) and all(look.takes(at_us) for at_us in times)


def loads(
    ended: ChallengeOutcome,
    entries: Iterable[Entry],
    idle_milliwatts: Mapping[str, int | None],
    skew_us: int | None,
) -> Iterator[CardLoad]:
    """What each GPU's telemetry shows of the time of the exchange."""
    synchronized, found = _seen(entries, [gpu.gpu for gpu in ended.weighing.gpus])
    near = skew_us is not None and abs(skew_us) <= MARGIN_US
    window = _Window(ended.from_us, ended.until_us, MARGIN_US if synchronized else 2 * MARGIN_US)
    for gpu in ended.weighing.gpus:
        idle = idle_milliwatts.get(gpu.gpu)
        samples = sorted(found[gpu.gpu], key=lambda sample: sample.at_us)
        shown, reason = _shown(samples, window, idle)
        if not synchronized and not near:
            shown, reason = LoadShown.UNKNOWN, "the node's clock is not synchronized"
        yield CardLoad(gpu.gpu, idle, shown.value, reason)


def _seen(
    entries: Iterable[Entry], gpus: Sequence[str]
) -> tuple[bool, Mapping[str, Sequence[_Sample]]]:
    """Whether every report's clock was synchronized, and each GPU's samples. One report is held at a time: read, it
    may be many times its bytes."""
    synchronized, found = True, {gpu: list[_Sample]() for gpu in gpus}
    for entry in entries:
        report = within_bounds(decode_report(entry.envelope.payload))
        synchronized = synchronized and report.clock.synchronized is True
        for gpu in found:
            found[gpu] += _samples(report, gpu)
    return synchronized, found


def _samples(report: Report, gpu: str) -> Iterator[_Sample]:
    offset_us = report.clock.wall_us - report.clock.boottime_us
    for block in report.blocks:
        if gpu not in block.devices:
            continue
        place = block.devices.index(gpu)
        told = [block.readings.get(name) for name in READ]
        for number, boottime_us in enumerate(block.boottime_us):
            values = [None if rows is None else rows[number][place] for rows in told]
            yield _Sample(offset_us + boottime_us, *values)


def _shown(
    samples: Sequence[_Sample], window: _Window, idle_milliwatts: int | None
) -> tuple[LoadShown, str]:
    """By power and energy where the card is known and says them, else by utilization."""
    if idle_milliwatts is not None:
        by_power = _by_power(samples, window, idle_milliwatts)
        if by_power is not None:
            return by_power
    seen = [s for s in samples if s.percent is not None]
    highest = max((s.percent or 0 for s in seen if window.around(s)), default=None)
    if highest is not None and highest > IDLE_PERCENT:
        return LoadShown.LOAD, f"utilization {highest} %"
    if any(window.within(s) for s in seen):
        return LoadShown.IDLE, f"utilization {highest} %"
    if not any(window.around(sample) for sample in samples):
        return LoadShown.UNKNOWN, "no sample of that time"
    return LoadShown.UNKNOWN, "no reading that tells, in a sample well inside that time"


def _by_power(
    samples: Sequence[_Sample], window: _Window, idle_milliwatts: int
) -> tuple[LoadShown, str] | None:
    """None where neither power nor energy tells."""
    powers = [s for s in samples if s.power_milliwatts is not None and window.around(s)]
    means = list(_means(samples, window))
    known = [*(s.power_milliwatts or 0 for s in powers), *(mean for mean, _ in means)]
    if not known:
        return None
    said = f"at most {max(known)} mW, and up to {idle_milliwatts} mW the card does nothing"
    if max(known) > idle_milliwatts:
        return LoadShown.LOAD, f"{max(known)} mW"
    if any(window.within(s) for s in powers) or any(filled for _, filled in means):
        return LoadShown.IDLE, said
    return None


def _means(samples: Sequence[_Sample], window: _Window) -> Iterator[tuple[int, bool]]:
    """Mean power between two samples that the run may touch, in mW, and whether it filled enough of that time."""
    for before, after in pairwise(s for s in samples if s.energy_millijoules is not None):
        spent = (after.energy_millijoules or 0) - (before.energy_millijoules or 0)
        if window.touches(before, after) and after.at_us > before.at_us and spent >= 0:
            mean = spent * 1_000_000 // (after.at_us - before.at_us)
            yield mean, window.fills(before, after)


def _digest(entries: Iterable[Entry]) -> bytes:
    hashes = (leaf_hash(encode_envelope(entry.envelope)) for entry in entries)
    return hashlib.sha256(b"".join(hashes)).digest()


def seal_telemetry(signer: Signer, value: Telemetry) -> tuple[EntryKind, bytes]:
    """The collector's entry: its kind, and the leaf."""
    return EntryKind.TELEMETRY, signer.seal(payload_type(EntryKind.TELEMETRY), encode(value))


def read_telemetry(payload: bytes) -> Telemetry:
    """Raises Malformed."""
    return decode(Telemetry, payload)


def recheck_telemetry(
    entries: Sequence[Entry], ended: ChallengeOutcome, log_keys: LogKeys
) -> tuple[CardLoad, ...] | None:
    """What telemetry shows of an outcome's time, judged anew from exported entries.

    None where they hold no link, or not all reports that it names. Raises RecordError where the link is not the log's,
    is of another exchange, leaves out a report, or says what the reports do not.
    """
    linked = _linked(entries, ended.challenge, log_keys)
    if linked is None or not set(linked.reports) <= {entry.index for entry in entries}:
        return None
    mine = _own_reports(entries, linked)
    _require_same(linked, ended, mine)
    try:
        for entry in mine:
            verify(entry.envelope, linked.agent_key)
        anew = tuple(
            loads(
                ended, mine, {gpu.gpu: gpu.idle_milliwatts for gpu in linked.gpus}, linked.skew_us
            )
        )
    except (SignatureError, WireError) as error:
        raise RecordError(f"{ended.challenge}: a linked report: {error}") from error
    if anew != linked.gpus:
        raise RecordError(f"{ended.challenge}: the reports show other loads than were logged")
    theirs = []
    if linked.both is not None:
        _require_both(linked, linked.both, ended, entries, mine)
        theirs = _of_lessee(linked.both, entries)
    elif may_be_unmade(ended) or may_be_rebooted(ended):
        _require_one_side(linked, entries)
    if shows_reboot(ended, mine, theirs) != linked.rebooted:
        raise RecordError(f"{ended.challenge}: the reports say otherwise of a reboot")
    return anew


def _of_lessee(both: BothSides, entries: Iterable[Entry]) -> list[Entry]:
    """The newest report of the lessee's agent before a series, where there is one, and those since."""
    named = {both.before[1], *both.reports} if both.before[1] >= 0 else set[int]()
    return [entry for entry in entries if entry.index in named]


def _require_one_side(linked: Telemetry, entries: Sequence[Entry]) -> None:
    """Where the link says nothing of the lessee's agent none had spoken before the outcome that speaks still.

    Raises RecordError.
    """
    speaking: set[str] = set()
    spoken: set[str] = set()
    ended = False
    for entry in entries:
        if _is_key(entry):
            change = read(KeyChanged, entry.envelope.payload)
            if (change.node, change.side) == (linked.node, "lessee"):
                enrolled = change.action == "enrolled"
                (speaking.add if enrolled else speaking.discard)(change.key_id)
        elif entry.kind is EntryKind.REPORT and not ended:
            spoken.add(entry.envelope.key_id)
        elif _is_of(entry, EntryKind.PROOF, linked.challenge):
            ended = True
        elif _is_of(entry, EntryKind.TELEMETRY, linked.challenge):
            break
    if speaking & spoken:
        raise RecordError(f"{linked.challenge}: what the lessee's agent shows is left out")


def _is_of(entry: Entry, kind: EntryKind, challenge: str) -> bool:
    if entry.kind is not kind:
        return False
    read_it = read_outcome if kind is EntryKind.PROOF else read_telemetry
    return read_it(entry.envelope.payload).challenge == challenge


def _require_both(
    linked: Telemetry,
    both: BothSides,
    ended: ChallengeOutcome,
    entries: Sequence[Entry],
    mine: Sequence[Entry],
) -> None:
    """What both sides are said to show is what the reports of both show. Raises RecordError."""
    known = {entry.index: entry for entry in entries}
    if not {*both.reports, *both.before} <= {-1, *known}:
        raise RecordError(f"{ended.challenge}: not all reports of both sides are here")
    named = [None if index < 0 else known[index] for index in both.before]
    theirs = [known[index] for index in both.reports]
    _require_keys(linked, both, ended, named, theirs, entries)
    if theirs != _spoken(entries, both.agent_key, both.reports):
        raise RecordError(f"{ended.challenge}: a report of the lessee's agent is left out")
    _require_free(both, ended, entries)
    begun = both.begun_us, both.free_from_us, both.free_until_us
    seen = SidesSeen(both.agent_key, (named[0], named[1]), mine, theirs, *begun)
    idle = {gpu.gpu: gpu.idle_milliwatts for gpu in linked.gpus}
    if both_sides(ended, seen, idle) != both:
        raise RecordError(f"{ended.challenge}: the reports of both sides show another use")


def _require_keys(
    linked: Telemetry,
    both: BothSides,
    ended: ChallengeOutcome,
    before: Sequence[Entry | None],
    theirs: Iterable[Entry],
    entries: Iterable[Entry],
) -> None:
    """Each report is signed by its side's agent, and the lessee's is known as that by the log."""
    enrolled = [
        change
        for change in (read(KeyChanged, e.envelope.payload) for e in entries if _is_key(e))
        if (change.node, change.side) == (ended.node, "lessee")
    ]
    if both.agent_key.hex() not in [change.public_key for change in enrolled]:
        raise RecordError(f"{ended.challenge}: the lessee's agent is not known to be that")
    signed = [(before[0], linked.agent_key), (before[1], both.agent_key)]
    for entry, key in [*signed, *((entry, both.agent_key) for entry in theirs)]:
        if entry is not None:
            verify(entry.envelope, key)


def _is_key(entry: Entry) -> bool:
    return entry.kind is EntryKind.KEY


def _require_free(both: BothSides, ended: ChallengeOutcome, entries: Iterable[Entry]) -> None:
    """The series began where it is said to, and no other challenge of the node, as far as these entries hold it, ran in
    the time that is called free."""
    for entry in entries:
        payload = entry.envelope.payload
        if entry.kind is EntryKind.PROOF:
            other = read_outcome(payload)
            just = both.free_from_us < other.ended_us <= both.begun_us
            if just and other.node == ended.node and other.series != both.series:
                raise RecordError(f"{ended.challenge}: {other.challenge} had ended just before it")
        elif entry.kind is EntryKind.CHALLENGE and payload_kind(payload) == COMMITMENT:
            _require_apart(both, ended, entry, read_commitment(payload))


def _require_apart(
    both: BothSides, ended: ChallengeOutcome, entry: Entry, begun: Commitment
) -> None:
    if begun.series == both.series and entry.index <= max(both.before):
        raise RecordError(f"{ended.challenge}: it had begun before those reports came")
    if begun.node == ended.node and ended.ended_us < begun.began_us < both.free_until_us:
        raise RecordError(f"{ended.challenge}: {begun.challenge} had begun just after it")


def _linked(entries: Iterable[Entry], challenge: str, log_keys: LogKeys) -> Telemetry | None:
    for entry in entries:
        payload = entry.envelope.payload
        if entry.kind not in LINKS or payload_kind(payload) != TELEMETRY:
            continue
        try:
            linked = read_telemetry(payload)
            if linked.challenge == challenge:
                verify(entry.envelope, log_keys.at(entry.index))
                return linked
        except (Malformed, SignatureError) as error:
            raise RecordError(f"entry {entry.index}: {error}") from error
    return None


def _own_reports(entries: Iterable[Entry], linked: Telemetry) -> list[Entry]:
    """Every report of the agent between the first and the last that the link names."""
    return _spoken(entries, linked.agent_key, linked.reports)


def _spoken(entries: Iterable[Entry], agent_key: bytes, reports: Sequence[int]) -> list[Entry]:
    if not reports:
        return []
    span, speaker = range(reports[0], reports[-1] + 1), key_id(agent_key)
    return [
        entry
        for entry in entries
        if entry.kind is EntryKind.REPORT
        and entry.index in span
        and entry.envelope.key_id == speaker
    ]


def _require_same(linked: Telemetry, ended: ChallengeOutcome, mine: Sequence[Entry]) -> None:
    theirs = (ended.contract, ended.node, ended.agent_key, ended.from_us, ended.until_us)
    own = (linked.contract, linked.node, linked.agent_key, linked.from_us, linked.until_us)
    if own != theirs:
        raise RecordError(f"{ended.challenge}: its telemetry is linked to another exchange")
    if tuple(entry.index for entry in mine) != linked.reports:
        raise RecordError(f"{ended.challenge}: not the reports that its telemetry is linked to")
    if _digest(mine) != linked.digest:
        raise RecordError(f"{ended.challenge}: the linked reports are not those that were judged")
