"""The statement of a period, as data: what it says, its one spelling, and what a later one says otherwise.

It names what it was made from (engine, judge and its tables, the text of every contract version, a digest of all
inputs), so that anybody with the same inputs gets the same bytes, and a newer engine or judge prints the difference
instead of restating in silence.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from weighbridge.codes import Note, Value, note
from weighbridge.document import Document
from weighbridge.log.entries import JudgedBy
from weighbridge.settlement.remedy_lines import DepositState, LimitLine, LongerLine, PaymentState

Tree = Mapping[str, Any]
"""A statement as data: what its JSON holds."""

SO_FAR = "SO_FAR"
"""In place of a verdict: of an objective that the statement of another period judges and pays."""

Path = tuple[str | int, ...]
"""Where a value stands in it."""

TO_COME = "to_come"
"""Beside the states, in the seconds of a unit: time of a period under way that is still to come."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a unit was not up. `cause` empty: none was seen."""

    unit: str
    state: str
    cause: str


@dataclass(frozen=True, slots=True)
class Outage:
    """An outage as it counts in the worst case: after exclusion and merging.

    `entries`: the first and last entry of the log that the time is known from, by their indexes. `held`: what of it the
    contract holds, from and to; `certain`: some of it counts also where that was up.
    """

    start: str
    end: str
    seconds_in_period: int
    counted: bool
    causes: tuple[Cause, ...]
    entries: tuple[int, int] | None = None
    held: tuple[tuple[str, str], ...] = ()
    certain: bool = True


@dataclass(frozen=True, slots=True)
class CreditLine:
    """A credit, with held time counted as down and as up. None: the contract gives no answer.

    `formula`: its kind, and `pct` of the base or an amount (`exact`), neither of them rounded, beside what that is
    reckoned from. `expires`: the first instant at which it has lapsed, if it is not used.
    """

    credit: str
    formula: Note
    base: str
    highest: str | None
    lowest: str | None
    tier: str | None
    flags: tuple[str, ...]
    form: str = "set_off"
    expires: str | None = None


@dataclass(frozen=True, slots=True)
class UnitLine:
    """A unit under an objective; its verdict is SO_FAR where another period's statement judges it.

    `seconds` by state add up to `service_seconds`, where a unit is judged alone.

    Of a period that is under way, `seconds` has what is still to come as TO_COME, and nothing else but `availability`,
    `credits` and what follows from them tells of that time: up in the best case, as it is now in the worst.

    `window`: the worst one, where the objective's window moves; `breaches`: when such a window held too much.
    `uncounted_seconds`: bad time that outages too short to count, or rounding, leave out.
    """

    objective: str
    unit: str
    verdict: str
    target: str
    service_seconds: int
    denominator_seconds: int
    counted_seconds: tuple[int, int]
    raw_down_seconds: int
    excluded_seconds: int
    unknown_seconds: int
    contested_seconds: int
    seconds: Mapping[str, int]
    availability: tuple[str, str]
    availability_fraction: tuple[str, str]
    outages: tuple[Outage, ...]
    credits: tuple[CreditLine, ...]
    window: tuple[str, str] | None = None
    breaches: tuple[tuple[str, str], ...] = ()
    uncounted_seconds: int = 0


@dataclass(frozen=True, slots=True)
class UnitTime:
    """When a unit was not up: (from, until, state), in order, never overlapping. The rest of the service is up."""

    objective: str
    unit: str
    not_up: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True, slots=True)
class EvidenceLine:
    """Whose agents saw a slot, in seconds that add up to its time of service, none of it to come.

    Both and alike; one side alone; both and otherwise (`contradicted`: by the provider's word and the lessee's); shown
    in two places (`contested`); nobody. `late_seconds` of all these would be otherwise without what was heard late.
    """

    unit: str
    agreed_seconds: int
    provider_seconds: int
    lessee_seconds: int
    contradicted: Mapping[str, int]
    contested_seconds: int
    unknown_seconds: int
    late_seconds: int = 0


@dataclass(frozen=True, slots=True)
class ReachLine:
    """Whether a place was reachable, in seconds that add up to its time of service, none of it to come: a quorum
    reached it; did not; nobody knows. `witnesses`: the seconds in which each reached it, and in which it did not.

    `late_gpu_seconds`: of its GPUs, what would be otherwise without what was heard late.
    """

    node: str
    reached_seconds: int
    unreached_seconds: int
    unknown_seconds: int
    witnesses: Mapping[str, tuple[int, int]]
    late_gpu_seconds: int = 0


@dataclass(frozen=True, slots=True)
class LateEvidence:
    """What rests on evidence that was heard late. `term`: what the contract makes of it.

    (Lowest, highest) amounts of the period, all that it earns claimed, if everything were taken as told, and if that
    time were unknown.
    """

    term: str
    gpu_seconds: int
    counted: tuple[str | None, str | None]
    refused: tuple[str | None, str | None]


