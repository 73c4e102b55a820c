"""What a ledger has found beside what the log gives."""

from collections.abc import Iterable, Iterator

from collector.judging.live import FindingKey
from weighbridge.contract.scalars import instant_text
from weighbridge.judge.ledger import Finding


def unlike(
    held: Iterable[Finding], given: Iterable[Finding], *, held_upto: int, given_upto: int
) -> Iterator[str]:
    """In words, how the findings of a ledger differ from those that the log gives.

    Each was folded up to an entry. What the one that came less far has found the other must know; only of the same
    entries both must say the same.
    """
    mine, its = _by_key(held), _by_key(given)
    for key in sorted(mine.keys() | its.keys()):
        one, other = mine.get(key), its.get(key)
        if one is None:
            if given_upto <= held_upto:
                yield f"the ledger lacks {_named(key)}"
        elif other is None:
            if held_upto <= given_upto:
                yield f"the ledger has {_named(key)}, which the log does not give"
        elif one != other and held_upto == given_upto:
            yield f"the ledger has {_named(key)} otherwise: {one}, by the log {other}"


def _by_key(findings: Iterable[Finding]) -> dict[FindingKey, Finding]:
    return {finding.key: finding for finding in findings}


def _named(key: FindingKey) -> str:
    contract, node, device, code, since_us = key
    place = ", ".join(part for part in (contract, node, device) if part)
    return f"the finding {code} of {place}, since {instant_text(since_us)}"
