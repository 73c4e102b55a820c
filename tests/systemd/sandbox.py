"""One boot of this machine's own systemd in namespaces of its own."""

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

HERE: Final = Path(__file__).parent
UNITS: Final = HERE.parents[1] / "systemd"
BOOT_SECONDS: Final = 100


def unit_file(name: str) -> str:
    """The text of a file below systemd/."""
    return (UNITS / name).read_text()


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
        self.write("usr/lib/sysusers.d/weighbridge.conf", unit_file("sysusers.d/weighbridge.conf"))
        self.write("usr/lib/tmpfiles.d/weighbridge.conf", unit_file("tmpfiles.d/weighbridge.conf"))

    def write(self, path: str, text: str) -> None:
        target = self.files / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def read(self, name: str) -> str:
        """What a unit left in the result directory, empty if nothing."""
        path = self.result / name
        return path.read_text() if path.exists() else ""

    def boot(self, seconds: int = BOOT_SECONDS) -> str:
        """Runs until a unit ends the boot, and so long at most; returns what systemd printed."""
        join = f'echo $$ > {self.cgroup}/cgroup.procs && exec "$@"'
        namespaces = ["--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup"]
        unshare = ["unshare", *namespaces, "--fork", "--kill-child"]
        done = subprocess.run(
            ["sh", "-c", join, "sh", *unshare, "bash", str(HERE / "boot"), str(self.scratch)],
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        return done.stdout
