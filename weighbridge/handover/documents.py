"""The two documents of a handover, as data: what they say, and their one spelling.

Both name what they were made from (engine, tables, contract text, the entries of the log, a digest of all inputs), so
that anybody with the same log gets the same bytes. Times within are UTC; lengths are integer microseconds.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

from weighbridge.codes import Note
from weighbridge.document import Document

ENGINE = "handover/1"
"""Changes with any change of a result for the same inputs."""


@dataclass(frozen=True, slots=True)
class PartyLine:
    """A party, and what it is in this handover."""

    id: str
    name: str
    registration: str | None
    role: str


@dataclass(frozen=True, slots=True)
class Source:
    """What a document was made from. `entries`: the first and the last one that were read; None: there were none."""

    contract: str
    version: int
    text_digest: str
    time_zone: str
    currency: str
    as_of: str
    simulated: bool
    engine: str
    tables_digest: str
    entries: tuple[int, int] | None
    reports: int
    inputs_digest: str
    parties: tuple[PartyLine, ...]


@dataclass(frozen=True, slots=True)
class NoticeLine:
    """A notice that this document follows: what, when, and how it is known who said it."""

    event: str
    unit: str
    at: str
    party: str
    authority: Note
    entry: int


@dataclass(frozen=True, slots=True)
class Start:
    """When service starts by `billing_starts`. `at` None: nobody has told of the event that starts it."""

    rule: str
    event: str
    at: str | None
    local: str | None


@dataclass(frozen=True, slots=True)
class ItemLine:
    """A line item: what was contracted, and how much of it was seen."""

    resource: str
    sku: str
    nodes: int
    per_node: int
    gpus: int
    gpus_seen: int
    nodes_seen_whole: int


@dataclass(frozen=True, slots=True)
class BatchLine:
    """A part of the delivery. `due`: the first instant that is late; `complete`: when its last GPU was first seen.

    `standing`: in_time, late, open (not due yet), overdue. Nodes fill the batches in the order in which they were seen
    whole.
    """

    resource: str
    batch: str
    nodes: int
    nodes_seen: int
    due: str
    complete: str | None
    standing: str


@dataclass(frozen=True, slots=True)
class SlotLine:
    """The first device that was seen in a slot. None: the node did not say. `host_serial`: as contracted.

    `entry`: the report that first showed it at work.
    """

    unit: str
    resource: str
    batch: str | None
    uuid: str
    model: str | None
    serial: str | None
    host_serial: str | None
    board_part: str | None
    pci_bus_id: str | None
    vbios: str | None
    driver: str | None
    memory_bytes: int | None
    first_seen: str
    side: str
    entry: int


@dataclass(frozen=True, slots=True)
class Difference:
    """Where what was delivered is not what was contracted, or nobody could see whether it is (`verdict` UNKNOWN).

    `observed` empty: the node did not say, or it left before it told enough (`not_judged`).
    """

    unit: str
    uuid: str
    code: str
    verdict: str
    expected: str
    observed: str


@dataclass(frozen=True, slots=True)
class MissingLine:
    """Contracted and never seen. `node` None: nodes that were never assigned, `nodes` of them."""

    resource: str
    node: str | None
    nodes: int
    gpus: int
    slots: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DeliveryNote(Document):
    """What was delivered of a contract up to an instant. `standing`: complete, incomplete, nothing."""

    source: Source
    standing: str
    start: Start
    items: tuple[ItemLine, ...]
    batches: tuple[BatchLine, ...]
    slots: tuple[SlotLine, ...]
    differences: tuple[Difference, ...]
    missing: tuple[MissingLine, ...]
    said: tuple[NoticeLine, ...]
    flags: tuple[str, ...]
    kind: str = "delivery"


@dataclass(frozen=True, slots=True)
class ReadingLine:
    """A reading over the time in which it was seen. The mean is weighted by time, exact in `mean_fraction`."""

    reading: str
    seen_us: int
    least: int
    mean: str
    mean_fraction: str
    most: int


@dataclass(frozen=True, slots=True)
class LoadLine:
    """One GPU over the window, as one side's agent saw it; nobody's (`side` empty) where nothing was seen.

    loaded_us + idle_us + unknown_us is the window: seen under load, seen without, and not seen or not told. `verdict`:
    MET from `needed_us` of load on, BREACHED where even all unknown time would not reach it, else UNKNOWN. Up to its
    idle power the card does nothing, above its load power it works.
    """

    unit: str
    resource: str
    uuid: str
    model: str | None
    serial: str | None
    side: str
    first_seen: str | None
    loaded_us: int
    idle_us: int
    unknown_us: int
    needed_us: int
    idle_power_milliwatts: int | None
    load_power_milliwatts: int | None
    verdict: str
    readings: tuple[ReadingLine, ...]
    energy_millijoules: int | None
    energy_seen_us: int


@dataclass(frozen=True, slots=True)
class TrialLine:
    """One result of a test. `value` None: not measured. `source`: challenge, notice, reading; `level`: how it is known;
    `detail`: how it was weighed, or why it is of no use.

    `of_limit` false: repeated more often than the contract allows, and not counted. `reached_us`, `missed_us`: for how
    long a reading reached the threshold, and did not.
    """

    unit: str
    uuid: str
    at: str | None
    value: str | None
    verdict: str
    source: str
    level: Note
    attempt: int
    of_limit: bool
    entry: int | None
    detail: Note | None
    reached_us: int | None = None
    missed_us: int | None = None


@dataclass(frozen=True, slots=True)
class Trial:
    """A test of the contract and what evidence says of it. `nodes`: the verdict on each."""

    probe: str
    version: str
    parameters: Mapping[str, str]
    op: str
    threshold: str
    quantile: str | None
    min_nodes: int
    duration_s: int
    verdict: str
    nodes: Mapping[str, str]
    lines: tuple[TrialLine, ...]


@dataclass(frozen=True, slots=True)
class QuantityLine:
    """Of a line item, in the window: GPUs by what was seen of their load, and nodes that a part could be made of."""

    resource: str
    gpus: int
    gpus_loaded: int
    gpus_idle: int
    gpus_unknown: int
    nodes: int
    nodes_passed: int


@dataclass(frozen=True, slots=True)
class Certificate(Document):
    """What was seen of the acceptance window. `verdict`: that of tests and load together."""

    source: Source
    verdict: str
    window: tuple[str, str]
    window_local: tuple[str, str]
    window_us: int
    load_rule: str
    partial_acceptance: bool
    retest_limit: int
    sides: tuple[str, ...]
    start: Start
    quantities: tuple[QuantityLine, ...]
    trials: tuple[Trial, ...]
    gpus: tuple[LoadLine, ...]
    said: tuple[NoticeLine, ...]
    flags: tuple[str, ...]
    kind: str = "acceptance"


def exactly(number: Fraction) -> str:
    """`199/200`, or `199` where it is whole."""
    return str(number)
