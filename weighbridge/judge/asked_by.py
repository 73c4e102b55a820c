"""Which of a contract's proofs of compute a series is of: what it finds and counts belongs to that one alone."""

from collections.abc import Sequence
from dataclasses import dataclass

from weighbridge.challenge.record import COMMAND, ChallengeOutcome
from weighbridge.contract import Resource

IN_A_ROW = 5
"""Series in a row that came to no judgement, from which on a finding opens, where no contract says it."""


@dataclass(frozen=True, slots=True)
class AskedBy:
    """`proof`: the name of what a series was asked by, one of the `names` that the contract has now, or its profile.

    `own`: the contract's own numbers; `counts`: by its own schedule too. `in_a_row`: so many series of the proof that
    were not assessed have a consequence.
    """

    proof: str
    names: frozenset[str] = frozenset()
    own: bool = True
    counts: bool = True
    in_a_row: int = IN_A_ROW

    def closes(self, proof: str) -> bool:
        """Whether to be met by this ends what was found by a proof: its own, or one that is no more."""
        if proof == self.proof:
            return True
        return proof not in self.names and (self.own or not self.names)

    def said(self, observed: str) -> str:
        """The words of a finding; of several proofs of a line item it names its own."""
        return f"{self.proof.split()[-1]}: {observed}" if len(self.names) > 1 else observed


def asked_by(
    then: Sequence[Resource] | None, now: Sequence[Resource], ended: ChallengeOutcome
) -> AskedBy:
    """`then` and `now`: what was leased of the node when the series was committed to, and is. None: nobody knows."""
    names = frozenset(_name(item, place) for item in now for place in range(len(item.challenges)))
    scheduled = ended.cause != COMMAND
    if ended.policy is None:
        return AskedBy("", names)
    if then is None:
        return AskedBy(ended.policy.profile, names, counts=scheduled)
    for item in then:
        place = item.proof(ended.policy)
        if place is not None:
            many = item.challenges[place].unassessed_in_a_row
            return AskedBy(_name(item, place), names, counts=scheduled, in_a_row=many)
    return AskedBy(ended.policy.profile, names, own=False, counts=False)


def _name(item: Resource, place: int) -> str:
    return f"{place} {item.challenges[place].profile}"
