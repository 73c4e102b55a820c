"""The tests of an acceptance, judged by what there is: proofs of compute, what parties said, and readings.

A test whose probe is `challenge` is judged by the rate that each GPU proved, in TFLOP/s (E2); one whose probe is a
reading of the catalogue by that reading over the window, for as long as it was seen (E0); any other by `test_result`
notices, whose details name `probe`, `value` and, where it matters, `version`. What nobody measured is UNKNOWN.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.catalogue.readings import READING
from weighbridge.challenge.record import ChallengeOutcome, Weighed
from weighbridge.challenge.verdict import PROOFS, ChallengeVerdict
from weighbridge.codes import Note, note
from weighbridge.contract.numerals import exact_text
from weighbridge.contract.quality import AcceptanceTest
from weighbridge.handover.documents import Trial, TrialLine
from weighbridge.handover.meter import Limit, LoadMeter
from weighbridge.settlement.periods import instant_text
from weighbridge.settlement.proofs import PROBE, TERA
from weighbridge.verdict import Verdict, worst

SECOND_US = 1_000_000
READ, PROVED = note("level", level="E0"), note("level", level="E2")
RESULT = "test_result"
"""The event by which a party tells the result of a test, of a node or a slot."""


@dataclass(frozen=True, slots=True)
class TestValue:
    """A value that a test gave. `unit`: a slot, or a node and so all of its slots.

    `final`: no retest undoes it, since a wrong answer is exact proof.
    """

    probe: str
    unit: str
    uuid: str
    at_us: int
    value: Fraction | None
    source: str
    level: Note
    entry: int
    detail: Note | None = None
    final: bool = False


@dataclass(frozen=True, slots=True)
class ContractedGpu:
    """A contracted slot, what fills it, and what each side's agent saw of it. `load`: whether it ran under load."""

    node: str
    unit: str
    uuid: str
    meters: Mapping[str, LoadMeter]

    def load(self, needed_us: int, window_us: int) -> Verdict:
        """The worst of what the sides that know say; UNKNOWN where none does."""
        found = (load_verdict(m, needed_us, window_us) for m in self.meters.values())
        return worst((one for one in found if one is not Verdict.UNKNOWN), empty=Verdict.UNKNOWN)


def load_verdict(meter: LoadMeter, needed_us: int, window_us: int) -> Verdict:
    """MET from `needed_us` of load on; BREACHED where even all unknown time would not reach it."""
    if meter.loaded_us >= needed_us:
        return Verdict.MET
    return Verdict.BREACHED if window_us - meter.idle_us < needed_us else Verdict.UNKNOWN


def proved(
    ended: ChallengeOutcome,
    index: int,
    received_us: int,
    units: Mapping[str, str],
    busy: frozenset[str] = frozenset(),
) -> Iterator[TestValue]:
    """The rates of a series that has ended, by GPU; None where nothing was assessed, or both sides show it `busy`.

    Of a GPU that was not asked, or that fills no place of the contract, it says nothing: neither of it nor of its node.
    """
    if not ended.final:
        return
    for gpu in ended.weighing.gpus:
        if gpu.gpu not in units:
            continue
        yield TestValue(
            PROBE,
            units[gpu.gpu],
            gpu.gpu,
            received_us,
            None if gpu.gpu in busy else _rate(gpu, ended),
            "challenge",
            PROVED,
            index,
            _weighed(gpu),
            gpu.reason in PROOFS,
        )


def _weighed(gpu: Weighed) -> Note:
    if gpu.reason is None:
        return note("weighed", verdict=gpu.verdict)
    return note("weighed_because", verdict=gpu.verdict, reason=gpu.reason)


def _rate(gpu: Weighed, ended: ChallengeOutcome) -> Fraction | None:
    """A GPU that failed, in whichever attempt, proved what it was measured at last, and nothing where it was not."""
    rate = gpu.flops_per_second
    if gpu.verdict == ChallengeVerdict.FAILED or gpu.gpu in ended.failed:
        return Fraction(rate or 0, TERA)
    return (
        Fraction(rate, TERA) if gpu.verdict == ChallengeVerdict.MET and rate is not None else None
    )


