"""What documents tell, as codes and values: words are made from them where a document is shown, in each language.

Every code that evidence may hold is listed here, or is a literal of the contract model or of the module that gives it;
each has words in every language.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

NoteCode = Literal[
    "notice",
    "maintenance",
    "cause",
    "cause_of_all",
    "event",
    "event_of_all",
    "claim",
    "signed",
    "attested",
    "cosigned",
    "not_cosigned",
    "silence_confirms",
    "silence_confirmed",
    "silence_broken",
    "said_by",
    "level",
    "weighed",
    "weighed_because",
    "unusable",
    "issued_before",
    "made_by_other",
    "given_again",
    "changed",
    "changed_more",
    "amount",
    "amounts",
    "amount_open",
    "version",
    "version_since",
]
"""What a note can tell."""

DamageKind = Literal["liquidated_damages", "early_exit"]
"""What a line of money can be of, besides the kinds of credit of a contract."""

FactName = Literal[
    "anomaly_seconds",
    "beyond_seconds",
    "compensated_hours",
    "days_late",
    "days_late_before",
    "hours_counted",
    "hours_not_charged",
    "incidents",
    "increments",
    "late_seconds",
    "maintenance_seconds",
    "party",
    "repair_seconds",
    "shortfall_seconds",
    "steps",
    "ten_thousandths",
    "trigger",
    "work_seconds",
]
"""What a formula is reckoned from, beside its base."""

Flag = Literal[
    "accepted_by_silence",
    "attestation_missing",
    "attestation_refused",
    "base_of_zero",
    "below_least_coverage",
    "below_minimum_credit",
    "calendar_year_unknown",
    "cap_applied",
    "capacity_floor_missed",
    "claim_lapsed",
    "claim_refused",
    "clock_skew_beyond_bound",
    "clock_skew_corrected",
    "confirmed_by_silence",
    "data_after_cutoff",
    "deposit_overdue",
    "device_exchanged",
    "downtime_uncounted",
    "duplicate_gpu_uuid",
    "exit_right",
    "exit_right_open",
    "gpu_alternates",
    "gpu_claimed_elsewhere",
    "gpu_identity_changed",
    "heard_late",
    "highest_of_many_readings",
    "judging_failed",
    "key_revoked",
    "key_shared",
    "late_exit_notice",
    "late_maintenance_notice",
    "late_report",
    "limit_use_unknown",
    "maintenance_cap_exceeded",
    "maintenance_count_exceeded",
    "maintenance_outside_window",
    "never_reported",
    "objective_of_another_period",
    "paid_too_much",
    "partly_accepted",
    "payment_late",
    "period_agreed",
    "period_under_way",
    "repaired_while_down",
    "said_by_one_side",
    "service_not_begun",
    "sides_contradict",
    "tier_gap",
    "unknown_time",
]
"""What a statement asks a person to look at."""

HandoverFlag = Literal[
    "certificate_without_evidence",
    "certificate_without_load",
    "impossible_identity",
    "late_birth",
    "zero_delivery",
]
"""The same of a delivery note or a certificate."""


@dataclass(frozen=True, slots=True)
class Note:
    """Something told: what (`code`), and its values by name. A path is a tuple of names and positions.

    Documents are read with codes that this version does not know; it makes notes by `note` alone.
    """

    code: str
    arguments: "Mapping[str, Value]" = field(default_factory=dict)


Value = str | int | bool | tuple[str | int, ...] | tuple[Note, ...] | Note | None


def note(code: NoteCode, **arguments: Value) -> Note:
    """A note of a code that has words."""
    return Note(code, arguments)
