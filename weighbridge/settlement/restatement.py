"""What a statement says of the one that was issued before it."""

from collections.abc import Iterator
from dataclasses import replace

from weighbridge.codes import Note, note
from weighbridge.log.entries import Issued
from weighbridge.settlement.statement import (
    Statement,
    differences,
    otherwise,
    versions,
    versions_of,
)

LONGEST_LIST = 100
"""At most so many differences are listed."""


def since_issued(issued: Issued, again: Statement, now: Statement) -> Iterator[Note]:
    """What `now` says otherwise than the one issued, which is made `again`; and whether that gives the same bytes."""
    yield note("issued_before", as_of=again.as_of, digest=issued.digest)
    yield from otherwise(versions_of(issued.model_dump()), versions(again))
    if again.digest != issued.digest:
        yield note(
            "given_again",
            digest=again.digest,
            owed=owed(again.lowest, again.highest),
            before=owed(issued.lowest, issued.highest),
        )
    changed = differences(replace(again, notes=()), replace(now, notes=()))
    yield from changed[:LONGEST_LIST]
    if len(changed) > LONGEST_LIST:
        yield note("changed_more", count=len(changed) - LONGEST_LIST)


def owed(lowest: str | None, highest: str | None) -> Note:
    """A note of an amount, of a range, or that the amount is open."""
    if lowest is None or highest is None:
        return note("amount_open")
    if lowest == highest:
        return note("amount", amount=lowest)
    return note("amounts", lowest=lowest, highest=highest)
