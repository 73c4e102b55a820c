"""A real systemd, booted in namespaces of its own, that runs the project's units as they are written."""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import pytest

from tests.systemd.sandbox import HERE, Sandbox, unit_file

TARGET: Final = """[Unit]
Requires={unit} lessee.service
After={unit}
"""

LESSEE: Final = """[Unit]
DefaultDependencies=no
[Service]
User=lessee
ExecStart=/bin/sleep 3600
"""

PROBE: Final = """[Unit]
DefaultDependencies=no
Wants=systemd-journald.service lessee.service
After=systemd-journald.service lessee.service
SuccessAction=exit
FailureAction=exit
[Service]
Type=oneshot
Restart=no
ExecStart=
ExecStart=/usr/bin/python3 -I /opt/probe.py {looks_at}
StandardOutput=append:/result/seen.json
StandardError=append:/result/errors
ExecStopPost=+/bin/sh -c 'journalctl --quiet --no-pager --output=cat --unit=%n >/result/journal'
"""


def why_not_here() -> str | None:
    """Why this machine cannot boot a systemd in namespaces, or None when it can."""
    if os.geteuid() != 0:
        return "namespaces with devices need root"
    if _cgroup_mount() is None:
        return "no writable cgroup v2 hierarchy"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--cgroup", "--fork", "mount", "-t", "tmpfs", "x", "/mnt"],
        capture_output=True,
        text=True,
    )
    return f"no namespaces here: {tried.stderr.strip()}" if tried.returncode else None


def _cgroup_mount() -> Path | None:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, target, kind, *_ = line.split()
        if kind == "cgroup2" and os.access(target, os.W_OK):
            return Path(target)
    return None


def _remove_cgroup(cgroup: Path) -> None:
    for directory in sorted(cgroup.rglob("*/"), reverse=True):
        directory.rmdir()
    cgroup.rmdir()


@pytest.fixture
def sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    reason = why_not_here()
    mount = _cgroup_mount()
    if reason is not None or mount is None:
        pytest.skip(reason or "")
    # Another run may have the same process ids, in a namespace of its own.
    cgroup = Path(tempfile.mkdtemp(prefix="weighbridge-", dir=mount))
    yield Sandbox(tmp_path, cgroup)
    _remove_cgroup(cgroup)


@pytest.fixture
def seen_from(sandbox: Sandbox) -> Callable[..., dict[str, Any]]:
    """`seen_from(unit, *directives, looks_at=())`: what the probe sees as the main process of the unit."""

    def see(unit: str, *directives: str, looks_at: tuple[str, ...] = ()) -> dict[str, Any]:
        shutil.copy(HERE / "probe.py", _made(sandbox.files / "opt") / "probe.py")
        name, _, _ = unit.partition("@")
        template = f"{name}@.service" if "@" in unit else unit
        sandbox.write(f"etc/systemd/system/{unit}", unit_file(template))
        dropin = PROBE.format(looks_at=" ".join(looks_at)) + "\n".join(directives) + "\n"
        sandbox.write(f"etc/systemd/system/{unit}.d/probe.conf", dropin)
        sandbox.write("usr/lib/sysusers.d/lessee.conf", "u lessee 4242\n")
        sandbox.write("etc/systemd/system/lessee.service", LESSEE)
        sandbox.write("etc/systemd/system/sandbox.target", TARGET.format(unit=unit))
        printed = sandbox.boot()
        seen = sandbox.read("seen.json")
        assert seen, "\n".join([printed, sandbox.read("errors"), sandbox.read("journal")])
        answer: dict[str, Any] = json.loads(seen)
        return answer

    return see


def _made(directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return directory
