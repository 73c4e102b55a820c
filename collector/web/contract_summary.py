"""What the first screen of a contract says: what it is worth, what is to be done, who is answerable. Pure.

No figure is made here: amounts, shares, verdicts and deadlines are those of statements.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import quote, urlencode

from collector.api import status
from collector.documents.speaker import Speaker
from collector.documents.spelling import span
from collector.judging.settled import Brief, Told
from collector.web.page_words import finding_name
from weighbridge.contract import Contract, loaded
from weighbridge.contract.scalars import MICROSECONDS, read_instant_us
from weighbridge.judge.ledger import Finding
from weighbridge.settlement.answers import CLOSED, CONFIRMED, REFUSED
from weighbridge.settlement.periods import HOUR_S
from weighbridge.settlement.statement import ClockLine, Statement

FINDINGS_NAMED = 3
STANDINGS = ("automatic", "open", "early", "filed", "lapsed")
PROVIDER, LESSEE = "provider", "lessee"


@dataclass(frozen=True, slots=True)
class ToDo:
    """One thing to do: by which role, what (a key of the words and its values), until when, and where. None: no day."""

    role: str
    key: str
    values: Sequence[str]
    until_us: int | None
    path: str
    letter: str = ""


def contract_path(contract: str, *parts: str, **query: str) -> str:
    """The address of a page of a contract."""
    path = "/".join(("/contracts", quote(contract, safe=""), *parts))
    return f"{path}?{urlencode(query)}" if query else path


def promised(told: Told) -> list[dict[str, Any]]:
    """Each objective of a period, in the form of `status.objective`; `units` by verdict in place of its seconds."""
    kinds = _kinds(told.statement)
    return [
        {
            "objective": one.objective,
            "unit": kinds.get(one.objective, ""),
            "target": one.target,
            "low": one.low,
            "high": one.high,
            "verdict": one.verdict.value,
            "units": {verdict.value: count for verdict, count in one.units.items()},
        }
        for one in told.brief.standings
    ]


def _kinds(statement: Statement) -> Mapping[str, str]:
    versions = (loaded(part.terms) for part in statement.parts)
    return {one.id: one.unit for version in versions for one in version.availability}


def hours(statement: Statement) -> list[tuple[str, int | None]]:
    """The four counts of a period in GPU-hours, all line items together, rounded down; None: not read."""
    lines = [line for part in statement.parts for line in part.delivery]
    used = [line.in_use_gpu_seconds for line in lines if line.in_use_gpu_seconds is not None]
    seconds = {
        "contracted": sum(line.contracted_gpu_seconds for line in lines),
        "reporting": sum(line.reporting_gpu_seconds for line in lines),
        "healthy": sum(line.healthy_gpu_seconds for line in lines),
        "in_use": sum(used) if used else None,
    }
    return [(name, None if count is None else count // HOUR_S) for name, count in seconds.items()]


def money(brief: Brief, speak: Speaker) -> list[tuple[str, str]]:
    """Lines of what a period is worth: a key of the words, and an amount or a range."""
    worth = brief.worth
    low, high = map(_text, worth.earned)
    lines = [("worth_earned", speak.amounts(low, high).text)]
    if worth.at_stake:
        lines.append(("worth_at_stake", _amount(speak, worth.at_stake)))
    lines += [
        (f"worth_{standing}", _amount(speak, worth.by_standing[standing]))
        for standing in STANDINGS
        if worth.by_standing.get(standing)
    ]
    lines.append(("worth_owed", speak.amounts(*worth.owed).text))
    if worth.paid is not None:
        lines.append(("worth_paid", speak.amounts(worth.paid, worth.paid).text))
    if worth.outstanding is not None:
        lines.append(("worth_left", speak.amounts(*worth.outstanding).text))
    if brief.payments is not None:
        lines.append(("worth_fees", speak.amounts(*brief.payments.left).text))
    return lines


def to_do(
    name: str,
    briefs: Iterable[Brief],
    running: Statement | None,
    found: Sequence[Finding],
    speak: Speaker,
) -> list[ToDo]:
    """What runs out first comes first, what has no day last. `name`: of the contract; `found`: open findings, worst
    first."""
    things = [one for brief in briefs for one in _of_period(name, brief, speak)]
    clocks = () if running is None else [line for part in running.parts for line in part.clocks]
    things += [_repair(name, line, speak) for line in clocks if line.end is None]
    things += _of_findings(found, speak)
    return sorted(things, key=lambda one: (one.until_us is None, one.until_us or 0))


def _of_period(contract: str, brief: Brief, speak: Speaker) -> Iterator[ToDo]:
    worth, label = brief.worth, brief.label
    letter = contract_path(contract, "letter", period=label)
    waiting, filed = (worth.by_standing.get(one, Decimal(0)) for one in ("open", "filed"))
    if waiting and _is_time(brief):
        values = (_amount(speak, waiting), label)
        path = notice_path(contract, "claim", label)
        yield ToDo(LESSEE, "do_claim", values, _us(worth.deadline), path, letter)
    if filed and worth.paid is None:
        values = (_amount(speak, filed), label)
        path = notice_path(contract, "claim_accepted", label)
        yield ToDo(PROVIDER, "do_answer", values, None, path, letter)
    elif (
        worth.outstanding is not None
        and REFUSED not in brief.flags
        and any(map(_some, worth.outstanding))
    ):
        values = (speak.amounts(*worth.outstanding).text, label)
        yield ToDo(PROVIDER, "do_settle", values, None, notice_path(contract, "credit_paid", label))
    yield from _to_agree(contract, brief)
    fees = brief.payments
    if fees is not None and any(map(_some, fees.left)):
        values = (label, speak.amounts(*fees.left).text)
        path = notice_path(contract, "fee_paid", label)
        yield ToDo(LESSEE, "do_pay", values, _us(fees.due), path)


def _is_time(brief: Brief) -> bool:
    """Whether its claims are to be made now: it is over, or a deadline runs out before it is."""
    deadline = brief.worth.deadline
    return brief.end <= brief.as_of or (deadline is not None and deadline <= brief.end)


def _to_agree(contract: str, brief: Brief) -> Iterator[ToDo]:
    """Of a statement that was handed out, and is neither agreed on nor objected to."""
    label, silent = brief.label, brief.confirmed
    if brief.issued is None or {CLOSED, CONFIRMED} & set(brief.flags):
        return
    if silent is None:
        yield ToDo(
            LESSEE,
            "do_agree",
            (label,),
            None,
            notice_path(contract, "period_agreed", label, digest=brief.issued),
        )
    elif silent.standing == "waiting":
        path = notice_path(contract, "statement_objected", label, digest=silent.issued.digest)
        yield ToDo(LESSEE, "do_object", (label,), silent.at_us, path)


def _repair(contract: str, line: ClockLine, speak: Speaker) -> ToDo:
    seconds = (line.seconds, line.objective_seconds)
    times = (span(one * MICROSECONDS, speak.language) for one in seconds)
    path = contract_path(contract, "notices", "new", "restored", unit=line.unit)
    return ToDo(PROVIDER, "do_repair", (line.objective, line.unit, *times), None, path)


def _of_findings(found: Sequence[Finding], speak: Speaker) -> Iterator[ToDo]:
    """The first step of each of the worst kinds."""
    kinds = {row.code: row for row in reversed(found) if row.severity.value != "info"}
    worst = [row for row in found if kinds.get(row.code) is row]
    for row in worst[:FINDINGS_NAMED]:
        steps = status.advice(row.code, row.verdict)["steps"]
        if steps:
            said = (finding_name(row.code, speak.language), steps[0][speak.language])
            yield ToDo(row.answerable, "do_finding", said, None, "#findings")


def answerable(
    contract: Contract, found: Iterable[Finding], things: Iterable[ToDo]
) -> list[tuple[str, str, int, int]]:
    """Role, name, open findings and things to do: of the two sides, and of whoever else has any."""
    findings, tasks = Counter(row.answerable for row in found), Counter(one.role for one in things)
    names: dict[str, str] = {one.role: one.name for one in reversed(contract.parties)}
    roles = dict.fromkeys((PROVIDER, LESSEE, *sorted({*findings, *tasks})))
    return [(role, names.get(role, ""), findings[role], tasks[role]) for role in roles]


def notice_path(contract: str, kind: str, period: str, **more: str) -> str:
    """The form that says something about a period."""
    return contract_path(contract, "notices", "new", kind, period=period, **more)


def _us(instant: str | None) -> int | None:
    return None if instant is None else read_instant_us(instant)


def _some(amount: str | None) -> bool:
    return amount is not None and Decimal(amount) > 0


def _amount(speak: Speaker, amount: Decimal) -> str:
    return speak.amounts(_text(amount), _text(amount)).text


def _text(amount: Decimal) -> str:
    return f"{amount:f}"
