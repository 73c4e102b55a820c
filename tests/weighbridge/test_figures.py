"""Live figures and statements are one: for any rows and notices, at the period's end and at every instant before."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.judging.current_figures import Joined
from tests.weighbridge.scripted import SECOND, START_US, contract_text
from weighbridge.contract import load
from weighbridge.judge.assignments import Version
from weighbridge.judge.ledger import HOUR_US, Row, State, Use
from weighbridge.judge.slot_history import Holder
from weighbridge.judge.two_sides import OF_LESSEE
from weighbridge.log.entries import CauseNotice, EventNotice, MaintenanceNotice, Notice
from weighbridge.notices.book import ContractRecord, LoggedNotice
from weighbridge.settlement.draft import statement_of
from weighbridge.settlement.figures import Figure, figures
from weighbridge.settlement.periods import calendar_month
from weighbridge.settlement.statement import Statement, UnitLine
from weighbridge.verdict import Verdict

OCTOBER = calendar_month("2026-10", "UTC")
HOURS = OCTOBER.seconds // 3600
SLOTS = [("n1", 0), ("n1", 1), ("n2", 0), ("n2", 1)]
ITEM = """\
  - {id: a100, accelerator: {sku: H100-SXM-80GB}, per_node: "2", nodes: "2"}
"""
CAUSES = {State.DOWN: "gpu_lost", State.DEGRADED: "power_capped", State.UNKNOWN: "silent"}
OBJECTIVES = {
    "gpus": '{id: gpus, unit: gpu, target: "TARGET", MORE}',
    "nodes": '{id: nodes, unit: node, resource: h100, target: "0.95", up_when: not_throttled}',
    "fleet": '{id: fleet, unit: gpu, scope: pooled, target: "0.98", denominator: period_minus_excluded}',
}
EXTRA = """\
maintenance: {min_notice_s: "0", max_s_per_period: "36000"}
exclusions: {causes: [{code: lessee_fault}]}
"""


@dataclass(frozen=True)
class World:
    known: ContractRecord
    rows: tuple[Row, ...]
    uses: tuple[Use, ...]
    seen_h: int
    """Nothing came after this hour."""

    def figures(self, hour: int) -> dict[str, Figure]:
        """From rows that were joined as they came."""
        joined = Joined(0, self.known.newest.evidence.least_coverage)
        for row in sorted(self.rows, key=lambda row: row.recorded_us):
            joined.add(row)
        for use in self.uses:
            joined.take_in(use)
        thin = joined.thin.values()
        case = self.known.case(joined.every(), OCTOBER, instant_us(hour), thin)
        return dict(figures(case, OBJECTIVES))

    def statement(self, hour: int) -> Statement:
        return statement_of(self.known.case(self.rows, OCTOBER, instant_us(hour), self.uses))


def instant_us(hour: int) -> int:
    return START_US + hour * 3600 * SECOND


def text_of(draw: st.DrawFn, version: int) -> str:
    choice = st.sampled_from
    more = draw(choice(['first_n_s: "7200"', "degraded: up", "counting: {granularity: second}"]))
    head, _, tail = contract_text(version=version).partition("availability:\n")
    _, _, rest = tail.partition("unknown:")
    policy = draw(choice(["hold", "down", "up", "excluded"]))
    if version == 2:
        head = head.replace("effective: 2026-10-01", 'supersedes: "1"\neffective: 2026-10-11')
        head = head.replace('version: "1"', 'version: "2"')
    left_out = draw(choice(["", *OBJECTIVES]))
    promises = [f"  - {text}\n" for name, text in OBJECTIVES.items() if name != left_out]
    target = draw(choice(["0.99", "0.9", "0.5"]))
    body = "".join(["availability:\n", *promises, EXTRA])
    body = body.replace("MORE", more).replace("TARGET", target)
    contradicted = draw(choice(["held", "provider_bears", "lessee_bears"]))
    late = draw(choice(["counted", "held", "refused"]))
    thin = draw(choice(["noted", "held", "unknown"]))
    said = f"contradicted: {contradicted}, below_coverage: {thin}, late: {late}"
    body += f"evidence: {{{said}}}\n"
    return head + ITEM + body + "unknown:" + rest.replace("policy: hold", f"policy: {policy}")


def versions_of(draw: st.DrawFn) -> tuple[Version, ...]:
    """One version, or two: the second from the eleventh of the month on."""
    end_us, from_us = instant_us(8760), instant_us(240)
    texts = [text_of(draw, number) for number in range(1, draw(st.integers(1, 2)) + 1)]
    first = Version(load(texts[0]), texts[0], START_US, end_us if len(texts) == 1 else from_us)
    return (first, *(Version(load(text), text, from_us, end_us) for text in texts[1:]))


def pieces(draw: st.DrawFn, node: str, slot: int, seen_h: int, chain: str) -> list[Row]:
    """From a first hour on up to a last one, which need not be the newest."""
    rows: list[Row] = []
    hour = draw(st.integers(0, 5))
    while hour < seen_h:
        state = draw(st.sampled_from([State.UP, State.UP, *CAUSES]))
        end = min(seen_h, hour + draw(st.sampled_from([1, 20, 300])))
        start_us, end_us = instant_us(hour), instant_us(end)
        device, cause = f"{node}-{slot}", CAUSES.get(state, "")
        if state is State.UP and not draw(st.integers(0, 3)):
            device, cause = f"{node}-other", "device_exchanged"
        if draw(st.integers(0, 5)):
            late = draw(st.integers(0, 3)) == 0
            said = (start_us, end_us, state, cause, end_us)
            rows.append(Row("K1", node, slot, device, chain, *said, late=late))
        hour = end
    return rows[: draw(st.integers(max(0, len(rows) - 2), len(rows)))]


def notices(draw: st.DrawFn, seen_h: int) -> list[LoggedNotice]:
    found: list[tuple[str, MaintenanceNotice | CauseNotice | EventNotice]] = []
    start = draw(st.integers(0, HOURS - 1))
    span = {"from_us": instant_us(start), "until_us": instant_us(start + 9)}
    if draw(st.booleans()):
        units = draw(st.sampled_from([[], ["n1"], ["n2.0"]]))
        found.append(("P", MaintenanceNotice(kind="maintenance", id="w", units=units, **span)))
    if draw(st.booleans()):
        unit = draw(st.sampled_from(["", "n1", "n1.1"]))
        code = draw(st.sampled_from(["lessee_fault", "power_capped"]))
        found.append(("L", CauseNotice(kind="cause", unit=unit, code=code, **span)))
    if draw(st.booleans()):
        at_us = instant_us(draw(st.integers(0, seen_h)))
        signed = EventNotice(
            kind="event", event="acceptance_signed", at_us=at_us, since_us=None, unit="", details={}
        )
        found.append(("L", signed))
    if draw(st.booleans()):
        at_us, new = instant_us(0), {"new": "n1-other"}
        replaced = EventNotice(
            kind="event", event="gpu_replaced", at_us=at_us, since_us=None, unit="n1", details=new
        )
        found.append(("P", replaced))
    return [
        LoggedNotice(
            Notice(contract="K1", party=who, said=what, attested_for=who), place, START_US, "k"
        )
        for place, (who, what) in enumerate(found)
    ]


@st.composite
def worlds(draw: st.DrawFn) -> World:
    seen_h = draw(st.integers(1, HOURS))
    chains = draw(st.sampled_from([["c"], ["c", f"c{OF_LESSEE}"]]))
    rows = [
        row
        for node, slot in SLOTS
        for chain in (chains if node == "n1" else chains[:1])
        for row in pieces(draw, node, slot, seen_h, chain)
    ]
    holders = (Holder("n1", "h100", 0), Holder("n2", "a100", 0))
    known = ContractRecord(versions_of(draw), holders, notices(draw, seen_h))
    return World(known, tuple(rows), tuple(uses_of(draw, rows)), seen_h)


def uses_of(draw: st.DrawFn, rows: list[Row]) -> Iterator[Use]:
    """Of the first hour of some rows, as well sampled as it may be."""
    hours = {(row.start_us, row.node, row.chain): row.recorded_us for row in rows}
    for (hour_us, node, chain), recorded_us in sorted(hours.items()):
        sampled = draw(st.sampled_from([10, 10, 9, 3]))
        read = (hour_us, hour_us, hour_us + HOUR_US, 10, 0, 0, 0, 0, 0, 0, recorded_us, sampled)
        yield Use("K1", node, chain, *read)


Shown = tuple[str, str, str, str, int]


def of_figure(figure: Figure) -> list[Shown]:
    def text(share: Fraction) -> str:
        return f"{share.numerator}/{share.denominator}"

    return [
        (
            one.measure.unit,
            one.verdict.name,
            text(one.worst.outcome.availability),
            text(one.best.outcome.availability),
            one.measure.service_s - one.measure.to_come_s,
        )
        for one in figure.results
    ]


def lines_of(statement: Statement, objective: str) -> list[UnitLine]:
    return [line for part in statement.parts for line in part.units if line.objective == objective]


@settings(max_examples=40, deadline=None)
@given(worlds(), st.data())
def test_live_figures_are_the_statements_and_what_is_breached_stays_so(
    world: World, data: st.DataObject
) -> None:
    hours = sorted(
        {world.seen_h, *data.draw(st.lists(st.integers(world.seen_h, HOURS), max_size=3)), HOURS}
    )
    missed: set[str] = set()
    for hour in hours:
        statement, live = world.statement(hour), world.figures(hour)
        assert live.keys() == {line.objective for part in statement.parts for line in part.units}
        for name, figure in live.items():
            lines = lines_of(statement, name)
            shown = of_figure(figure)
            assert [one[:4] for one in shown] == [
                (line.unit, line.verdict, *line.availability_fraction) for line in lines
            ]
            assert figure.low <= figure.high
            missed_at = [
                any(
                    Fraction(line.availability_fraction[at]) < Fraction(line.target)
                    for line in lines
                )
                for at in (0, 1)
            ]
            assert (figure.high < figure.target) == missed_at[1]
            assert (figure.low < figure.target) == missed_at[0]
            if name != "fleet":
                gone = [
                    sum(line.seconds.values()) - line.seconds.get("to_come", 0) for line in lines
                ]
                assert [one[4] for one in shown] == gone
                assert sum(figure.seconds.values()) == sum(gone)
                assert figure.seconds["excluded"] == sum(line.seconds["excluded"] for line in lines)
        breached = {name for name, figure in live.items() if figure.verdict is Verdict.BREACHED}
        assert missed <= breached
        missed = breached
    whole = world.statement(HOURS)
    assert all("to_come" not in line.seconds for line in lines_of(whole, "gpus"))
