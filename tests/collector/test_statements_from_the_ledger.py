"""What a live statement is settled from: the ledger, the book, and the statements of the periods before."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from collector.api import status
from collector.api.exposition import Exposition
from collector.judging.claimable import Accounts
from collector.judging.live import LiveFleet
from collector.judging.statements import StatementRequest, Statements, load_book, newest_uses
from collector.judging.writer import LedgerWriter
from collector.serving import problems
from collector.storage.store import Store
from tests.collector.building import make_store, opened
from tests.collector.living import Here
from tests.weighbridge.scripted import SECOND, START_US, Log, ScriptedNode, contract_text
from tests.weighbridge.test_quarantine import POISON, planted
from weighbridge.judge.ledger import State, Use
from weighbridge.log.entries import (
    Assignment,
    CauseNotice,
    EntryKind,
    EventNotice,
    Issued,
    KeyChanged,
    MaintenanceNotice,
    Notice,
    entry,
    payload_type,
)
from weighbridge.settlement.invariants import BrokenInvariantError
from weighbridge.settlement.periods import instant_text
from weighbridge.settlement.results import Result
from weighbridge.settlement.statement import Statement, SwapLine
from weighbridge.settlement.worth import claimable
from weighbridge.verdict import Verdict
from weighbridge.wire.report import encode
from weighbridge.wire.signing import Signer

DAY, HOUR = 86_400, 3600
BEFORE = 1
"""Entries that a new store begins with."""


@dataclass
class Live:
    """Who has judged a log, and what settles beside it."""

    store: Store
    writer: LedgerWriter
    fleet: LiveFleet
    statements: Statements

    def ask(self, period: str, as_of_s: int | None = None) -> "Asked":
        return Asked(self.statements.ask("K1", period, as_of_s), self.store)


@dataclass
class Asked:
    """A request, with the store that it is settled from."""

    request: StatementRequest
    store: Store

    def statement(self) -> Statement:
        return self.request.statement(self.store)

    def bare(self) -> Statement:
        return self.request.bare(self.store)


Settle = Callable[[Log], Live]


def statements_of(store: Store, fleet: LiveFleet) -> Statements:
    return Statements(fleet, load_book(store.log, store.index))


@pytest.fixture
def settle(tmp_path: Path) -> Iterator[Settle]:
    """A log's entries in a store, judged."""
    with ExitStack() as stack:

        def settled(log: Log) -> Live:
            directory = tmp_path / f"store-{len(log.entries)}"
            with opened(make_store(directory)) as store:
                store.log.append(log.leaves)
            store = stack.enter_context(opened(directory))
            writer = LedgerWriter(store)
            while writer.catch_up():
                pass
            fleet = LiveFleet(writer.judgement)
            return Live(store, writer, fleet, statements_of(store, fleet))

        yield settled


def terms(*more: str) -> str:
    return "".join([contract_text().replace("policy: hold", "policy: down"), *more])


RIGHT = (
    "exit_rights: [{objective: gpus, party: lessee, missed: 2, of_periods: 3, remedy: leaves}]\n"
)


def test_a_right_to_leave_looks_back_over_the_periods_of_the_term(settle: Settle) -> None:
    log = Log()
    log.contract(terms(RIGHT))
    log.assign("n1")
    log.tick(100 * DAY)
    statements = settle(log)
    (first,) = statements.ask("2026-10").statement().exits
    assert (first.standing, first.missed, first.open) == ("not_met", ("2026-10",), ())
    (second,) = statements.ask("2026-11").statement().exits
    assert (second.standing, second.missed) == ("met", ("2026-11", "2026-10"))
    third = statements.ask("2026-12").statement()
    assert third.exits[0].missed == ("2026-12", "2026-11", "2026-10")
    assert "exit_right" in third.flags


LIMIT = """\
credits:
  - id: c
    objective: gpus
    kind: tiers
    base: {amount: "1000"}
    tiers: [{at_or_above: "0", below: "0.99", pct: "10"}]
stacking: {rule: sum, limits: [{per: calendar_year, amount: "500"}]}
"""


def test_a_limit_of_a_year_looks_back_over_the_months_of_the_year(settle: Settle) -> None:
    """Each of two GPUs is down for every month: 200 a month, and 500 a year."""
    log = Log()
    log.contract(terms(LIMIT))
    log.assign("n1")
    log.tick(150 * DAY)
    statements = settle(log)
    labels = ("2026-10", "2026-11", "2026-12", "2027-01")
    found = [statements.ask(label).statement() for label in labels]
    assert [one.highest for one in found] == ["200.00", "200.00", "100.00", "200.00"]
    assert [one.limits[0].used[1] for one in found] == ["0.00", "200.00", "400.00", "0.00"]
    assert statements.ask("2026-12").bare().highest == "200.00"


