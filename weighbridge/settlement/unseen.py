"""Time that nobody saw, and what a settlement would be if it counted otherwise."""

from dataclasses import replace

from weighbridge.contract import Contract, Policy
from weighbridge.contract.money import ClaimTerms
from weighbridge.judge.checks.exchange import DEVICE_EXCHANGED
from weighbridge.judge.ledger import JUDGING_FAILED, LATE, State
from weighbridge.settlement.periods import Period
from weighbridge.settlement.record import Record

NAMED = frozenset({JUDGING_FAILED, LATE, DEVICE_EXCHANGED.code})
"""Causes of unknown time that have flags of their own."""


def has_unseen(record: Record, period: Period) -> bool:
    """Whether there is time in the period that nobody saw, and that no other flag names."""
    return any(
        span.state == State.UNKNOWN
        and span.cause not in NAMED
        and span.start_s < period.end_s
        and span.end_s > period.start_s
        for span in record.spans
    )


def with_unseen(contract: Contract, policy: Policy) -> Contract:
    """The contract with another policy for that time, whatever it says of causes or of hours with too few samples."""
    own = contract.unknown
    kept = {cause: own.by_cause.get(cause, own.policy) for cause in sorted(NAMED)}
    unknown = own.model_copy(update={"policy": policy, "by_cause": kept})
    evidence = contract.evidence.model_copy(update={"below_coverage": "unknown"})
    return contract.model_copy(update={"unknown": unknown, "evidence": evidence})


def without_late(record: Record) -> Record:
    """What was heard late as told: it has a flag of its own."""
    return replace(record, spans=tuple(replace(one, unheard=None) for one in record.spans))


def as_claimed(contract: Contract) -> Contract:
    """The contract as if each statement were the claim for all that it earns."""
    credits = (
        one if one.claim is None else one.model_copy(update={"claim": _asked(one.claim)})
        for one in contract.credits
    )
    asked = {"claim": _asked(contract.claim), "credits": tuple(credits)}
    return contract.model_copy(update=asked)


def _asked(terms: ClaimTerms) -> ClaimTerms:
    return terms.model_copy(update={"auto_claim": True})
