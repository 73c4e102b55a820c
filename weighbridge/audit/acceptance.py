"""Flags of an acceptance that the cards do not bear out."""

from collections.abc import Iterator
from fractions import Fraction

from weighbridge.audit.flag import Flag, figures, limit, percent
from weighbridge.audit.portfolio import Lease, Portfolio, Trial, around
from weighbridge.audit.schedule import due_gpus

NO_LOAD, NO_EVIDENCE = "certificate_without_load", "certificate_without_evidence"


def accepted(portfolio: Portfolio) -> Iterator[Flag]:
    """Of each acceptance: whether cards were seen over the window of its tests, and whether they worked."""
    for lease in portfolio.leases.values():
        for trial in lease.trials:
            yield from _judged(lease, trial)


def _judged(lease: Lease, trial: Trial) -> Iterator[Flag]:
    whole = gpus_accepted(lease, trial) * (trial.end_us - trial.start_us)
    seen, known = sum(use.seen for use in trial.uses), sum(use.known for use in trial.uses)
    used, busy = sum(use.in_use for use in trial.uses), _busy(trial)
    told = figures(
        event=trial.told.event,
        window_hours=(trial.end_us - trial.start_us) // 3_600_000_000,
        gpus_accepted=gpus_accepted(lease, trial),
        seen_pct=percent(Fraction(min(seen, whole), whole)) if whole else None,
        in_use_pct=percent(Fraction(used, known)) if known else None,
        busy_pct=None if busy is None else percent(busy),
    )
    code = NO_LOAD
    if not whole or Fraction(seen, whole) < limit(NO_EVIDENCE, "seen_share"):
        code = NO_EVIDENCE
    elif not (known and Fraction(used, known) < limit(NO_LOAD, "load_share")) and not (
        busy is not None and busy < limit(NO_LOAD, "load_share")
    ):
        return
    entries = around((trial.told.entry, *lease.seen_by))
    yield Flag(code, (lease.name,), trial.told.unit, trial.told.received_us, told, entries)


def _busy(trial: Trial) -> Fraction | None:
    known = sum(use.busy_known for use in trial.uses)
    return Fraction(sum(use.busy for use in trial.uses), 100 * known) if known else None


def gpus_accepted(lease: Lease, trial: Trial) -> int:
    """Those of the batch that was accepted, or of the node; else all that were due then."""
    contract, unit = lease.at(trial.told.at_us), trial.told.unit
    for item in contract.resources:
        for batch in item.delivery:
            if batch.id == unit:
                return batch.nodes * item.per_node
    if unit in {stay.node for stay in lease.stays}:
        return lease.resource_of(unit).per_node
    nodes = sum(item.nodes * item.per_node for item in contract.resources)
    return due_gpus(lease, trial.told.at_us) or nodes
