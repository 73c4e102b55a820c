"""What a node's own telemetry shows of the time of a challenge: a card that passed was at work, or somebody else's was.

A pass while the local card idles means a relay, or invented readings; or a clock that is off, a counter that stands
still, a prober that was told to compute on the CPU. So it is a hint, level E1, and never a verdict. Where nothing can
be seen the answer is unknown.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from weighbridge.challenge.codec import Malformed, decode, encode
from weighbridge.challenge.messages import PAYLOAD_TYPE
from weighbridge.challenge.record import TELEMETRY, ChallengeOutcome, RecordError, payload_kind
from weighbridge.log.entries import Entry, EntryKind
from weighbridge.log.merkle import leaf_hash
from weighbridge.log.succession import LogKeys
from weighbridge.wire.bounds import within_bounds
from weighbridge.wire.report import Report, WireError
from weighbridge.wire.report import decode as decode_report
from weighbridge.wire.signing import SignatureError, Signer, encode_envelope, key_id, verify

MARGIN_US = 1_000_000
"""Clocks that are synchronized differ by less, and NVML's means reach back no further. One of which the kernel does not
say so gets twice as much, if the collector sees it no further off.
"""
READ = ("power_draw_milliwatts", "utilization_gpu_percent", "energy_millijoules")
"""The readings that a sample holds, in its order."""
IDLE_PERCENT = 5
"""Percent of utilization up to which a card counts as idle."""


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
class Telemetry:
    """The link from a proof to the node's reports of its time, entered once they have come or are not awaited any more.

    `reports` are log indexes of all reports of the agent from the last one before the exchange on; `digest` is over
    their leaf hashes. `skew_us`: how far the node's clock was ahead of the collector's, by its least delayed report;
    None: nobody knows.
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
        """Half of the time between two samples and more was the run's."""
        start_us = max(before.at_us, self.from_us + self.margin_us)
        end_us = min(after.at_us, self.until_us - self.margin_us)
        return 2 * (end_us - start_us) >= after.at_us - before.at_us


def link(
    ended: ChallengeOutcome,
    entries: Sequence[Entry],
    idle_milliwatts: Mapping[str, int | None],
    skew_us: int | None,
    now_us: int,
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
    )


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
    """Mean power between two samples that the run may touch, in mW, and whether it filled half of that time."""
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
    return EntryKind.CHALLENGE, signer.seal(PAYLOAD_TYPE, encode(value))


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
    return anew


def _linked(entries: Iterable[Entry], challenge: str, log_keys: LogKeys) -> Telemetry | None:
    for entry in entries:
        payload = entry.envelope.payload
        if entry.kind is not EntryKind.CHALLENGE or payload_kind(payload) != TELEMETRY:
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
    if not linked.reports:
        return []
    span = range(linked.reports[0], linked.reports[-1] + 1)
    speaker = key_id(linked.agent_key)
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
