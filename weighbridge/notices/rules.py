"""Who of a contract may say what, and of which unit. What is said otherwise is refused before it enters the log.

Most events count as soon as they are said, some by one side alone: an acceptance by the lessee, the end of a repair by
the provider. Work that was lost and a delivery that failed bind the side that says so, and against the other stay open
until that side says the same (`EventRule.open`).
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from weighbridge.contract import Contract, Resource
from weighbridge.contract.money import AnomalyHours, LostWork
from weighbridge.judge.assignments import Version
from weighbridge.log.entries import CauseNotice, ClaimNotice, EventNotice, MaintenanceNotice, Notice
from weighbridge.settlement.answers import ACCEPTED, AGREED, ANSWERS, OBJECTED, PAYMENTS, REFUSED
from weighbridge.settlement.claims import TOGETHER
from weighbridge.settlement.payments import (
    DEPOSIT_PAID,
    DEPOSIT_RETURNED,
    DEPOSIT_TAKEN,
    FEE_PAID,
    MONEY,
)
from weighbridge.settlement.period_labels import cut, promised
from weighbridge.settlement.record import BOTH, Side
from weighbridge.wire.report import Model
from weighbridge.wire.visible import visible

PROVIDERS = frozenset({"provider", "operator", "owner"})
LESSEES = frozenset({"lessee"})
SPEAKERS = {"maintenance": PROVIDERS, "claim": LESSEES}
"""Roles that may say a thing; what is not named here any party may say."""


@dataclass(frozen=True, slots=True)
class EventRule:
    """An event. `speakers`: roles that may say it, None: any party. `needs`: details that it cannot do without.

    `may`: other details that somebody reads. `batch`: it is said of a batch of a delivery. `open`: said by one side, it
    is open against the other. `lasts`: it may have a beginning.
    """

    speakers: frozenset[str] | None = None
    needs: tuple[str, ...] = ()
    may: tuple[str, ...] = ()
    batch: bool = False
    open: bool = False
    lasts: bool = False


WITHDRAWN, CANCELLED = "maintenance_withdrawn", "cancelled"
AMOUNT = re.compile(r"[0-9]{1,30}(\.[0-9]{1,10})?", re.ASCII)
DIGEST = re.compile(r"[0-9a-f]{64}")

FAULT = ("severity",)
PAYMENT = ("reference",)

EVENTS: Mapping[str, EventRule] = {
    "acceptance_signed": EventRule(LESSEES),
    "acceptance_refused": EventRule(LESSEES, may=("reason",)),
    "delivered": EventRule(),
    "first_used": EventRule(),
    "test_result": EventRule(needs=("probe", "value"), may=("version",)),
    "batch_accepted": EventRule(LESSEES, batch=True),
    "not_delivered": EventRule(batch=True, open=True),
    CANCELLED: EventRule(PROVIDERS | LESSEES, needs=("party",), may=("reason",), lasts=True),
    "fault_detected": EventRule(may=FAULT),
    "fault_reported": EventRule(LESSEES, may=FAULT),
    "fault_confirmed": EventRule(PROVIDERS, may=FAULT),
    "fault_identified": EventRule(PROVIDERS, may=FAULT),
    "answered": EventRule(PROVIDERS),
    "gpu_replaced": EventRule(PROVIDERS | LESSEES, may=("new", "old")),
    "hardware_replaced": EventRule(PROVIDERS),
    "burn_in_passed": EventRule(PROVIDERS),
    "restored": EventRule(PROVIDERS),
    "spare_swapped": EventRule(PROVIDERS),
    WITHDRAWN: EventRule(PROVIDERS, needs=("id",)),
    ACCEPTED: EventRule(PROVIDERS, needs=("period",), may=("amount", "reason")),
    REFUSED: EventRule(PROVIDERS, needs=("period", "reason")),
    **dict.fromkeys(PAYMENTS, EventRule(PROVIDERS, needs=("period", "amount"), may=("reason",))),
    AGREED: EventRule(PROVIDERS | LESSEES, needs=("period", "digest")),
    OBJECTED: EventRule(PROVIDERS | LESSEES, needs=("period", "reason"), may=("digest",)),
    FEE_PAID: EventRule(PROVIDERS | LESSEES, needs=("period", "amount"), may=PAYMENT, open=True),
    DEPOSIT_PAID: EventRule(PROVIDERS | LESSEES, needs=("amount",), may=PAYMENT, open=True),
    DEPOSIT_TAKEN: EventRule(PROVIDERS, needs=("amount", "reason"), may=PAYMENT, open=True),
    DEPOSIT_RETURNED: EventRule(PROVIDERS | LESSEES, needs=("amount",), may=PAYMENT, open=True),
}
"""The events that every contract has, by name."""

SHOWN = 20
"""How many of the known names an error message lists at most."""


REASONS: Mapping[str, str] = {
    "unshowable": "a text holds control characters, or marks of direction",
    "ends_first": "it ends before it begins",
    "no_cause": "{named!r} is no cause of the contract; there are: {known}",
    "no_event": "{named!r} is no event of the contract; there are: {known}",
    "no_party": "{named!r} is no party of {contract}; there are: {known}",
    "no_unit": "{named!r} is no unit that this can be said of; there are: {known}",
    "no_period": "{why}",
    "no_amount": "{named!r} is no amount such as 12.50",
    "no_digest": "the digest is that of the statement: a SHA-256 in 64 hex digits",
    "missing": "{event} needs the detail {missing}",
    "for_itself": "a party cancels for itself alone",
    "of_no_unit": "{event} is of no unit",
    "outside_term": "{period} lies outside the term of {contract}",
    "no_objective": "a claim is for a unit, or for all; leave the objective null",
    "needed": "this is needed",
    "too_long": "this is longer than {most}",
    "no_name": "{named!r} is no name: letters, digits and . _ : / -, at most 128 of them",
    "no_instant": "{named!r} is no time such as 2026-10-05 08:00:00",
    "never_shown": "clocks in {zone} never show {named}",
    "shown_twice": "clocks in {zone} show {named} twice: write {first} or {second}",
    "not_for_role": "this is not for the {role} to say, but for {may}",
}
"""Why a notice is not taken, in words, by code."""


class NoticeError(ValueError):
    """The contract does not take this notice. The message says why, by one of REASONS; `at` is what of it is wrong."""

    def __init__(self, code: str, at: str = "", **values: str) -> None:
        super().__init__(REASONS[code].format(**values))
        self.code, self.at, self.values = code, at, values


def _shows(said: Model) -> None:
    """No text of it steers a terminal, or reads otherwise than it is."""
    held = said.model_dump()
    texts = {"unit": held.get("unit"), **held.get("details", {})}
    for name, text in texts.items():
        if isinstance(text, str) and visible(text) != text:
            raise NoticeError("unshowable", name)


@dataclass(frozen=True)
class NoticeRules:
    """`versions`: of one contract, the newest last. `nodes`: all that were ever assigned to it. `windows`: names of
    maintenance."""

    versions: Sequence[Version]
    nodes: Collection[str]
    windows: Collection[str] = ()

    @property
    def newest(self) -> Contract:
        return self.versions[-1].contract

    def check(self, notice: Notice) -> None:
        """Checks that the party may say this now. Raises NoticeError."""
        role, said = role_of(self.newest, notice.party), notice.said
        _is_for(role, SPEAKERS.get(said.kind))
        _shows(said)
        match said:
            case MaintenanceNotice():
                self._lasts(said)
                self._are_there(said.units, "units")
            case CauseNotice():
                self._lasts(said)
                self._excuses(said)
                self._are_there([said.unit] if said.unit else [])
            case EventNotice():
                self._happened(notice.party, role, said)
            case ClaimNotice():
                self._is_owed(said)

    @cached_property
    def places(self) -> frozenset[str]:
        """Nodes and their slots."""
        most = max(item.per_node for item in self._items())
        slots = (f"{node}.{slot}" for node in self.nodes for slot in range(most))
        return frozenset({*self.nodes, *slots})

    @cached_property
    def batches(self) -> frozenset[str]:
        """The names of all batches of the contract's deliveries."""
        return frozenset(batch.id for item in self._items() for batch in item.delivery)

    def _items(self) -> Iterator[Resource]:
        for version in self.versions:
            yield from version.contract.resources

    @cached_property
    def events(self) -> Mapping[str, EventRule]:
        """Every event that the contract knows."""
        return events_of(self.versions)

    def _lasts(self, said: MaintenanceNotice | CauseNotice) -> None:
        if said.until_us <= said.from_us:
            raise NoticeError("ends_first", "until")

    def _excuses(self, said: CauseNotice) -> None:
        excluded = [version.contract.exclusions for version in self.versions]
        codes = sorted({cause.code for one in excluded for cause in one.causes})
        if said.code not in codes:
            raise NoticeError("no_cause", "code", named=said.code, known=_first(codes))

    def _happened(self, party: str, role: str, said: EventNotice) -> None:
        word = self.events.get(said.event)
        if word is None:
            known = _first(sorted(self.events))
            raise NoticeError("no_event", named=said.event, known=known)
        _is_for(role, word.speakers)
        missing = [name for name in word.needs if not said.details.get(name)]
        if missing:
            told = " and ".join(missing)
            raise NoticeError("missing", missing[0], event=said.event, missing=told)
        if said.since_us is not None and said.since_us > said.at_us:
            raise NoticeError("ends_first", "at")
        if said.event in (*ANSWERS, AGREED, OBJECTED, *MONEY):
            self._answers(said)
            return
        if said.event == WITHDRAWN:
            _are([said.details["id"]], self.windows, "id")
        if said.event == CANCELLED and said.details["party"] != party:
            raise NoticeError("for_itself", "party")
        if word.batch or said.event == CANCELLED:
            _are([said.unit] if said.unit or word.batch else [], self.batches)
        elif said.unit and said.unit not in self.batches:
            self._are_there([said.unit])

    def _answers(self, said: EventNotice) -> None:
        """Of a period, unless it is of the deposit, and of something that can be claimed for it, or of all of it."""
        if said.event not in MONEY or said.event == FEE_PAID:
            self._is_a_period(said.details["period"])
        amount, digest = said.details.get("amount"), said.details.get("digest")
        if amount is not None and not AMOUNT.fullmatch(amount):
            raise NoticeError("no_amount", "amount", named=amount)
        if digest is not None and not DIGEST.fullmatch(digest):
            raise NoticeError("no_digest", "digest")
        if said.unit and said.event in MONEY:
            raise NoticeError("of_no_unit", "unit", event=said.event)
        _are([said.unit] if said.unit else [], self.claimable)

    def _is_a_period(self, label: str) -> None:
        try:
            period = cut(self.versions, label)
        except ValueError as error:
            raise NoticeError("no_period", "period", why=str(error)) from error
        if not promised(self.versions, period):
            contract = self.newest.contract_id
            raise NoticeError("outside_term", "period", period=period.label, contract=contract)

    def _is_owed(self, said: ClaimNotice) -> None:
        """A claim for what is never owed would stand in the log, and its credit would lapse."""
        self._is_a_period(said.period)
        if said.objective is not None:
            raise NoticeError("no_objective", "unit")
        if said.unit is not None:
            _are([said.unit], self.claimable)

    @cached_property
    def claimable(self) -> frozenset[str]:
        """The names of units that a line of a statement can be owed for."""
        items = list(self._items())
        absent = (f"{one.id}:absent-{place}" for one in items for place in range(1, one.nodes + 1))
        probes = (one.id for one in self.newest.performance)
        others = {*TOGETHER, *self.windows, *absent, *probes, *(one.id for one in items)}
        parties = (party.id for party in self.newest.parties)
        return self.places | self.batches | {*others, *parties}

    def _are_there(self, units: Iterable[str], at: str = "unit") -> None:
        """Of nodes that are yet to come nobody knows the names."""
        if len(self.nodes) >= sum(item.nodes for item in self.newest.resources):
            _are(units, self.places, at)


