"""What the agent's own processes cost."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agent.host.kernel_files import listed


@dataclass(frozen=True, slots=True)
class Footprint:
    """What the agent's own processes cost: CPU since they began, and proportional set size now."""

    cpu_us: int
    pss_bytes: int


def footprint(root: Path, pid: int) -> Footprint:
    """Of a process and all its descendants. What cannot be read of one counts as nothing for it."""
    pids = list(_family(root, pid))
    return Footprint(sum(_cpu_us(root, one) for one in pids), sum(_pss(root, one) for one in pids))


def _family(root: Path, pid: int) -> Iterator[int]:
    yield pid
    for task in listed(root / f"proc/{pid}/task"):
        try:
            children = (task / "children").read_text().split()
        except OSError:
            continue
        for child in children:
            yield from _family(root, int(child))


def _cpu_us(root: Path, pid: int) -> int:
    """utime, stime and those of its reaped children: fields 14 to 17 of proc_pid_stat(5)."""
    try:
        fields = (root / f"proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return sum(int(field) for field in fields[11:15]) * 1_000_000 // os.sysconf("SC_CLK_TCK")


def _pss(root: Path, pid: int) -> int:
    try:
        lines = (root / f"proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