@dataclass(frozen=True, slots=True)
class CadenceLine:
    """How much of a place's GPU-seconds rests on samples, over the hours of service that are full.

    `interval`: seconds between samples, as promised. Heard: GPUs answered, as far as samples bridge the time. Sampled:
    of that, no longer than the interval after a sample. Contracted: less what was seen to be down, which asks for none.
    `kept`: sampled of heard, None if nothing was; `coverage`: of contracted.
    """

    node: str
    interval: str
    contracted_gpu_seconds: int
    heard_gpu_seconds: int
    sampled_gpu_seconds: int
    kept: str | None
    coverage: str


@dataclass(frozen=True, slots=True)
class ProbeLine:
    """A performance objective: probes that were due, answered and good."""

    objective: str
    verdict: str
    target: str
    scheduled: int
    valid: int
    good: str
    share: str
    share_fraction: str


@dataclass(frozen=True, slots=True)
class SeriesLine:
    """A series of challenges of a node, where a performance objective rests on challenges.

    `cause`: `schedule`, or `command` where somebody asked by hand. `gpus`: how many were asked. `least`: the least rate
    of exact products of those that proved one, in FLOP/s. `counts`: whether it is a probe of an objective; what was
    asked for by hand, by other numbers than the contract's or outside the objective's schedule, is not.
    """

    at: str
    node: str
    cause: str
    verdict: str
    gpus: int
    least: int | None
    counts: bool


@dataclass(frozen=True, slots=True)
class Due:
    """What a unit earned, the claim that it needs, and what is owed of it now.

    `credits`: of which alone it is, where others of the unit are claimed in another way; empty: of all. `opens`: from
    when on it can be claimed; None: at any time, or from a day that nobody knows yet.
    """

    unit: str
    standing: str
    deadline: str | None
    earned: str | None
    highest: str | None
    lowest: str | None
    credits: tuple[str, ...] = ()
    opens: str | None = None


@dataclass(frozen=True, slots=True)
class MaintenanceLine:
    """A window that was announced, and how much of it counts."""

    id: str
    start: str
    end: str
    notice_received: str
    ruling: str
    excluded_seconds: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """GPU-seconds of a line item: contracted, seen at all, up, and in use. P-hours where its capacity is fixed.

    None: not read, which is not the same as none.
    """

    resource: str
    contracted_gpu_seconds: int
    reporting_gpu_seconds: int
    healthy_gpu_seconds: int
    contracted_p_hours: str | None
    healthy_p_hours: str | None
    in_use_gpu_seconds: int | None = None
    energy_joules: int | None = None
    utilization: str | None = None


MINIMUM, REBATE = "minimum", "rebate"
"""Names of the lines of what is missing to the least of a price, and of what is given back."""


@dataclass(frozen=True, slots=True)
class FeeLine:
    """What a line item costs, and what of it is not billed because it was down. Credits come on top.

    `tax`: on the net amount, or inside it, as the contract has it, unless the price has its own: `tax_rate`, in per
    cent, and `tax_included`. `quantity`: what was billed of what it is a price of; `precision`: of P. A line `minimum`
    fills a price up to its least; of a line `rebate` the net amount is below zero.
    """

    resource: str
    gross: str
    unbilled: str
    net: str
    unit: str = "gpu_hour"
    tax: str = "0.00"
    prepaid: bool = False
    quantity: str | None = None
    precision: str | None = None
    tax_rate: str | None = None
    tax_included: bool | None = None


@dataclass(frozen=True, slots=True)
class FloorLine:
    """The least healthy capacity at any time, [worst, best] case, and the hours missing to it, [least, most]."""

    unit: str
    floor: str
    verdict: str
    least_healthy: tuple[str, str]
    short_hours: tuple[str, str]


@dataclass(frozen=True, slots=True)
class ClockLine:
    """An answer or a repair, by the contract's hours. `end` None: its clock still runs."""

    objective: str
    unit: str
    start: str
    end: str | None
    seconds: int
    objective_seconds: int
    verdict: str


@dataclass(frozen=True, slots=True)
class ExitLine:
    """A right to leave: `met`, `not_met`, or `open` while periods are held or not settled.

    It needs `needed` missed ones of `of_periods`. `not_settled`: how many came before those that are known. Or it needs
    `days` (`op`: more than these, or these too) of an outage or a delay, which is that of `unit` `since` then. `arose`:
    when it did, or will have if what is open is so; `amount`: what it is worth.
    """

    objective: str | None
    party: str
    needed: int | None
    of_periods: int | None
    remedy: str
    standing: str
    missed: tuple[str, ...]
    open: tuple[str, ...]
    not_settled: int = 0
    trigger: str = "missed_periods"
    days: int | None = None
    op: str = ">"
    unit: str = ""
    since: str | None = None
    arose: str | None = None
    amount: str | None = None


@dataclass(frozen=True, slots=True)
class SwapLine:
    """A GPU or a node that was replaced (`event`), and what was told of it: `old`, `new`, and by whom it was seen."""

    event: str
    at: str
    unit: str
    details: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class AnswerLine:
    """An answer to a claim, or a payment. `unit` empty: of all; `amount` empty: none is named. `entry`: of the log."""

    event: str
    at: str
    party: str
    unit: str
    amount: str
    reason: str
    entry: int