def role_of(contract: Contract, party: str) -> str:
    """Raises NoticeError for a party that the contract does not name."""
    for one in contract.parties:
        if one.id == party:
            return one.role
    named = [one.id for one in contract.parties]
    known = _first(named)
    raise NoticeError("no_party", "party", named=party, contract=contract.contract_id, known=known)


def events_of(versions: Sequence[Version]) -> Mapping[str, EventRule]:
    """`EVENTS`, and those that a credit of some version is paid for: these are open, whatever else they are."""
    credits = [credit for version in versions for credit in version.contract.credits]
    paid_for = [one.event for one in credits if isinstance(one, AnomalyHours | LostWork)]
    return {
        **EVENTS,
        **{
            name: replace(EVENTS.get(name, EventRule()), open=True, lasts=True) for name in paid_for
        },
    }


def sides(word: EventRule | None, role: str) -> frozenset[Side]:
    """Which sides are held to have said an event that one party told of; None: one that the contract does not know."""
    if word is not None and not word.open:
        return BOTH
    if role in PROVIDERS:
        return frozenset({"provider"})
    return frozenset({"lessee"}) if role in LESSEES else frozenset()


def _are(units: Iterable[str], known: Collection[str], at: str = "unit") -> None:
    for unit in units:
        if unit not in known:
            raise NoticeError("no_unit", at, named=unit, known=_first(sorted(known)))


def _is_for(role: str, speakers: frozenset[str] | None) -> None:
    if speakers is not None and role not in speakers:
        may = " or ".join(sorted(speakers))
        raise NoticeError("not_for_role", "party", role=role, may=may)


def _first(names: Sequence[str]) -> str:
    """The first SHOWN of these names, as text."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return f"{', '.join(names[:SHOWN]) or 'none'}{more}"
