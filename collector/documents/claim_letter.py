"""The letter that claims a period's credits, and the list of evidence that goes with it."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from collector.documents.words import value_of
from weighbridge.contract import loaded
from weighbridge.settlement.statement import SO_FAR, Statement, UnitLine, versions
from weighbridge.settlement.worth import claimable
from weighbridge.verdict import Verdict

HELD = (
    "\nSome time is still to come, or is unknown and held by the contract:"
    "\nthe amounts are the most that can be owed, as the attached statement shows line by line."
)


def letter(statement: Statement, contract_text: str, head: Mapping[str, Any]) -> str:
    """Plain text, to be signed and sent. `head`: the log's, as `/v1/log/head` answers."""
    return "\n".join(_letter(statement, contract_text, head)) + "\n"


def _letter(statement: Statement, contract_text: str, head: Mapping[str, Any]) -> Iterator[str]:
    parties = {party.role: party.name for party in loaded(contract_text).parties}
    if statement.simulated:
        yield "SIMULATED: nothing below was measured on real hardware.\n"
    yield f"From: {parties['lessee']}"
    yield f"To:   {parties['provider']}"
    yield f"\nClaim for service credits: contract {statement.contract}, period {statement.period}"
    yield f"{statement.local_start} to {statement.local_end} ({statement.time_zone})\n"
    due = claimable(statement)
    if not due:
        yield "In this period no credit was earned."
    for one in due:
        until = f", to be claimed before {one.deadline}" if one.deadline else ""
        yield f"  {one.unit}: {one.amount} {one.currency} ({one.standing}{until})"
    if due and _held(statement):
        yield HELD
    for unit in _breached(statement):
        share = " to ".join(dict.fromkeys(unit.availability_fraction))
        yield f"\n{unit.objective} / {unit.unit}: {share} of the time, {unit.target} promised"
        for outage in unit.outages:
            causes = ", ".join(f"{one.state} {one.cause}".rstrip() for one in outage.causes)
            yield f"  {outage.start} to {outage.end}: {outage.seconds_in_period} s, {causes}"
    kind = "final" if statement.final else "provisional"
    yield f"\nAttached is the {kind} statement as of {statement.as_of}, SHA-256 {statement.digest},"
    yield f"made by {statement.engine} from what {value_of(versions(statement)['judge'], 'en')} judged;"
    yield f"digest of the inputs: {statement.inputs_digest}."
    yield f"The evidence is in the log under this head:\n\n{head['head']}"
    yield "\nDate, name, signature:\n"


def evidence(statement: Statement, head: Mapping[str, Any]) -> dict[str, Any]:
    """What the claim rests on, for programs."""
    return {
        "statement": {"sha256": statement.digest, "as_of": statement.as_of},
        "made_by": {"engine": statement.engine} | asdict(statement.judged),
        "inputs_digest": statement.inputs_digest,
        "log": {"head": head["head"], "log_key": head["log_key"]},
        "notices": [asdict(note) for note in statement.notes if note.code == "notice"],
        "outages": [
            {
                "objective": unit.objective,
                "unit": unit.unit,
                "from": outage.start,
                "until": outage.end,
            }
            | {"seconds": outage.seconds_in_period, "causes": list(map(asdict, outage.causes))}
            for unit in _breached(statement)
            for outage in unit.outages
        ],
    }


def _held(statement: Statement) -> bool:
    """Whether some credit hangs on time that nobody knows of, or that is to come."""
    lines = [line for part in statement.parts for unit in part.units for line in unit.credits]
    lines += [line for part in statement.parts for line in part.others]
    return any(line.lowest != line.highest for line in lines)


def _breached(statement: Statement) -> list[UnitLine]:
    return [
        unit
        for part in statement.parts
        for unit in part.units
        if unit.verdict not in (Verdict.MET.name, SO_FAR)
    ]