@dataclass(frozen=True, slots=True)
class Part:
    """The part of the period that one version of the contract rules; the whole of it where there is one.

    `service`: from when to when in it there is service to judge, none of it to come. `times`: of every unit of every
    objective.
    """

    version: int
    text_digest: str
    start: str
    end: str
    units: tuple[UnitLine, ...]
    probes: tuple[ProbeLine, ...]
    others: tuple[CreditLine, ...]
    maintenance: tuple[MaintenanceLine, ...]
    delivery: tuple[Delivery, ...]
    fees: tuple[FeeLine, ...]
    dues: tuple[Due, ...]
    terms: str
    clocks: tuple[ClockLine, ...] = ()
    floors: tuple[FloorLine, ...] = ()
    by_lessee: tuple[CreditLine, ...] = ()
    service: tuple[str, str] | None = None
    times: tuple[UnitTime, ...] = ()
    evidence: tuple[EvidenceLine, ...] = ()
    cadence: tuple[CadenceLine, ...] = ()
    reach: tuple[ReachLine, ...] = ()
    series: tuple[SeriesLine, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement(Document):
    """A period of a contract as of an instant. Amounts are [lowest, highest] where unknown time is held.

    `currencies`: the day of the list of ISO 4217 by which the currency has its decimals.
    `answers`: to claims; `paid`: in money or set off; `outstanding`: what of the amounts is left, lowest and highest.
    `payments`: of the lessee, and `deposit`, as of the instant.
    `zone_data`: the version by which local days were cut; `calendars`: by which working days were counted.
    """

    contract: str
    period: str
    start: str
    end: str
    local_start: str
    local_end: str
    time_zone: str
    currency: str
    as_of: str
    final: bool
    simulated: bool
    engine: str
    judged: JudgedBy
    inputs_digest: str
    parts: tuple[Part, ...]
    swaps: tuple[SwapLine, ...]
    highest: str | None
    lowest: str | None
    flags: tuple[str, ...]
    notes: tuple[Note, ...] = ()
    exits: tuple[ExitLine, ...] = ()
    limits: tuple[LimitLine, ...] = ()
    longer: tuple[LongerLine, ...] = ()
    late: LateEvidence | None = None
    currencies: str = ""
    zone_data: str = ""
    calendars: str = ""
    answers: tuple[AnswerLine, ...] = ()
    paid: str | None = None
    outstanding: tuple[str | None, str | None] | None = None
    payments: PaymentState | None = None
    deposit: DepositState | None = None


def differences(before: Statement, after: Statement) -> tuple[Note, ...]:
    """What a newer statement says otherwise, each a path with the values; the as-of and the digest differ by nature."""
    return changes(asdict(before), asdict(after))


def changes(before: Tree, after: Tree) -> tuple[Note, ...]:
    """The same of statements as data, of which one may be of a time when statements had other fields.

    Where the bars of a picture differ comes last: whoever shows the first lines shows what they stand for. A value that
    one of them does not have is left out.
    """
    old, new = (dict(_leaves(json.loads(json.dumps(one)), ())) for one in (before, after))
    changed = [path for path in {*old, *new} if old.get(path, old) != new.get(path, new)]
    changed.sort(key=lambda path: ("times" in path, path_text(path)))
    return tuple(
        note("changed", path=path, **_values(before=old, after=new, path=path))
        for path in changed
        if path[0] not in ("as_of", "inputs_digest")
    )


def path_text(path: tuple[object, ...]) -> str:
    """`parts[0].units[2].verdict`."""
    return "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in path)[1:]


def versions(statement: Statement) -> dict[str, Value]:
    """By whom it was made: engine, judge, tables."""
    return versions_of(asdict(statement))


CUT_BY = ("zone_data", "calendars")
"""By what days were cut. Empty in a statement of a time when it was not told."""


def versions_of(statement: Tree) -> dict[str, Value]:
    """The versions that made a statement, read from its data, or from that of its entry in the log."""
    judged = {name: tuple(map(_version, held)) for name, held in statement["judged"].items()}
    cut = {name: statement.get(name, "") for name in CUT_BY}
    return {"engine": statement["engine"], **judged, **cut}


def _version(told: Mapping[str, str | None]) -> Note:
    since = told["since"]
    if since is None:
        return note("version", version=told["version"])
    return note("version_since", version=told["version"], since=since)


def otherwise(before: Mapping[str, Value], after: Mapping[str, Value]) -> tuple[Note, ...]:
    """Which of the versions differ."""
    return tuple(
        note("made_by_other", name=name, before=before[name], after=after[name])
        for name in before
        if before[name] != after[name] and (before[name] or name not in CUT_BY)
    )


def _values(path: Path, **trees: Mapping[Path, Value]) -> dict[str, Value]:
    return {name: tree[path] for name, tree in trees.items() if path in tree}


def _leaves(tree: Any, path: Path) -> Iterator[tuple[Path, Value]]:
    if isinstance(tree, dict | list):
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        for name, value in items:
            yield from _leaves(value, (*path, name))
    else:
        yield path, tree