@dataclass(frozen=True)
class TestBench:
    """Everything that the tests of a contract are judged by."""

    gpus: Sequence[ContractedGpu]
    found: Sequence[TestValue]
    retest_limit: int
    window_us: int

    def trial(self, test: AcceptanceTest, limit: int | None) -> Trial:
        """One test. `limit`: its index among the limits that the meters counted, where it is about a reading."""
        if limit is None:
            lines = list(self._told(test))
            verdicts = _of_units(test, lines)
        else:
            lines = [self._read(test, gpu, limit) for gpu in self.gpus]
            verdicts = {line.unit: Verdict[line.verdict] for line in lines}
        nodes = self._nodes(test, verdicts)
        enough = list(nodes.values()).count(Verdict.MET) >= test.min_nodes
        return Trial(
            probe=test.probe,
            version=test.version,
            parameters=dict(test.parameters),
            op=test.op,
            threshold=exact_text(test.threshold),
            quantile=None if test.quantile is None else exact_text(test.quantile),
            min_nodes=test.min_nodes,
            duration_s=test.duration_s,
            verdict=_together(nodes, enough).name,
            nodes={node: verdict.name for node, verdict in nodes.items()},
            lines=tuple(lines),
        )

    def _nodes(self, test: AcceptanceTest, verdicts: Mapping[str, Verdict]) -> dict[str, Verdict]:
        """Of each node the worst of its GPUs: of their values, and of how long they ran under load."""
        found: dict[str, list[Verdict]] = {}
        for gpu in self.gpus:
            value = verdicts.get(gpu.unit, verdicts.get(gpu.node, Verdict.UNKNOWN))
            found.setdefault(gpu.node, []).extend([value, self._duration(test, gpu)])
        return {node: worst(given, empty=Verdict.UNKNOWN) for node, given in found.items()}

    def _duration(self, test: AcceptanceTest, gpu: ContractedGpu) -> Verdict:
        """A window that is shorter than the test shows nothing against the GPU."""
        needed_us = test.duration_s * SECOND_US
        if needed_us == 0:
            return Verdict.MET
        if needed_us > self.window_us:
            return Verdict.UNKNOWN
        return gpu.load(needed_us, self.window_us)

    def _read(self, test: AcceptanceTest, gpu: ContractedGpu, limit: int) -> TrialLine:
        """Of each GPU the time for which the reading reached the threshold, and for which it did not."""
        counted = [meter.held_us.get(limit, [0, 0]) for meter in gpu.meters.values()]
        held, missed = (max((one[index] for one in counted), default=0) for index in (0, 1))
        return TrialLine(
            unit=gpu.unit,
            uuid=gpu.uuid,
            at=None,
            value=None,
            verdict=self._of_time(test, held, missed).name,
            source="reading",
            level=READ,
            attempt=1,
            of_limit=True,
            entry=None,
            detail=None,
            reached_us=held,
            missed_us=missed,
        )

    def _of_time(self, test: AcceptanceTest, held_us: int, missed_us: int) -> Verdict:
        """Over the test's duration, or the window where it names none. With a quantile: the value that this share of
        the time does not exceed; without one all of the time. Time that nobody saw may have been either.
        """
        span_us = max(held_us + missed_us, test.duration_s * SECOND_US or self.window_us)
        allowed = test.quantile or Fraction(0)
        if Fraction(missed_us, span_us) >= allowed and missed_us:
            return Verdict.BREACHED
        unseen_us = span_us - held_us
        enough = unseen_us == 0 or Fraction(unseen_us, span_us) < allowed
        return Verdict.MET if enough else Verdict.UNKNOWN

    def _told(self, test: AcceptanceTest) -> Iterator[TrialLine]:
        """Each result in time order; the newest within the limit of retests stands last for its unit, unless one before
        it is final."""
        attempts: dict[str, int] = {}
        ended: set[str] = set()
        for one in sorted(self.found, key=lambda one: (one.unit, one.at_us, one.entry)):
            if one.probe != test.probe:
                continue
            attempts[one.unit] = attempt = attempts.get(one.unit, 0) + 1
            yield TrialLine(
                unit=one.unit,
                uuid=one.uuid,
                at=instant_text(one.at_us // SECOND_US),
                value=None if one.value is None else exact_text(one.value),
                verdict=_of_value(test, one.value).name,
                source=one.source,
                level=one.level,
                attempt=attempt,
                of_limit=attempt <= self.retest_limit + 1 and one.unit not in ended,
                entry=one.entry,
                detail=one.detail,
            )
            ended |= {one.unit} if one.final else set()


def limit_of(test: AcceptanceTest) -> Limit | None:
    """What the meters must count for a test; None where it is not about a reading of the catalogue."""
    if test.probe not in READING:
        return None
    return Limit(test.probe, test.threshold, test.op == ">=")


def _of_value(test: AcceptanceTest, value: Fraction | None) -> Verdict:
    if value is None:
        return Verdict.UNKNOWN
    reached = value > test.threshold or (test.op == ">=" and value == test.threshold)
    return Verdict.MET if reached else Verdict.BREACHED


def _together(nodes: Mapping[str, Verdict], enough: bool) -> Verdict:
    """A node that fails fails the test; nodes on which it was not made do not, if there are enough others."""
    if Verdict.BREACHED in nodes.values():
        return Verdict.BREACHED
    return Verdict.MET if enough else Verdict.UNKNOWN


def _of_units(test: AcceptanceTest, lines: Iterable[TrialLine]) -> dict[str, Verdict]:
    """The verdict on the newest result of each unit; with a quantile that on all of them together, for each."""
    found = {line.unit: Verdict[line.verdict] for line in lines if line.of_limit}
    known = {unit: found[unit] for unit in found if found[unit] is not Verdict.UNKNOWN}
    if test.quantile is None or not known:
        return found
    missed = Fraction(list(known.values()).count(Verdict.BREACHED), len(known))
    together = Verdict.MET if missed < test.quantile else Verdict.BREACHED
    return found | dict.fromkeys(known, together)
