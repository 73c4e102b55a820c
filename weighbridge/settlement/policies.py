"""What a contract makes of time by its state and cause: up, down, excluded, or held."""

from collections.abc import Mapping

from weighbridge.contract import Availability, Contract, Policy
from weighbridge.contract.condition import is_up
from weighbridge.contract.evidence import Contradicted
from weighbridge.judge.ledger import JUDGING_FAILED, State
from weighbridge.judge.two_sides import grounds_of, in_doubt, is_proven, words_of
from weighbridge.judge.usage import THIN

OF_CONTRADICTED: Mapping[Contradicted, Policy] = {
    "held": "hold",
    "provider_bears": "down",
    "lessee_bears": "up",
    "higher_level": "hold",
}


def counts_as(
    contract: Contract,
    objective: Availability,
    state: State,
    cause: str,
    unheard: tuple[State, str] | None,
    held: Policy,
) -> Policy:
    """What the contract makes of a span; `held` where it holds it, or holds between what was told late and unknown."""
    told = _state_as(contract, objective, state, cause, held)
    if unheard is None:
        return told
    return held if held == _state_as(contract, objective, *unheard, held) else told


def _state_as(
    contract: Contract, objective: Availability, state: State, cause: str, held: Policy
) -> Policy:
    match state:
        case State.EXCLUDED:
            return "excluded"
        case State.CONTESTED:
            words = words_of(cause)
            if words is not None:
                return _decided(contract, objective, words, cause, held)
            return _resolved(contract.unknown.contested, held)
        case State.UNKNOWN if cause == JUDGING_FAILED:
            return held
        case State.UNKNOWN if cause == THIN and contract.evidence.below_coverage == "held":
            return held
        case State.UNKNOWN:
            return _resolved(contract.unknown.by_cause.get(cause, contract.unknown.policy), held)
        case seen:
            return _seen_as(objective, seen, cause)


def _seen_as(objective: Availability, state: State, cause: str) -> Policy:
    """What a state that was seen counts as."""
    if state is State.UP:
        return "up"
    up = None if objective.up_when is None else is_up(objective.up_when, cause)
    if up is not None:
        return "up" if up else "down"
    return "down" if state is State.DOWN else objective.degraded


def _decided(
    contract: Contract,
    objective: Availability,
    words: tuple[State, State],
    cause: str,
    held: Policy,
) -> Policy:
    """What time counts as over which the sides' agents contradict each other; nothing is open if both count alike.

    No term decides for a side by a word of its own that is in doubt.
    """
    provider, lessee = (_seen_as(objective, word, grounds_of(cause)) for word in words)
    prevailing = {"provider": provider, "lessee": lessee}
    terms = contract.evidence
    if provider == lessee:
        return provider
    decided = prevailing.get(terms.records_prevail)
    if decided is None and terms.contradicted == "higher_level" and is_proven(cause):
        return "up"
    if decided is None:
        decided = _resolved(OF_CONTRADICTED[terms.contradicted], held)
    gains = "lessee" if decided == "down" else "provider"
    return held if gains in in_doubt(cause) else decided


def _resolved(policy: Policy, held: Policy) -> Policy:
    return held if policy == "hold" else policy