async def test_what_accounts_say_can_be_claimed_is_what_statements_say(
    settle: Settle,
) -> None:
    """Unit by unit, though a limit of the year leaves less of the sum in December."""
    log = Log()
    log.contract(terms(LIMIT, "claim: {required: true, deadline_days: 60}\n"))
    log.assign("n1")
    log.tick(100 * DAY)
    live = settle(log)
    accounts = Accounts(live.statements, Here(live.store), lambda: live.fleet.contracts)
    months = ("2026-10", "2026-11", "2026-12")
    told = [one for label in months for one in claimable(live.ask(label).statement())]
    assert await accounts.claims("K1") == told


def test_an_amendment_of_december_changes_nothing_of_october(settle: Settle) -> None:
    log = Log()
    log.contract(terms())
    log.assign("n1")
    log.tick(10)
    for second in range(0, 100, 10):
        log.report(ScriptedNode(seq=second // 10).report([second]))
    log.tick(40 * DAY)
    before = settle(log).ask("2026-10").statement()
    amended = contract_text(
        version=2, supersedes='supersedes: "1"\n', effective="2026-12-01T00:00:00Z"
    )
    log.contract(amended.replace("time_zone: UTC", "time_zone: Asia/Tokyo"), version=2)
    log.tick(41 * DAY)
    later = settle(log)
    after = later.ask("2026-10").statement()
    assert (after.start, after.end, after.parts) == (before.start, before.end, before.parts)
    changed = later.ask("2026-12").statement()
    assert (changed.start, changed.end) == ("2026-12-01T00:00:00Z", "2026-12-31T15:00:00Z")


def test_an_outage_names_the_entries_of_the_log_that_hold_its_evidence(settle: Settle) -> None:
    log, node = Log(), ScriptedNode()
    log.contract(terms())
    log.assign("n1")
    held: dict[int, int] = {}
    capped = {node.devices[0]: {"power_limit_enforced_milliwatts": 400_000}}
    for second in (*range(0, 60, 10), 590, 600, 610):
        log.tick(second)
        held[second] = len(log.entries) + BEFORE
        log.report(node.report([second], {second: capped if second in (20, 30, 590) else {}}))
    log.tick_through(611, 700)
    log.tick(40 * DAY)
    live = settle(log)
    (part,) = live.ask("2026-10").statement().parts
    lines = {line.unit: line.outages for line in part.units if line.objective == "gpus"}
    (degraded, silent) = lines["n1.0"][:2]
    assert degraded.entries == (held[20], held[40])
    assert silent.entries == (held[50], held[600])
    assert lines["n1.1"][0].entries == (held[50], held[590])
    before = [row for row in live.fleet.unwritten_rows("K1") if row.state is State.UP]
    assert (
        max(row.last_entry or 0 for row in before if row.end_us <= START_US + 50 * SECOND)
        == held[50]
    )
    assert lines["n1.1"][-1].entries == (held[610],) * 2


def test_an_exchanged_node_goes_on_in_its_place_live_and_in_the_statement(settle: Settle) -> None:
    """n1 is released after an hour and n2 assigned; both together are up, but for the time between."""
    log, old, new = Log(), ScriptedNode("n1"), ScriptedNode("n2")
    log.contract(terms())
    log.assign("n1")
    log.tick(0)
    log.introduce()
    log.tick(HOUR)
    log.report(old.report(range(0, HOUR + 1, 10)))
    log.tick(HOUR + 60)
    log.assign("n1", devices=[])
    log.assign("n2")
    log.introduce("n2")
    log.tick(2 * HOUR)
    log.report(new.report(range(HOUR + 60, 2 * HOUR + 1, 10)))
    log.tick(2 * HOUR + 1)
    live = settle(log)
    statement = live.ask("2026-10").statement()
    lines = {unit.unit: unit for unit in statement.parts[0].units if unit.objective == "gpus"}
    assert list(lines) == ["n2.0", "n2.1"]
    assert {unit.seconds["up"] for unit in lines.values()} == {2 * HOUR - 60}
    assert statement.swaps == (
        SwapLine("node_replaced", "2026-10-01T01:01:00Z", "n2", {"new": "n2", "old": "n1"}),
    )
    figure = live.fleet.figures("K1")["gpus"]
    assert figure.seconds == {
        "met": 2 * (2 * HOUR - 60),
        "breached": 0,
        "unknown": 120,
        "excluded": 0,
    }
    assert (figure.low, figure.high) == (1 - Fraction(60, 31 * DAY),) * 2
    rows = live.fleet.unwritten_rows("K1")
    refused = live.writer.take()
    live.writer.written(kept=False)
    batch = live.writer.take()
    assert batch == refused
    assert live.fleet.unwritten_rows("K1") == list(batch.rows) == rows != []
    live.store.ledger.write(*batch)
    live.writer.written(kept=True)
    assert live.fleet.unwritten_rows("K1") == []
    assert live.writer.take().rows == ()
    again = LiveFleet(LedgerWriter(live.store).judgement)
    assert again.figures("K1") == live.fleet.figures("K1")
    assert statements_of(live.store, again).ask("K1", "2026-10").statement(live.store) == statement


def test_use_and_energy_of_a_live_statement_are_what_the_samples_showed(settle: Settle) -> None:
    """Two hours of two GPUs: one draws 300 W and is busy at 90 %, the other idles; the counters say what they took."""
    log, node = Log(), ScriptedNode()
    log.contract(terms())
    log.assign("n1")
    busy, idle = node.devices
    times = range(0, 2 * HOUR + 1, 10)
    told = {
        second: {
            busy: {"energy_millijoules": second * 300_000},
            idle: {
                "energy_millijoules": second * 70_000,
                "power_draw_milliwatts": 70_000,
                "utilization_gpu_percent": 0,
            },
        }
        for second in times
    }
    log.tick(0)
    log.introduce()
    log.tick(2 * HOUR)
    log.report(node.report(times, told))
    log.tick(2 * HOUR + 1)
    live = settle(log)
    line = live.ask("2026-10").statement().parts[0].delivery[0]
    assert line.in_use_gpu_seconds == 2 * HOUR
    assert line.utilization == "0.4500"
    assert line.energy_joules == 2 * HOUR * 370


def use(hour: int, recorded: int, busy: int = 0, chain: str = "a") -> Use:
    return Use("c", "n", chain, hour, hour, hour + 1, 1, 1, 1, 1, busy, 1, 1, recorded)


def test_the_last_sums_of_an_hour_hold_as_known_at_an_instant(settle: Settle) -> None:
    ledger = settle(Log()).store.ledger
    ledger.write([], [], 1, {}, [use(1, 5, 50), use(2, 5), use(1, 5, chain="b")])
    ledger.write([], [], 2, {}, [use(1, 7, 70), use(9, 7)])
    assert list(ledger.uses("c", 1, 9, 6)) == [use(1, 5, 50), use(1, 5, chain="b"), use(2, 5)]
    assert list(ledger.uses("c", 1, 2, 7)) == [use(1, 7, 70), use(1, 5, chain="b")]
    assert list(ledger.uses("other", 0, 99, 99)) == []
    ledger.write([], [], 2, {}, [use(1, 7, 71)])
    assert next(ledger.uses("c", 1, 2, 7)).busy == 71


def test_sums_that_the_ledger_does_not_have_yet_take_the_place_of_earlier_ones() -> None:
    written, due = [use(1, 5, 50), use(2, 5), use(2, 5, chain="b")], [use(3, 7), use(2, 7, 70)]
    assert list(newest_uses(written, due)) == [
        use(1, 5, 50),
        use(2, 7, 70),
        use(2, 5, chain="b"),
        use(3, 7),
    ]


# --- a period on which both sides agree


def spoken(party: str, event: str, **details: str) -> Notice:
    told = {"kind": "event", "event": event, "at_us": START_US, "since_us": None, "unit": ""}
    content = {"contract": "K1", "party": party, "said": told | {"details": details}}
    return Notice.model_validate(content | {"attested_for": "admin"})


CREDITS = """\
credits:
  - {id: c, kind: linear_shortfall, objective: nodes, base: {amount: "1000"}}
evidence: {late: counted}
"""


def month_over(*more: str) -> tuple[Log, int]:
    """A node that was seen for ten seconds of October, which has been over for a day."""
    log, over_s = Log(), 32 * DAY
    log.contract(terms(CREDITS, *more))
    log.assign("n1")
    reporting(log, ScriptedNode(), 0, 10)
    log.tick(over_s)
    return log, over_s


def test_a_period_on_which_both_sides_agree_is_closed_as_they_agreed_on_it(settle: Settle) -> None:
    """A cause that the lessee admits a day later excludes nothing any more: one side's word alone closes nothing."""
    log, now_s = month_over()
    asked = settle(log).ask("2026-10")
    first = asked.statement()
    assert (first.final, first.highest) == (False, "990.00")
    log.add(EntryKind.STATEMENT, issued(asked, first))
    for second, party in ((10, "P"), (20, "L")):
        log.tick(now_s + second)
        log.add(
            EntryKind.NOTICE,
            spoken(party, "period_agreed", period="2026-10", digest=first.digest),
        )
        log.tick(now_s + second + 1)
        now = settle(log).ask("2026-10").statement()
        assert ("period_agreed" in now.flags, now.final) == (party == "L", party == "L")
        assert (now.as_of == first.as_of) is (party == "L")
    log.tick(now_s + 30)
    log.add(EntryKind.NOTICE, spoken("P", "claim_accepted", period="2026-10", amount="900"))
    log.add(EntryKind.NOTICE, spoken("P", "credit_paid", period="2026-10", amount="600.00"))
    log.add(EntryKind.NOTICE, spoken("P", "credit_paid", period="2026-11", amount="7"))
    log.tick(now_s + 9 * DAY)
    settled = settle(log)
    later = settled.ask("2026-10").statement()
    assert (later.parts, later.highest, later.as_of) == (first.parts, first.highest, first.as_of)
    assert [(one.event, one.amount) for one in later.answers] == [
        ("claim_accepted", "900"),
        ("credit_paid", "600.00"),
    ]
    assert (later.paid, later.outstanding) == ("600.00", ("390.00", "390.00"))
    before = settled.ask("2026-10", asked.request.as_of_us // SECOND).statement()
    assert before.json() == first.json()


SILENCE = "confirmation: {silence_days: 3}\n"


def notes_of(statement: Statement) -> dict[str, dict[str, Any]]:
    return {one.code: dict(one.arguments) for one in statement.notes if "silence" in one.code}


@pytest.mark.parametrize(("party", "said_s"), [("P", -1), ("L", -1), ("L", 0), (None, 0)], ids=str)
def test_silence_confirms_a_statement_at_the_end_of_its_days_unless_a_side_objects_before(
    settle: Settle, party: str | None, said_s: int
) -> None:
    log, now_s = month_over(SILENCE)
    asked = settle(log).ask("2026-10")
    first = asked.statement()
    log.add(EntryKind.STATEMENT, issued(asked, first))
    end_s = now_s + 4 * DAY
    log.tick(end_s - 2)
    waiting = settle(log).ask("2026-10").statement()
    until = instant_text(START_US // SECOND + end_s)
    assert notes_of(waiting) == {"silence_confirms": {"digest": first.digest, "at": until}}
    assert "confirmed_by_silence" not in waiting.flags
    log.tick(end_s + said_s)
    if party is not None:
        reason = {"period": "2026-10", "reason": "n1 was up"}
        log.add(EntryKind.NOTICE, spoken(party, "statement_objected", **reason))
    log.tick(end_s + DAY)
    closed = settle(log).ask("2026-10").statement()
    held = said_s < 0
    assert list(notes_of(closed)) == ["silence_broken" if held else "silence_confirmed"]
    assert ("confirmed_by_silence" in closed.flags) is not held
    assert (closed.as_of == first.as_of, closed.final) == (not held, True)


PAYING = """\
pricing: [{unit: fixed_month, price: "1000"}]
payment: {due_days: 5}
deposit: {amount: "500", return_days: 30}
"""


def test_payments_that_the_parties_tell_of_stand_on_the_statement(settle: Settle) -> None:
    """Of a closed period too; what is said of them since a statement was issued is a difference, and nothing else."""
    log, now_s = month_over(PAYING)
    asked = settle(log).ask("2026-10")
    first = asked.statement()
    assert first.payments is not None
    assert first.deposit is not None
    assert first.payments.left == ("10.00", "10.00")  # 1000, less 990 that are set off
    log.add(EntryKind.STATEMENT, issued(asked, first))
    now = first
    for second, party in ((10, "L"), (20, "P")):
        log.tick(now_s + second)
        log.add(EntryKind.NOTICE, spoken(party, "fee_paid", period="2026-10", amount="10.00"))
        log.add(
            EntryKind.NOTICE, spoken(party, "period_agreed", period="2026-10", digest=first.digest)
        )
        log.tick(now_s + second + 1)
        now = settle(log).ask("2026-10").statement()
        assert now.payments is not None
        assert now.payments.left == ("0.00", "10.00" if party == "L" else "0.00")
        assert [one.confirmed for one in now.payments.lines] == [party == "P"]
    paths = [one.arguments["path"] for one in now.notes if one.code == "changed"]
    told = {path[0] for path in paths if isinstance(path, tuple)}
    assert {"payments", "flags", "final"} >= told
    assert "payments" in told


def test_sides_that_agree_on_different_statements_close_nothing(settle: Settle) -> None:
    log, now_s = month_over()
    asked = settle(log).ask("2026-10")
    first = asked.statement()
    log.add(EntryKind.STATEMENT, issued(asked, first))
    for party, digest in (("P", first.digest), ("L", "0" * 64)):
        log.add(EntryKind.NOTICE, spoken(party, "period_agreed", period="2026-10", digest=digest))
    log.tick(now_s + 9)
    assert "period_agreed" not in settle(log).ask("2026-10").statement().flags


def test_a_period_that_is_not_over_is_closed_by_nobody(settle: Settle, hour_under_way: Log) -> None:
    log = hour_under_way
    asked = settle(log).ask("2026-10")
    first = asked.statement()
    log.add(EntryKind.STATEMENT, issued(asked, first))
    for party in ("P", "L"):
        agreed = spoken(party, "period_agreed", period="2026-10", digest=first.digest)
        log.add(EntryKind.NOTICE, agreed)
    log.tick(HOUR // 2 + 9)
    assert "period_agreed" not in settle(log).ask("2026-10").statement().flags


# --- the period under way


def issued(asked: Asked, statement: Statement) -> Issued:
    return Issued(
        contract="K1",
        period=statement.period,
        as_of_us=asked.request.as_of_us,
        engine=statement.engine,
        digest=statement.digest,
        reached=asked.request.reached,
    )


def reporting(log: Log, node: ScriptedNode, first: int, last: int) -> None:
    """A report each ten seconds, after the tick at which it is received."""
    for second in range(first, last + 1, 10):
        log.tick(second)
        log.report(node.report([second]))


def up_s(statement: Statement) -> dict[str, int]:
    return {
        line.unit: line.seconds["up"]
        for line in statement.parts[0].units
        if line.objective == "gpus"
    }


@pytest.fixture
def hour_under_way() -> Log:
    """The node reports to the half of an hour; nothing of it is written down yet."""
    log = Log()
    log.contract(terms())
    log.assign("n1")
    reporting(log, ScriptedNode(), 0, HOUR // 2)
    log.tick(HOUR // 2 + 1)
    return log


def test_a_statement_as_of_the_newest_instant_knows_the_hour_under_way(
    settle: Settle, hour_under_way: Log
) -> None:
    statement = settle(hour_under_way).ask("2026-10").statement()
    assert up_s(statement) == {"n1.0": HOUR // 2, "n1.1": HOUR // 2}
    assert {unit.verdict for unit in statement.parts[0].units} == {"MET"}


def test_what_was_received_after_its_instant_is_not_in_it(
    settle: Settle, hour_under_way: Log
) -> None:
    """The second ends with a tick; what follows in that second is of a later statement."""
    hour_under_way.tick(HOUR // 2 + 5)
    asked = settle(hour_under_way).ask("2026-10")
    hour_under_way.report(ScriptedNode(seq=181).report([HOUR // 2 + 4]))
    more = settle(hour_under_way).ask("2026-10")
    assert more.request.as_of_us == asked.request.as_of_us
    assert more.statement() == asked.statement()


def test_an_issued_statement_is_made_again_to_the_byte_by_whoever_folds_the_log(
    settle: Settle, hour_under_way: Log
) -> None:
    """The hour that was under way is over, and one GPU was lost in it after the statement."""
    log = hour_under_way
    asked = settle(log).ask("2026-10")
    first = asked.statement()
    log.report((node := ScriptedNode(seq=181)).report([HOUR // 2 + 10]))
    log.add(EntryKind.STATEMENT, issued(asked, first))
    node.states[node.devices[0]] = "lost"
    log.tick(HOUR // 2 + 20)
    log.report(node.report([HOUR // 2 + 20], inventory=node.inventory()))
    reporting(log, node, HOUR // 2 + 30, HOUR + 60)
    log.tick(HOUR + 61)
    later = settle(log)
    assert later.ask("2026-10", asked.request.as_of_us // SECOND).statement().json() == first.json()
    now = later.ask("2026-10").statement()
    assert not [note for note in now.notes if note.code == "given_again"]
    batch = later.writer.take()
    later.store.ledger.write(batch.rows, batch.findings, batch.folded, batch.snapshots, batch.uses)
    again = statements_of(later.store, LiveFleet(LedgerWriter(later.store).judgement))
    assert (
        again.ask("K1", "2026-10", asked.request.as_of_us // SECOND).statement(later.store).json()
        == first.json()
    )


class Watching:
    """A witness of the log that says each ten seconds whether it reaches the node."""

    def __init__(self, log: Log) -> None:
        self.log, self.signer = log, Signer(bytes([9] * 32))
        said = {"action": "enrolled", "side": "witness", "secret_hash": None, "reason": ""}
        key = {"key_id": self.signer.key_id, "public_key": self.signer.public_key.hex()}
        log.add(EntryKind.KEY, KeyChanged.model_validate({**said, **key, "node": "berlin"}))
        self.node = ScriptedNode("berlin", gpus=1)
        self.node.identity = {self.node.devices[0]: {"target_node_name": "n1"}}

    def says(self, second: int, reached: int) -> None:
        told = {second: {self.node.devices[0]: {"reached_code": reached}}}
        report = encode(self.node.report([second], told))
        leaf = self.signer.seal(payload_type(EntryKind.REPORT), report)
        self.log.entries.append(entry(len(self.log.entries), leaf))
        self.log.leaves.append(leaf)


def test_what_witnesses_say_of_an_hour_under_way_is_shown_live_and_made_again(
    settle: Settle,
) -> None:
    """Of the time after the outage no row tells yet. Statement, figures and a later fold agree."""
    log, node, gpus = Log(), ScriptedNode(), "unit: gpu, target: "
    text = terms("evidence: {witnesses: [berlin]}\n")
    log.contract(text.replace(gpus, f"up_when: reachable, {gpus}"))
    log.assign("n1")
    watch = Watching(log)
    for second in range(0, 110, 10):
        log.tick(second)
        log.report(node.report([second]))
        watch.says(second, int(second != 40))
    log.tick(101)
    live = settle(log)
    asked = live.ask("2026-10")
    first = asked.statement()
    spent = {one.objective: one.seconds for one in first.parts[0].units if one.unit == "n1.0"}
    assert (spent["gpus"]["up"], spent["gpus"]["down"]) == (90, 10)
    (reach,) = first.parts[0].reach
    assert (reach.reached_seconds, reach.unreached_seconds, reach.unknown_seconds) == (90, 10, 0)
    assert reach.witnesses == {"berlin": (90, 10)}
    figure = live.fleet.figures("K1")["gpus"]
    assert figure.seconds == {"met": 180, "breached": 20, "unknown": 0, "excluded": 0}
    log.add(EntryKind.STATEMENT, issued(asked, first))
    for second in range(110, 2 * HOUR, 10):
        log.tick(second)
        log.report(node.report([second]))
        watch.says(second, 1)
    later = settle(log)
    again = later.ask("2026-10", asked.request.as_of_us // SECOND).statement()
    assert again.json() == first.json()
    batch = later.writer.take()
    later.store.ledger.write(batch.rows, batch.findings, batch.folded, batch.snapshots, batch.uses)
    anew = statements_of(later.store, LiveFleet(LedgerWriter(later.store).judgement))
    assert (
        anew.ask("K1", "2026-10", asked.request.as_of_us // SECOND).statement(later.store).json()
        == first.json()
    )


def test_as_of_an_instant_at_which_none_was_issued_what_was_written_counts(
    settle: Settle, hour_under_way: Log
) -> None:
    reporting(hour_under_way, ScriptedNode(seq=181), HOUR // 2 + 10, HOUR + 60)
    hour_under_way.tick(HOUR + 61)
    live = settle(hour_under_way)
    assert set(up_s(live.ask("2026-10", START_US // SECOND + HOUR // 2).statement()).values()) == {
        0
    }


# --- time that is not judged


def unjudged(last: int, poison: int, until: int) -> Log:
    """The node reports for ten minutes up to an instant at which the judge fails."""
    log, node = Log(), ScriptedNode()
    log.contract(terms())
    log.assign("n1")
    reporting(log, node, poison - 600, poison - 10)
    log.tick(poison)
    hot = {poison: {node.devices[0]: {"temperature_gpu_celsius": POISON}}}
    log.report(node.report([poison], hot))
    reporting(log, node, poison + 10, last)
    log.tick(until)
    return log


def held_s(statement: Statement) -> set[Fraction]:
    """Of each GPU, by how many seconds that have passed the two readings of its availability differ."""
    lines = [line for line in statement.parts[0].units if line.objective == "gpus"]
    worst, best = (
        [Fraction(line.availability_fraction[side]) * sum(line.seconds.values()) for line in lines]
        for side in (0, 1)
    )
    to_come = [line.seconds.get("to_come", 0) for line in lines]
    return {high - low - rest for low, high, rest in zip(worst, best, to_come, strict=True)}


def test_time_that_is_not_judged_and_not_written_yet_is_held_live_and_in_a_statement(
    settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(monkeypatch)
    log = unjudged(last=900, poison=600, until=901)
    live = settle(log)
    asked = live.ask("2026-10")
    first = asked.statement()
    assert held_s(first) == {310}
    same(live)
    log.add(EntryKind.STATEMENT, issued(asked, first))
    log.tick(2000)
    later = settle(log)
    again = later.ask("2026-10", asked.request.as_of_us // SECOND)
    assert again.statement().json() == first.json()


def test_it_is_held_to_the_end_of_a_period_that_has_just_ended(
    settle: Settle, monkeypatch: pytest.MonkeyPatch
) -> None:
    planted(monkeypatch)
    end = 31 * DAY
    log = unjudged(last=end - 10, poison=end - 300, until=end + 61)
    assert held_s(settle(log).ask("2026-10").statement()) == {310}


# --- live figures


def said(what: MaintenanceNotice | CauseNotice | EventNotice, party: str = "L") -> Notice:
    return Notice(contract="K1", party=party, said=what, attested_for=party)


def same(live: Live, label: str = "2026-10") -> None:
    """What is shown live is what the statement says."""
    statement = live.ask(label).statement()
    figures = live.fleet.figures("K1")
    assert figures.keys() == {unit.objective for part in statement.parts for unit in part.units}
    for name, figure in figures.items():
        lines = [unit for part in statement.parts for unit in part.units if unit.objective == name]
        shown = [
            (
                one.measure.unit,
                one.verdict.name,
                one.measure.to_come_s,
                *(f"{share.numerator}/{share.denominator}" for share in shares(one)),
            )
            for one in figure.results
        ]
        told = [
            (line.unit, line.verdict, line.seconds.get("to_come", 0), *line.availability_fraction)
            for line in lines
        ]
        assert shown == told
        seconds = [sum(line.seconds.values()) - line.seconds.get("to_come", 0) for line in lines]
        assert sum(figure.seconds.values()) == sum(seconds)
        assert figure.seconds["met"] == sum(line.seconds["up"] for line in lines)


def shares(one: Result) -> tuple[Fraction, Fraction]:
    return one.worst.outcome.availability, one.best.outcome.availability


TWO_ITEMS = '  - {id: a100, accelerator: {sku: H100-SXM-80GB}, per_node: "2", nodes: "1", floors: {ecc: "on"}}\n'


def test_a_line_item_is_not_blamed_for_anothers_outage(settle: Settle) -> None:
    text = terms().replace("availability:\n", TWO_ITEMS + "availability:\n", 1)
    text = text.replace("{id: gpus, unit: gpu,", "{id: gpus, unit: gpu, resource: h100,")
    text = text.replace("{id: nodes, unit: node,", "{id: nodes, unit: node, resource: a100,")
    log = Log()
    log.contract(text)
    for name, item in (("n1", "h100"), ("n2", "a100")):
        log.add(
            EntryKind.ASSIGNMENT, Assignment(contract="K1", node=name, devices=None, resource=item)
        )
    reporting(log, ScriptedNode("n1"), 0, 60)
    log.tick(62)
    live = settle(log)
    figures = live.fleet.figures("K1")
    assert (figures["gpus"].verdict.name, figures["gpus"].seconds["met"]) == ("MET", 120)
    assert figures["nodes"].verdict is Verdict.UNKNOWN
    same(live)


def test_before_the_start_of_service_nothing_is_judged_live(settle: Settle) -> None:
    """The lessee signs after an hour in which half of the node was down."""
    log, node = Log(), ScriptedNode()
    log.contract(terms())
    log.assign("n1")
    node.states[node.devices[0]] = "lost"
    reporting(log, node, 0, 60)
    log.tick(70)
    signed = EventNotice(
        kind="event",
        event="acceptance_signed",
        at_us=START_US + 65 * SECOND,
        since_us=None,
        unit="",
        details={},
    )
    log.add(EntryKind.NOTICE, said(signed))
    log.tick(72)
    live = settle(log)
    figure = live.fleet.figures("K1")["gpus"]
    assert figure.seconds["breached"] == 0
    same(live)


def test_maintenance_and_an_agreed_cause_count_live_as_in_the_statement(settle: Settle) -> None:
    more = 'maintenance: {min_notice_s: "0"}\nexclusions: {causes: [{code: lessee_fault}]}\n'
    log, node = Log(), ScriptedNode()
    log.contract(terms(more))
    log.assign("n1")
    log.tick(0)
    start = START_US
    window = MaintenanceNotice(
        kind="maintenance",
        id="w",
        from_us=start + 100 * SECOND,
        until_us=start + 200 * SECOND,
        units=[],
    )
    log.add(EntryKind.NOTICE, said(window, "P"))
    node.states[node.devices[0]] = "lost"
    reporting(log, node, 0, 400)
    log.tick(402)
    live = settle(log)
    figure = live.fleet.figures("K1")["gpus"]
    assert (figure.seconds["excluded"], figure.seconds["breached"]) == (200, 300)
    same(live)
    cause = CauseNotice(
        kind="cause",
        unit="n1.0",
        from_us=start + 300 * SECOND,
        until_us=start + 400 * SECOND,
        code="lessee_fault",
    )
    log.add(EntryKind.NOTICE, said(cause))
    log.tick(404)
    live = settle(log)
    figure = live.fleet.figures("K1")["gpus"]
    assert (figure.seconds["excluded"], figure.seconds["breached"]) == (300, 200)
    same(live)


def test_an_objective_that_an_amendment_drops_is_shown_as_long_as_its_period_is_under_way(
    settle: Settle,
) -> None:
    """It was breached while it held: silence is down, and lasted for a day."""
    dropped = '  - {id: nodes, unit: node, target: "0.99"}\n'
    log = Log()
    log.contract(terms())
    log.assign("n1")
    reporting(log, ScriptedNode(), 0, 60)
    log.tick_through(61, 200)
    log.tick(DAY)
    amended = terms().replace(dropped, '  - {id: more, unit: gpu, target: "0.5"}\n')
    amended = amended.replace('version: "1"', 'version: "2"\nsupersedes: "1"')
    log.contract(amended.replace("effective: 2026-10-01", "effective: 2026-10-03"), version=2)
    for now in (DAY + 10, 5 * DAY):
        log.tick(now)
        live = settle(log)
        assert live.fleet.figures("K1")["nodes"].verdict is Verdict.BREACHED
        same(live)
        shown = status.contract(live.fleet, "K1")["objectives"]
        assert {row["objective"]: row["verdict"] for row in shown}["nodes"] == "breached"
    log.tick(31 * DAY + 10)
    assert settle(log).fleet.figures("K1").keys() == {"gpus", "more"}


async def test_an_outage_that_breaks_a_promise_alone_is_a_breach_live_and_in_metrics(
    settle: Settle,
) -> None:
    """The share of the month is met by far."""
    credit = '{id: long, objective: gpus, kind: per_event, longer_than_s: "60", amount: "11"}'
    log, node = Log(), ScriptedNode()
    log.contract(terms(f"credits: [{credit}]\n"))
    log.assign("n1")
    reporting(log, node, 0, 90)
    log.tick_through(100, 240)
    reporting(log, node, 250, 300)
    log.tick(302)
    live = settle(log)
    figure = live.fleet.figures("K1")["gpus"]
    assert figure.low > figure.target
    assert figure.verdict is Verdict.BREACHED
    same(live)
    name = 'weighbridge_contract_objective_verdict{contract="K1",objective="gpus",verdict='
    (line,) = re.findall(f"{re.escape(name)}.*", await Exposition(live.fleet, list).contracts())
    assert line == f'{name}"breached"}} 1'


@pytest.mark.parametrize("fault", ["none", "foreign_process", "power_capped", "lost"])
def test_healthy_is_one_number_live_and_in_the_statement(settle: Settle, fault: str) -> None:
    """A finding makes a GPU unhealthy only where its check says that it is down or degraded by it."""
    log, node = Log(), ScriptedNode()
    log.contract(terms())
    log.assign("n1")
    device = node.devices[0]
    if fault == "lost":
        node.states[device] = fault
    capped = (
        {device: {"power_limit_enforced_milliwatts": 400_000}} if fault == "power_capped" else {}
    )
    owners = ("a", "b") if fault == "foreign_process" else ("a",)
    processes = [
        {
            "boottime_us": 1,
            "class": "container",
            "device": device,
            "memory_bytes": 1,
            "owner": owner,
        }
        for owner in owners
    ]
    for second in range(0, 70, 10):
        log.tick(second)
        log.report(node.report([second], {second: capped}, processes=processes))
    log.tick(62)
    live = settle(log)
    assert {finding.code for finding in live.fleet.findings("K1")} - {"under_reported"} == (
        set() if fault == "none" else {fault.replace("lost", "gpu_lost")}
    )
    line = live.ask("2026-10").statement().parts[0].delivery[0]
    healthy = {"none": 2, "foreign_process": 2, "power_capped": 1, "lost": 1}[fault]
    assert live.fleet.counts("K1").healthy == healthy
    assert line.healthy_gpu_seconds == healthy * 60


# --- a statement that contradicts itself


async def test_the_answer_to_a_statement_that_contradicts_itself_is_a_problem_of_the_collector() -> (
    None
):
    async def handler(_: web.Request) -> web.StreamResponse:
        raise BrokenInvariantError("K1", "2026-10", "low <= high", ("gpus", "n1.0"), {"low": 2})

    response = await problems(make_mocked_request("GET", "/v1/contracts/K1/statement"), handler)
    assert isinstance(response, web.Response)
    told = json.loads(response.text or "")
    assert (response.status, told["code"]) == (500, "internal")
    assert told["detail"] == "K1 2026-10 gpus n1.0: low <= high does not hold: low 2"
