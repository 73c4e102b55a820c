"""Whose a process is: of a container or pod, of a user, or a known service of the node."""

import re

from weighbridge.catalogue.services import BY_COMMAND, BY_UNIT, COMM_LENGTH
from weighbridge.wire.report import OwnerClass

_CONTAINER = re.compile(r"(?:^|[-/.:])([0-9a-f]{64})(?:\.scope)?(?:/|$)", re.MULTILINE)
_POD = re.compile(r"pod([0-9a-f]{8}[-_][0-9a-f_-]{27})")
_LXC = re.compile(r"/lxc(?:\.payload)?[./]([^/\n]+)")
_NSPAWN = re.compile(r"/machine\.slice/(?:machine-|systemd-nspawn@)([^/\n]+)")
_UNIT = re.compile(
    r":/(?:[^\n]*/)?system\.slice/(?:[^\n]*/)?([^/@\n]+)(?:@[^/\n]*)?\.service(?:/|$)", re.MULTILINE
)
_FIRST_USER = 1000


def classify(groups: str, user: int, comm: str = "") -> tuple[OwnerClass, str]:
    """The class and the identity behind a process, from the text of its /proc/PID/cgroup, its user id and its command.

    All containers of a pod are one owner, and so are all sessions of a user, and all that root started and no known
    service is. A service is known by its unit, or by the name of its command where no user could have given it.
    """
    for pattern, kind in (
        (_POD, "pod"),
        (_CONTAINER, "container"),
        (_LXC, "lxc"),
        (_NSPAWN, "machine"),
    ):
        match = pattern.search(groups)
        if match:
            return OwnerClass.CONTAINER, f"{kind}:{match[1].replace('_', '-')}"
    unit = _UNIT.search(groups)
    service = BY_UNIT.get(unit[1]) if unit else None
    if service is None and user < _FIRST_USER:
        service = BY_COMMAND.get(comm[:COMM_LENGTH])
    return (OwnerClass.USER, f"user:{user}") if service is None else (OwnerClass.SYSTEM, service)
