"""What a check is: what it is given, and what it answers."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from weighbridge.contract import Resource
from weighbridge.judge.latest_readings import LatestDevice, LatestReadings
from weighbridge.verdict import Verdict
from weighbridge.wire.report import Reason


class Severity(StrEnum):
    """ERROR takes a device out of the count of the healthy."""

    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Effect(StrEnum):
    """What a breach does to the availability of its subject."""

    NONE = "none"
    DEGRADED = "degraded"
    DOWN = "down"


@dataclass(frozen=True, slots=True)
class Answer:
    """`device` is a UUID, or empty for the node as a whole. A check answers at most once for each."""

    device: str
    verdict: Verdict
    expected: str
    observed: str


@dataclass(frozen=True, slots=True)
class BoundTally:
    """Of one bound and device over one UTC hour: how many samples counted, and how many of them held it."""

    counted: int
    held: int


@dataclass(slots=True)
class HourSeries:
    """Of one device. `samples` in all, `busy` of them under load.

    `beyond`: with a clock or a power that the card says it cannot have. `steady`: the longest run under load in which
    power, temperature and clock stayed the same to the last digit, `run` the one under way. `copied`: under load and
    alike another device of the node in all three. `held`: memory full, no process, power of an idle card. `unmoved`:
    kernels all the time at the power of an idle card, or none at half its limit. `longest_work` and `longest_rest`: the
    most samples in a row under load and without; the newest row began at the sample `changed`. `heated`: samples of
    another temperature than the one before. `fallen`: counters that only rise, and how often each fell. `marks`: the
    least of those of its steps of power under load.

    Over `watched_us` the counters of throttling were read, and clocks were held down for `throttled_us` of it, by cause
    for `throttles_us`; where several held at once, the longest counts.

    `fell`: how often the counter of energy went back to what it cannot have counted since. It rose by
    `spent_millijoules` over `spent_us`, in which power was read between `least` and `most` milliwatts.
    """

    samples: int = 0
    busy: int = 0
    beyond: int = 0
    run: int = 0
    steady: int = 0
    copied: int = 0
    held: int = 0
    fell: int = 0
    watched_us: int = 0
    throttled_us: int = 0
    throttles_us: dict[str, int] = field(default_factory=dict)
    changed: int = 0
    longest_work: int = 0
    longest_rest: int = 0
    unmoved: int = 0
    heated: int = 0
    fallen: dict[str, int] = field(default_factory=dict)
    marks: list[int] = field(default_factory=list)
    spent_millijoules: int = 0
    spent_us: int = 0
    least: int | None = None
    most: int = 0


@dataclass(frozen=True, slots=True)
class Promise:
    """What one version of a contract promises of one node.

    `devices` are the UUIDs that are assigned to it there (None: every whole GPU). It is judged over [from_us,
    until_us). `least_coverage`: the share of its time that is to rest on samples. `quorum` of `witnesses`, by name or
    key, say why it is silent, and, where it is to be `reachable`, whether it was.
    """

    contract: str
    version: int
    resource: Resource
    devices: frozenset[str] | None
    from_us: int
    until_us: int
    interval_us: int
    max_gap_us: int
    heard_within_us: int
    max_skew_us: int
    least_coverage: Fraction = Fraction(0)
    witnesses: frozenset[str] = frozenset()
    quorum: int = 1
    cadence_us: int = 0
    reachable: bool = False

    def assigned(self, view: LatestReadings) -> list[LatestDevice]:
        """Its devices on the node, in the order of the inventory."""
        if self.devices is None:
            return list(view.wholes())
        return [device for device in view.devices.values() if device.uuid in self.devices]


@dataclass(frozen=True, slots=True)
class CheckContext:
    """What a check looks at: the promise, the node, and of the last whole hour the tallies by (bound, device) and what
    the samples of each device showed together.

    `flaps`: how often ports of the network went down in that hour. `strangers`: devices in slots that were not theirs
    when they were first filled, and of which nothing was announced.
    """

    promise: Promise
    view: LatestReadings
    tallies: Mapping[tuple[int, str], BoundTally] = field(default_factory=dict)
    strangers: Collection[str] = ()
    series: Mapping[str, HourSeries] = field(default_factory=dict)
    flaps: Mapping[str, int] = field(default_factory=dict)

    def devices(self) -> list[LatestDevice]:
        return self.promise.assigned(self.view)


@dataclass(frozen=True, slots=True)
class Check:
    """`code` is stable. `watches` names readings, and INVENTORY, PROCESSES, XIDS, REASONS, HOST, HOUR for the rest.

    `at_delivery`: whether it compares a device with the contract, and so belongs in a delivery note; else it judges
    what happens later. `effect`: on availability. `blind`: how severe it is that nobody could see. `level`: of the
    evidence. `each`: whether a breach that shows something else than before is another finding.
    """

    code: str
    at_delivery: bool
    watches: frozenset[str]
    judge: Callable[[CheckContext], Iterable[Answer]]
    severity: Severity = Severity.ERROR
    effect: Effect = Effect.DEGRADED
    blind: Severity = Severity.INFO
    level: str = "E0"
    each: bool = False

    def weight(self, verdict: Verdict) -> Severity:
        """How severe an answer of it is that is not met."""
        return self.severity if verdict is Verdict.BREACHED else self.blind


HOUR = "hour"
NOT_REPORTED = "not_reported"
"""What is observed where neither a value nor a reason came; a cause in the ledger too."""


def met(device: str, expected: str, observed: str) -> Answer:
    return Answer(device, Verdict.MET, expected, observed)


def breached(device: str, expected: str, observed: str) -> Answer:
    return Answer(device, Verdict.BREACHED, expected, observed)


def unseen(device: str, expected: str, value: object) -> Answer:
    """The verdict where there is no usable value, with the reason where one came: never met, never breached."""
    observed = value if isinstance(value, Reason) else NOT_REPORTED
    return Answer(device, Verdict.UNKNOWN, expected, observed)


def doubted(device: str, expected: str, observed: str) -> Answer:
    """What is seen can be true of one who keeps the promise and of one who does not: it breaches nothing."""
    return Answer(device, Verdict.UNKNOWN, expected, observed)


def decide(device: str, expected: str, observed: str, *, holds: bool) -> Answer:
    return met(device, expected, observed) if holds else breached(device, expected, observed)


def at_least(context: CheckContext, reading: str, floor: int | None) -> Iterator[Answer]:
    """Every assigned device's reading against a floor; silent where nothing was promised."""
    if floor is None:
        return
    expected = f"{reading} at least {floor}"
    for device in context.devices():
        value = context.view.value(device.uuid, reading)
        if isinstance(value, int):
            yield decide(device.uuid, expected, str(value), holds=value >= floor)
        else:
            yield unseen(device.uuid, expected, value)


