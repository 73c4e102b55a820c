"""Whose records count, how exact they are, and until when they change a statement."""

from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Literal

from weighbridge.contract.scalars import Count, Maybe, Name, Share, Switch, Text, Whole
from weighbridge.contract.terms import Terms, clause, describes, part
from weighbridge.log.policy import PolicyError, read_policy


class ClockTerms(Terms):
    """Beyond this skew, an agent's data are unknown."""

    max_abs_skew_s: Whole = clause("Largest offset from the reference.", default=2)
    source: Text = clause(
        "Clock that is the reference.",
        reader=describes("there is no other reference than the collector's ticks"),
        default="the collector's ticks",
    )


BelowCoverage = Literal["noted", "held", "unknown"]
Contradicted = Literal["held", "provider_bears", "lessee_bears", "higher_level"]
Late = Literal["counted", "held", "refused"]
OneSided = Literal["counted", "prevailing", "held", "unknown"]


class EvidenceTerms(Terms):
    """What the records are made of."""

    agents: Literal["both", "provider", "lessee"] = clause(
        "Whose agents run.", reader=part("audit"), default="both"
    )
    signed: Switch = clause(
        "Whether reports are signed.", reader=describes("every report is signed"), default=True
    )
    hash_chain: Switch = clause(
        "Whether reports are chained.", reader=describes("every report is chained"), default=True
    )
    retention_days: Count = clause(
        "Days for which records are kept.", reader=part("collector"), default=1096
    )
    export: Text = clause(
        "Format in which they are handed out.",
        reader=describes("bundles and documents can be asked for in any case"),
        default="evidence bundle",
    )
    audit_by: tuple[Text, ...] = clause(
        "Who else may read them.",
        reader=describes("who may read is a matter of the collector's keys"),
        default=(),
    )
    records_prevail: Literal["provider", "lessee", "jointly_signed", "third_party"] = clause(
        "Whose records decide where they differ; with the last two neither's do, and `contradicted` does. Where one"
        " side is silent, the other's do, unless `one_sided` says otherwise; where both are, `unknown` says what that"
        " time is. Whether a node was reached the witnesses say, not the agents, where `up_when` asks for it.",
        default="jointly_signed",
    )
    contradicted: Contradicted = clause(
        "What time counts as that the sides' agents saw otherwise: held, down, up, or by the higher evidence level.",
        default="held",
    )
    one_sided: OneSided = clause(
        "What time is that the agent of one side alone saw, while the other's was silent: as told; as told by the side"
        " that records_prevail names, and unknown where the other told it; held between that and unknown; unknown, of"
        " the cause `one_sided`. About a change that both saw, one sample of one side is not alone.",
        default="counted",
    )
    late: Late = clause(
        "What time is that was first heard later than sampling.heard_within_s: as told; held between that and unknown; "
        "unknown, of the cause `late`.",
        default="held",
    )
    cosigned_by: Maybe[Text] = clause(
        "A tlog-policy: whose signatures the log's heads are to have; statements say how far they do.",
        default=None,
    )
    witnesses: tuple[Name, ...] = clause(
        "Witnesses, by name or key, who say whether they reach a node: why one is silent, and what `reachable` means.",
        default=(),
    )
    witness_quorum: Count = clause("How many of them must say the same.", default=1)
    witness_of: Mapping[Name, Literal["provider", "lessee"]] = clause(
        "Whose a witness is, by the name above; one that is not named here is nobody's.",
        reader=part("loading"),
        default={},
    )
    clock: ClockTerms = clause("How far clocks may be off.", default=ClockTerms())
    correction_window_s: Whole = clause(
        "Data that come so long after the end of a period still change it.", default=432_000
    )
    statement_due_s: Whole = clause(
        "Seconds after which a statement is due.",
        reader=describes(
            "statements can be had at any time; when one was handed over nobody tells"
        ),
        default=259_200,
    )
    least_coverage: Share = clause(
        "Share of contracted time that is to rest on samples, one each interval.",
        default=Fraction(9, 10),
    )
    below_coverage: BelowCoverage = clause(
        "What an hour is, as one agent tells it, of which less rests on samples: only noted, held, or unknown.",
        default="held",
    )

    def problems(self) -> Iterator[tuple[str, str]]:
        if self.one_sided != "counted" and self.agents != "both":
            yield "one_sided", "belongs to agents of both sides"
        if self.one_sided == "prevailing" and self.records_prevail not in ("provider", "lessee"):
            yield "one_sided", "no side's records prevail"
        if self.cosigned_by is not None:
            yield from _policy_problems(self.cosigned_by)
        if not self.witness_quorum <= max(1, len(set(self.witnesses))):
            yield "witness_quorum", "is more than there are witnesses"
        for name in sorted(self.witness_of.keys() - set(self.witnesses)):
            yield "witness_of", f"`{name}` is not among the witnesses"

    def lopsided(self) -> Iterator[str]:
        """Who could decide alone whether a node is reached, or keep anybody from knowing."""
        named = set(self.witnesses)
        if named and self.witness_quorum == 1:
            yield "witness_quorum: 1 lets each witness decide alone"
        for side in sorted(set(self.witness_of.values())):
            own = {name for name, of in self.witness_of.items() if of == side}
            if self.witness_quorum <= len(own):
                yield f"witness_quorum: the {side}'s witnesses are a quorum by themselves"
            if self.witness_quorum > len(named - own):
                yield f"witness_quorum: without the {side}'s witnesses there is no quorum"


def _policy_problems(text: str) -> Iterator[tuple[str, str]]:
    """Without the log's key, cosignatures of another log would do."""
    try:
        if not read_policy(text).logs:
            yield "cosigned_by", "names no log"
    except PolicyError as error:
        yield "cosigned_by", f"not a policy: {error}"
