"""What may follow in a chain: ingest lets nothing else in, and who judges the log demands the same of it."""

from collections.abc import Sequence

from weighbridge.wire.report import Gap, Report


def covered(gaps: Sequence[Gap], following: int, report: Report) -> bool:
    """Whether the report's gaps join up from no later than `following` to the report before this one."""
    wanted = report.seq - 1
    hashes = {gap.last_seq: gap.last_hash for gap in gaps}
    if hashes.get(wanted) != report.prev:
        return False
    for gap in sorted(gaps, key=lambda gap: gap.last_seq, reverse=True):
        if gap.first_seq <= wanted <= gap.last_seq:
            wanted = gap.first_seq - 1
    return wanted < following