def is_code(context: CheckContext, reading: str, code: int, word: str) -> Iterator[Answer]:
    """Every assigned device's enumeration against the one value that was promised, called `word`."""
    for device in context.devices():
        value = context.view.value(device.uuid, reading)
        if isinstance(value, int):
            observed = word if value == code else f"{reading} {value}"
            yield decide(device.uuid, word, observed, holds=value == code)
        else:
            yield unseen(device.uuid, word, value)


UNTOLD = (None, Reason.NOT_SUPPORTED, Reason.FUNCTION_NOT_FOUND)
"""Of a card or driver that does not have a reading."""


def of_card(context: CheckContext, device: LatestDevice, reading: str) -> int | str | Reason | None:
    """What a device shows; of a slice, what the GPU shows that it is cut from."""
    value = context.view.value(device.uuid, reading)
    if device.parent is None or value not in UNTOLD:
        return value
    return context.view.value(device.parent, reading)


def sound(
    context: CheckContext,
    expected: str,
    readings: Iterable[str],
    odd: Callable[[Mapping[str, int]], str],
) -> Iterator[Answer]:
    """Every device by readings of faults, which no contract need name; `odd` says what is wrong, empty: nothing.

    Nothing is said of a device that has none of these readings.
    """
    for device in context.devices():
        shown = {name: of_card(context, device, name) for name in readings}
        told = {name: value for name, value in shown.items() if isinstance(value, int)}
        hidden = [value for value in shown.values() if isinstance(value, Reason)]
        unread = [reason for reason in hidden if reason not in UNTOLD]
        fault = odd(told)
        if fault:
            yield breached(device.uuid, expected, fault)
        elif unread:
            yield unseen(device.uuid, expected, unread[0])
        elif told:
            yield met(device.uuid, expected, "none")
