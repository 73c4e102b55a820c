"""The forms of notices, from the one description of their fields: labels, hints, choices, and what is wrong."""

import contextlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from collector.documents.spelling import local, offsets
from collector.documents.words import Language
from collector.web.page_words import PAGE, name, say
from collector.web.refusals import reason_in
from weighbridge.contract import Contract
from weighbridge.log.entries import CauseNotice, ClaimNotice, EventNotice, MaintenanceNotice
from weighbridge.notices.fields import FieldRule, Said, Shape, local_instant_us
from weighbridge.notices.rules import WITHDRAWN, NoticeError, NoticeRules
from weighbridge.settlement.answers import ANSWERS
from weighbridge.settlement.periods import periods_within, term_of_s

MOST_CHOICES = 200
MOST_PERIODS = 36
CLOCK = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?")
"""What a browser's own input of a local time takes."""

SELECTED: frozenset[Shape] = frozenset({"cause", "window", "batch"})
"""Of these the contract knows all."""

OF_ALL: frozenset[Shape] = frozenset({"unit", "units", "claimable"})
"""Left empty these mean all, and their hints say so."""

GROUPS: Mapping[str, tuple[str, ...]] = {
    "work": ("maintenance", "maintenance_withdrawn"),
    "faults": (
        "fault_reported",
        "fault_detected",
        "fault_confirmed",
        "fault_identified",
        "answered",
        "gpu_replaced",
        "hardware_replaced",
        "burn_in_passed",
        "restored",
        "spare_swapped",
        "cause",
    ),
    "claims": (
        "claim",
        "claim_accepted",
        "claim_refused",
        "credit_paid",
        "credit_set_off",
        "period_agreed",
        "statement_objected",
    ),
    "delivery": (
        "delivered",
        "first_used",
        "test_result",
        "acceptance_signed",
        "acceptance_refused",
        "batch_accepted",
        "not_delivered",
    ),
    "money": ("fee_paid", "deposit_paid", "deposit_taken", "deposit_returned"),
}
"""How kinds of notices are listed; what is not named here comes last."""


@dataclass(frozen=True, slots=True)
class FormField:
    """A field as its page shows it. `input`: the kind of input; `error` empty: nothing is wrong. `instant_us`: what a
    time that was understood is."""

    name: str
    label: str
    hint: str
    needed: bool
    input: str
    value: str
    choices: Sequence[str]
    error: str
    instant_us: int | None = None


