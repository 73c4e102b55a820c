"""Run as a unit's main process: tells, as JSON, what can be seen and done from inside its sandbox."""

import ctypes
import json
import mmap
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

ADJTIMEX_BYTES = 256


def owners_of_other_processes() -> dict[str, int]:
    """Command name -> user id, of every process whose owner is not ours."""
    owners = {}
    for directory in Path("/proc").glob("[0-9]*"):
        uid = directory.stat().st_uid
        if uid != os.getuid():
            owners[(directory / "comm").read_text().strip()] = uid
    return owners


def cgroups_of_processes() -> list[str]:
    """Last path of each process's cgroup file: tells a container from a unit from a login."""
    paths = Path("/proc").glob("[0-9]*/cgroup")
    return sorted({path.read_text().rpartition(":")[2].strip() for path in paths})


def tree(directory: str) -> list[str]:
    return sorted(path.name for path in Path(directory).iterdir())


def kernel_log() -> str:
    command = ["journalctl", "--dmesg", "--output=cat", "--quiet", "--no-pager"]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def clock_state() -> int:
    """What adjtimex answers to a question that changes nothing; at least zero when it may be asked."""
    return ctypes.CDLL(None).adjtimex(ctypes.create_string_buffer(ADJTIMEX_BYTES))  # type: ignore[no-any-return]


def device(path: str) -> str:
    """`missing`, `denied`, or `allowed`: an error of the driver, or of its absence, is no denial."""
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    except FileNotFoundError:
        return "missing"
    except PermissionError:
        return "denied"
    except OSError:
        return "allowed"
    return "allowed"


def can_write(directory: str) -> bool:
    try:
        (Path(directory) / "weighbridge-probe").write_text("")
    except OSError:
        return False
    return True


def can_make_socket(family: int) -> bool:
    try:
        socket.socket(family, socket.SOCK_STREAM).close()
    except OSError:
        return False
    return True


def can_map_code() -> bool:
    """Memory that is written and then run: what a compiler of kernels needs."""
    try:
        mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC).close()
    except OSError:
        return False
    return True


SIGHTS: dict[str, Callable[[], object]] = {
    "user": lambda: Path("/proc/self/status").read_text().partition("Uid:")[2].split()[0],
    "owners": owners_of_other_processes,
    "cgroups": cgroups_of_processes,
    "boot_id": lambda: Path("/proc/sys/kernel/random/boot_id").read_text(),
    "driver": lambda: tree("/proc/driver"),
    "pci": lambda: tree("/sys/bus/pci/devices"),
    "pci_vendors": lambda: sorted(
        path.read_text() for path in Path("/sys/bus/pci/devices").glob("*/vendor")
    ),
    "memory": lambda: Path("/proc/meminfo").read_text().split()[1],
    "kernel_log": kernel_log,
    "kmsg": lambda: os.access("/dev/kmsg", os.R_OK),
    "clock_state": clock_state,
    "nvidia": lambda: device("/dev/nvidiactl"),
    "nvidia_caps": lambda: device("/dev/nvidia-caps/nvidia-cap2"),
    "other_device": lambda: device("/dev/other"),
    "writable": lambda: [path for path in sys.argv[1:] if can_write(path)],
    "homes": lambda: tree("/root"),
    "inet": lambda: can_make_socket(socket.AF_INET),
    "code": can_map_code,
    "packet": lambda: can_make_socket(socket.AF_PACKET),
}


def look(sight: Callable[[], object]) -> object:
    try:
        return sight()
    except (OSError, subprocess.CalledProcessError) as error:
        return {"blind": str(error)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps({name: look(sight) for name, sight in SIGHTS.items()}))
