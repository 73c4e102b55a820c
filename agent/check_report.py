"""What `check` found, as it is printed for programs. Its JSON schema is kept as `docs/check.schema.json`."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, TypeAlias

from pydantic import Field

from weighbridge.catalogue.findings import Meaning, meaning, reason_said
from weighbridge.contract import Bound
from weighbridge.judge.checks import CHECKS, Answer, Check, Promise
from weighbridge.judge.checks.bounds import describe, holds
from weighbridge.judge.checks.presence import uncounted
from weighbridge.judge.findings import answers_for
from weighbridge.judge.latest_readings import LatestReadings
from weighbridge.judge.track import busy
from weighbridge.verdict import WORST_FIRST, Verdict, worst
from weighbridge.wire.driver_words import uncounted_in_words
from weighbridge.wire.report import Model

Word: TypeAlias = Literal["met", "unknown", "breached"]
Severity: TypeAlias = Literal["info", "warning", "error"]
Judged = tuple[Check, Answer]
LINE = 80
"""Characters that the verdict has."""


class NextStep(Model):
    """One thing to do. The code is stable, its words are not."""

    code: str
    says: str


class Answered(Model):
    """What one check says of one GPU, or of the node."""

    check: str
    severity: Severity
    device: str = Field(description="A UUID; empty for the node as a whole.")
    verdict: Word
    expected: str
    observed: str
    reason: str | None = Field(description="What was observed, in words, where it is a reason.")


class CheckResult(Model):
    """What one check says altogether."""

    check: str
    verdict: Word = Field(description="The worst of its answers.")
    met: int
    unknown: int
    breached: int
    answerable: str = Field(
        description="provider, lessee, collector, nobody or open; open where it could not see."
    )
    means: str
    cannot_see: str
    innocent: str | None = Field(description="Of a signal: how it comes about without a fault.")
    steps: list[NextStep] = Field(description="What to do, in order; empty where all is met.")


class BoundSeen(Model):
    """One look at a bound. It is judged by full hours, so this is no part of the verdict."""

    bound: str
    reading: str
    read: int = Field(description="GPUs that tell the reading, and are busy where that is asked.")
    within: int = Field(description="Those of them that lie within the bound now.")
    gpus: int = Field(description="GPUs that the contract holds here.")


class DriverReason(Model):
    """Why the driver counted no GPUs."""

    code: str
    says: str


class CheckReport(Model):
    """One look at one node against one line item of its contract."""

    format: Literal["weighbridge-agent check 1"] = "weighbridge-agent check 1"
    contract: str
    version: int
    resource: str
    verdict: Word = Field(description="The worst of all answers; unknown where there are none.")
    summary: str = Field(description="The verdict in one line of at most 80 characters.")
    driver: DriverReason | None
    checks: list[CheckResult] = Field(description="Worst first; those that had something to say.")
    answers: list[Answered] = Field(description="Worst first.")
    bounds: list[BoundSeen]
    silent: list[str] = Field(
        description="Checks without an answer: not promised, or judged over time."
    )


def report(promise: Promise, view: LatestReadings, answers: Sequence[Judged]) -> CheckReport:
    """All of it, worst first."""
    ranked = sorted(answers, key=lambda judged: WORST_FIRST.index(judged[1].verdict))
    by_check: dict[str, list[Judged]] = {}
    for judged in ranked:
        by_check.setdefault(judged[0].code, []).append(judged)
    return CheckReport(
        contract=promise.contract,
        version=promise.version,
        resource=promise.resource.id,
        verdict=overall(answers).value,
        summary=_summary(by_check),
        driver=_driver(view),
        checks=[_result(*told[0], told) for told in by_check.values()],
        answers=[_answered(*judged) for judged in ranked],
        bounds=[_bound(bound, promise, view) for bound in promise.resource.bounds],
        silent=[check.code for check in CHECKS if check.code not in by_check],
    )


def overall(answers: Iterable[Judged]) -> Verdict:
    """The worst verdict of these answers; UNKNOWN where there are none."""
    return worst((answer.verdict for _, answer in answers), empty=Verdict.UNKNOWN)


def as_json(found: CheckReport) -> str:
    """For programs."""
    return json.dumps(found.model_dump(), indent=1)


def schema() -> str:
    """The JSON schema of `as_json`."""
    described: dict[str, Any] = CheckReport.model_json_schema(mode="serialization")
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema"}
    return json.dumps(head | described, indent=1, sort_keys=True) + "\n"


def _summary(by_check: dict[str, list[Judged]]) -> str:
    """The verdict and what is wrong. As many codes as the line holds are named, the others counted."""
    codes: dict[Verdict, list[str]] = {verdict: [] for verdict in WORST_FIRST}
    for code, told in by_check.items():
        codes[told[0][1].verdict].append(code)
    if not by_check:
        return f"{Verdict.UNKNOWN}: no check had anything to say"
    wrong = [(verdict, codes[verdict]) for verdict in WORST_FIRST[:-1] if codes[verdict]]
    if not wrong:
        return f"{Verdict.MET}: {len(by_check)} checks, {sum(map(len, by_check.values()))} answers"
    lines = (
        "; ".join(f"{verdict}: {_some(named, shown)}" for verdict, named in wrong)
        for shown in range(len(by_check), -1, -1)
    )
    return next(line for line in lines if len(line) <= LINE)


def _some(codes: Sequence[str], shown: int) -> str:
    left = len(codes) - shown
    if left <= 0:
        return ", ".join(codes)
    return f"{', '.join(codes[:shown])} and {left} more" if shown else f"{len(codes)} checks"


def _driver(view: LatestReadings) -> DriverReason | None:
    reason = uncounted(view)
    if reason is None:
        return None
    return DriverReason(code=reason, says=uncounted_in_words(view.driver) or reason)


def _said(observed: str) -> str | None:
    said = reason_said(observed)
    return None if said is None else said.en


def _result(check: Check, worst_answer: Answer, told: Sequence[Judged]) -> CheckResult:
    verdicts = [answer.verdict for _, answer in told]
    row = _meaning(check.code)
    return CheckResult(
        check=check.code,
        verdict=worst_answer.verdict.value,
        met=verdicts.count(Verdict.MET),
        unknown=verdicts.count(Verdict.UNKNOWN),
        breached=verdicts.count(Verdict.BREACHED),
        answerable=answers_for(check.code, worst_answer.verdict),
        means=row.says(worst_answer.verdict).en,
        cannot_see=row.cannot_see.en,
        innocent=None if row.innocent is None else row.innocent.en,
        steps=list(_steps(row, set(verdicts))),
    )


def _meaning(code: str) -> Meaning:
    row = meaning(code)
    if row is None:
        raise LookupError(f"{code}: no row says what it means")
    return row


def _steps(row: Meaning, verdicts: set[Verdict]) -> Iterator[NextStep]:
    """Those for a breach before those for what could not be seen, each once."""
    ordered = [step for one in WORST_FIRST if one in verdicts for step in row.next_steps(one)]
    for step in dict.fromkeys(ordered):
        yield NextStep(code=step.code, says=step.says.en)


def _answered(check: Check, answer: Answer) -> Answered:
    return Answered(
        check=check.code,
        severity=check.weight(answer.verdict).value,
        device=answer.device,
        verdict=answer.verdict.value,
        expected=answer.expected,
        observed=answer.observed,
        reason=_said(answer.observed),
    )


def _bound(bound: Bound, promise: Promise, view: LatestReadings) -> BoundSeen:
    devices = [device.uuid for device in promise.assigned(view)]
    asked = [one for one in devices if bound.while_ == "always" or busy(view, one)]
    values = [view.value(device, bound.reading) for device in asked]
    read = [value for value in values if isinstance(value, int)]
    return BoundSeen(
        bound=describe(bound),
        reading=bound.reading,
        read=len(read),
        within=sum(holds(bound, value) for value in read),
        gpus=len(devices),
    )