def grouped(kinds: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Kinds under the names of their groups, in the order of these."""
    named = [(group, [kind for kind in of if kind in kinds]) for group, of in GROUPS.items()]
    known = {kind for of in GROUPS.values() for kind in of}
    others = [kind for kind in kinds if kind not in known]
    return [(group, of) for group, of in (*named, ("others", others)) if of]


def answers_to(
    said: Said, waits: bool, kinds: Collection[str], zone: str
) -> Iterator[tuple[str, str]]:
    """What can be said to it, of these kinds, each with the query that fills its form in. `waits`: for the other side
    to say the same."""
    match said:
        case ClaimNotice(period=period, unit=unit):
            found = {key: {"period": period, "unit": unit or ""} for key in ANSWERS}
        case MaintenanceNotice(id=name):
            found = {WITHDRAWN: {"id": name}}
        case CauseNotice() if waits:
            found = {"cause": {"code": said.code, "unit": said.unit, **_local(said, zone)}}
        case EventNotice() if waits:
            found = {said.event: {**said.details, "unit": said.unit, **_local(said, zone)}}
        case _:
            found = {}
    for kind, values in found.items():
        if kind in kinds:
            yield kind, urlencode({name: text for name, text in values.items() if text})


def _local(said: CauseNotice | EventNotice, zone: str) -> dict[str, str]:
    """Its instants under the names of their fields, on the clocks of a zone."""
    found = {name.removesuffix("_us"): us for name, us in said if name.endswith("_us")}
    return {name: local(us, zone).replace(" ", "T") for name, us in found.items() if us is not None}


def said_wrong(error: NoticeError, language: Language) -> str:
    """Why a field, or the whole, is not taken."""
    word = PAGE[f"notice_error.{error.code}"]
    values = {key: _value(key, text, language) for key, text in error.values.items()}
    return (word.en if language == "en" else word.zh).format(**values)


def _value(key: str, text: str, language: Language) -> str:
    """What stands in a reason: roles, fields and reasons in words, all else as it is."""
    match key:
        case "role" | "may":
            return " / ".join(name("role", one, language) for one in text.split(" or "))
        case "missing":
            return " / ".join(name("field", one, language) for one in text.split(" and "))
        case "why":
            return reason_in(text, language)
        case _:
            return text


@dataclass(frozen=True, slots=True)
class NoticeForm:
    """What a kind of notice asks for, of one contract. `periods`: labels, the newest first."""

    rules: NoticeRules
    fields: Sequence[FieldRule]
    language: Language
    periods: Sequence[str]
    digests: Sequence[str]

    def shown(
        self, answers: Mapping[str, str], errors: Mapping[str, NoticeError]
    ) -> Iterator[FormField]:
        """The fields with what was typed, and beside each what is wrong with it."""
        for field in self.fields:
            value, error = answers.get(field.name, ""), errors.get(field.name)
            yield FormField(
                name=field.name,
                label=say(f"field.{field.name}", self.language),
                hint=self._hint(field),
                needed=field.needed,
                input=input_of(field.shape, value),
                value=value,
                choices=self._choices(field.shape, value),
                error="" if error is None else said_wrong(error, self.language),
                instant_us=self._instant_us(field, value),
            )

    def _hint(self, field: FieldRule) -> str:
        optional = not field.needed and field.shape not in OF_ALL
        more = [say("optional", self.language)] if optional else []
        return " · ".join(filter(None, [self._form_of(field), *more]))

    def _form_of(self, field: FieldRule) -> str:
        contract = self.rules.newest
        values = {
            "instant": clocks_of(contract),
            "amount": contract.currency,
            "period": self.periods[0] if self.periods else "2026-10",
        }
        key = f"{field.shape}_hint"
        return (
            say(key, self.language, *filter(None, [values.get(field.shape)])) if key in PAGE else ""
        )

    def _instant_us(self, field: FieldRule, value: str) -> int | None:
        if field.shape != "instant":
            return None
        with contextlib.suppress(NoticeError):
            return local_instant_us(value.strip(), self.rules.newest.time_zone)
        return None

    def _choices(self, shape: Shape, value: str) -> Sequence[str]:
        """Those that the contract knows; of many the first."""
        match shape:
            case "cause":
                versions = (version.contract for version in self.rules.versions)
                found = sorted({one.code for each in versions for one in each.exclusions.causes})
            case "window":
                found = sorted(self.rules.windows)
            case "batch":
                found = sorted(self.rules.batches)
            case "unit" | "claimable":
                found = sorted(self.rules.nodes)[:MOST_CHOICES]
            case "period":
                found = list(self.periods)
            case "digest":
                found = list(self.digests)
            case _:
                return ()
        return [value, *found] if shape in SELECTED and value and value not in found else found


def clocks_of(contract: Contract) -> str:
    """The contract's zone, and how far its clocks are from UTC: `Asia/Shanghai (UTC+08:00)`."""
    zone, (start_s, _) = contract.time_zone, term_of_s(contract)
    return zone if zone == "UTC" else f"{zone} ({offsets(zone, start_s)})"


def input_of(shape: Shape, value: str) -> str:
    """A browser's own input of a time drops what it cannot take: then it is asked for as text."""
    if shape == "instant":
        return "datetime-local" if not value or CLOCK.fullmatch(value) else "text"
    if shape in SELECTED:
        return "select"
    return "textarea" if shape in ("units", "text") else "text"


def labels(contract: Contract, now_s: int) -> list[str]:
    """Of the periods that began by now and have statements, the newest first."""
    start_s, end_s = term_of_s(contract)
    until_s = min(now_s, end_s)
    if until_s <= start_s:
        return []
    found = {
        period
        for kind in contract.statements_over
        for period in periods_within(kind, contract, start_s, until_s)
    }
    ordered = sorted(found, key=lambda period: (period.end_s, period.start_s), reverse=True)
    return [period.label for period in ordered[:MOST_PERIODS]]
