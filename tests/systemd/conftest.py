"""A real systemd, booted in namespaces of its own, that runs the project's units as they are written."""

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import pytest

HERE: Final = Path(__file__).parent
UNITS: Final = HERE.parents[1] / "systemd"
BOOT_SECONDS: Final = 60

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


@dataclass
class Sandbox:
    """One boot: files laid over the machine's own, and what the units leave in `result`."""

    scratch: Path
    cgroup: Path
    files: Path = field(init=False)
    result: Path = field(init=False)

    def __post_init__(self) -> None:
        self.files = self.scratch / "files"
        self.result = self.scratch / "result"
        self.result.mkdir()
        self.write("usr/lib/sysusers.d/weighbridge.conf", _text("sysusers.d/weighbridge.conf"))
        self.write("usr/lib/tmpfiles.d/weighbridge.conf", _text("tmpfiles.d/weighbridge.conf"))

    def write(self, path: str, text: str) -> None:
        target = self.files / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def read(self, name: str) -> str:
        """What a unit left in the result directory, empty if nothing."""
        path = self.result / name
        return path.read_text() if path.exists() else ""

    def boot(self) -> str:
        """Runs until a unit ends the boot; returns what systemd printed."""
        join = f'echo $$ > {self.cgroup}/cgroup.procs && exec "$@"'
        namespaces = ["--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup"]
        unshare = ["unshare", *namespaces, "--fork", "--kill-child"]
        done = subprocess.run(
            ["sh", "-c", join, "sh", *unshare, "bash", str(HERE / "boot"), str(self.scratch)],
            timeout=BOOT_SECONDS,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.stdout


def _text(name: str) -> str:
    return (UNITS / name).read_text()


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
    cgroup = mount / f"weighbridge-{os.getpid()}-{tmp_path.name}"
    cgroup.mkdir()
    yield Sandbox(tmp_path, cgroup)
    _remove_cgroup(cgroup)


@pytest.fixture
def seen_from(sandbox: Sandbox) -> Callable[..., dict[str, Any]]:
    """`seen_from(unit, *directives, looks_at=())`: what the probe sees as the main process of the unit."""

    def see(unit: str, *directives: str, looks_at: tuple[str, ...] = ()) -> dict[str, Any]:
        shutil.copy(HERE / "probe.py", _made(sandbox.files / "opt") / "probe.py")
        sandbox.write(f"etc/systemd/system/{unit}", _text(unit))
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
