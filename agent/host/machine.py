"""What the node says without NVML: procfs and sysfs below an injected root.

PCI functions and their links stay readable when the driver is dead or gone. No command line, host name or address is
among the facts, and of processes no name but those of known services; any other owner is a salted hash and a class.
"""

import errno
import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from agent.host.kernel_files import (
    Reader,
    Value,
    attribute,
    entries,
    file,
    listed,
    number,
    require_classes,
    text,
)
from agent.host.owners import classify
from agent.host.ports import ETHERNET, INFINIBAND, ethernet_ports, rdma_ports
from weighbridge.catalogue.services import COMM_LENGTH, PROBE
from weighbridge.wire.report import Facts, OwnerClass, Reason

NVIDIA = "0x10de"
PCI_DEVICES = "sys/bus/pci/devices"
MOST_FUNCTIONS = 32
_DISPLAY_CLASSES = ("0x0300", "0x0302")
_NAMESPACE = re.compile(r"(nvme\d+)(?:c\d+)?(n\d+)")
MOST_PORTS = 32
"""Of each kind: a node of sixteen GPUs has half as many, and a report holds so many facts and no more."""
SECTOR_BYTES = 512
"""`size` of a block device counts in these, whatever its own sectors are."""
GENERATIONS = 4
"""Between the agent and a worker of a probe that it started there are no more."""
THIS_NAMESPACE, OTHER_NAMESPACE = 0, 1
INITIAL_PID_NAMESPACE = "pid:[4026531836]"
"""PROC_PID_INIT_INO of the kernel's include/linux/proc_ns.h. In any other one, processes of the machine are not seen,
and the numbers by which a driver names them may be those of others."""


class Machine:
    """The facts of the machine below `root` ("/" on a real one)."""

    def __init__(self, root: Path, salt: bytes, own: int | None = None) -> None:
        """`own`: the agent's process."""
        self._root, self._salt = root, salt
        self._own = os.getpid() if own is None else own

    def inventory(self) -> Facts:
        """What identifies the machine and does not change while it runs."""
        readers: dict[str, Reader] = dict(_IDENTITY)
        for function in gpu_functions(self._root):
            readers |= {
                f"pci.{function.name}.{name}": _below(function, read)
                for name, read in (_PCI_IDENTITY | _PCI_SECOND_SOURCE).items()
            }
        return _facts(self._root, readers)

    def facts(self) -> Facts:
        """What may change from minute to minute."""
        readers: dict[str, Reader] = dict(_STATE)
        for function in gpu_functions(self._root):
            readers |= {
                f"pci.{function.name}.{name}": _below(function, read)
                for name, read in _PCI_STATE.items()
            }
        for port in _shown(rdma_ports, self._root):
            prefix = f"infiniband.{port.parent.parent.name}.{port.name}"
            readers |= {f"{prefix}.{name}": _below(port, read) for name, read in INFINIBAND.items()}
        for port in _shown(ethernet_ports, self._root):
            readers |= {
                f"ethernet.{port.name}.{name}": _below(port, read)
                for name, read in ETHERNET.items()
            }
        return _facts(self._root, readers)

    def owner(self, pid: int) -> tuple[str, OwnerClass] | None:
        """Who owns a process: the name of a known service, or a hash that means nothing elsewhere; and a class.

        None for a process that is gone. One whose owner cannot be read, or that another namespace numbers, is unknown.
        """
        process = self._root / f"proc/{pid}"
        if _pid_namespace(self._root) == OTHER_NAMESPACE:
            return self._hash("unknown"), OwnerClass.UNKNOWN
        try:
            groups, user = (process / "cgroup").read_text(), process.stat().st_uid
        except (FileNotFoundError, ProcessLookupError):
            # Whoever may not see the first process may not see this one either.
            gone = _exists(self._root, "proc/1") and not process.exists()
            return None if gone else (self._hash("unknown"), OwnerClass.UNKNOWN)
        except OSError:
            return self._hash("unknown"), OwnerClass.UNKNOWN
        kind, identity = classify(groups, user, attribute(process / "comm"))
        if kind is not OwnerClass.SYSTEM and self._is_own(process):
            kind, identity = OwnerClass.SYSTEM, PROBE
        return (identity if kind is OwnerClass.SYSTEM else self._hash(identity)), kind

    def _is_own(self, process: Path) -> bool:
        """Whether the agent started it, or what started it: nothing but a probe holds memory then."""
        for _ in range(GENERATIONS):
            try:
                parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                return False
            if parent == self._own:
                return True
            process = self._root / f"proc/{parent}"
        return False

    def _hash(self, identity: str) -> str:
        return hashlib.sha256(self._salt + identity.encode()).hexdigest()[:32]


def gpu_functions(root: Path) -> list[Path]:
    """NVIDIA's display and 3D controllers on the PCI bus, whether or not a driver is bound, by address.

    The first ones of more than a report has room for.
    """
    return [path for path in listed(root / PCI_DEVICES) if _is_gpu(path)][:MOST_FUNCTIONS]


def _count_gpu_functions(root: Path) -> int:
    """Raises OSError where the bus is not shown: that too is no zero, which would mean that a GPU is missing.

    A bus without any function is one that is not shown: so a container may see it.
    """
    functions = list((root / PCI_DEVICES).iterdir())
    if not functions:
        raise FileNotFoundError(errno.ENOENT, "no function on the bus", PCI_DEVICES)
    return sum(map(_is_gpu, functions))


def _is_gpu(function: Path) -> bool:
    """Not the virtual functions that a card is cut into for guests: they are parts of it."""
    try:
        return (
            text(function / "vendor") == NVIDIA
            and text(function / "class").startswith(_DISPLAY_CLASSES)
            and not (function / "physfn").is_symlink()
        )
    except OSError:
        return False


def _shown(ports: Callable[[Path], list[Path]], root: Path) -> list[Path]:
    """As many as a report holds; none where they may not be read, which their count says."""
    try:
        return ports(root)[:MOST_PORTS]
    except OSError:
        return []


def _facts(root: Path, readers: Mapping[str, Reader]) -> Facts:
    readings: dict[str, Value] = {}
    unavailable: dict[str, Reason] = {}
    for name, read in readers.items():
        try:
            readings[name] = read(root)
        except OSError as error:
            unavailable[name] = _REASONS.get(error.errno or 0, Reason.ERROR)
        except (ValueError, IndexError, KeyError):
            unavailable[name] = Reason.ERROR
    return Facts(readings=readings, unavailable=unavailable)


_REASONS = {
    errno.ENOENT: Reason.NOT_FOUND,
    errno.ENOTDIR: Reason.NOT_FOUND,
    errno.ENODEV: Reason.NOT_FOUND,
    errno.EACCES: Reason.NO_PERMISSION,
    errno.EPERM: Reason.NO_PERMISSION,
}


def _below(directory: Path, read: Reader) -> Reader:
    return lambda _: read(directory)


def _hashed(name: str) -> Reader:
    return lambda root: hashlib.sha256((root / name).read_bytes()).hexdigest()


def _cpuinfo(root: Path, key: str) -> Iterator[str]:
    for line in (root / "proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == key:
            yield value.strip()


def _cpu_model(root: Path) -> str:
    return next(_cpuinfo(root, "model name"), None) or next(_cpuinfo(root, "CPU part"), "unknown")


def _hypervisor(root: Path) -> int:
    """The flag that a hypervisor sets for its guests (x86); elsewhere the device tree or /sys/hypervisor says it."""
    flags = next(_cpuinfo(root, "flags"), None)
    if flags is not None:
        return int("hypervisor" in flags.split())
    return int(
        (root / "proc/device-tree/hypervisor").exists() or _exists(root, "sys/hypervisor/type")
    )


def _exists(root: Path, name: str) -> int:
    return int((root / name).exists())


def _memory_total(root: Path) -> int:
    for line in (root / "proc/meminfo").read_text().splitlines():
        if line.startswith("MemTotal:"):
            return int(line.split()[1]) * 1024
    raise ValueError("no MemTotal")


def _nvme(root: Path) -> int:
    return sum(
        re.fullmatch(r"nvme\d+", path.name) is not None for path in entries(root / "sys/class/nvme")
    )


def _nvme_bytes(root: Path) -> int:
    """All namespaces of drives in the node, each once, by however many paths it is reached; none over a network."""
    require_classes(root)
    found: dict[str, Path] = {}
    for path in [*entries(root / "sys/block"), *_controlled(root)]:
        match = _NAMESPACE.fullmatch(path.name)
        if match is not None and _is_local(path):
            found.setdefault(attribute(path / "wwid") or match[1] + match[2], path)
    return sum(int(text(path / "size")) * SECTOR_BYTES for path in found.values())


def _controlled(root: Path) -> Iterator[Path]:
    for controller in entries(root / "sys/class/nvme"):
        yield from listed(controller)


def _is_local(namespace: Path) -> bool:
    """By the transport of its controllers. Behind several paths its device is a subsystem, which has them below it."""
    device = namespace / "device" if (namespace / "device").exists() else namespace.parent
    told = {attribute(one / "transport") for one in (device, *listed(device)) if one.is_dir()} - {
        ""
    }
    return not told or "pcie" in told


def _device_nodes(root: Path) -> int:
    return sum(re.fullmatch(r"nvidia\d+", path.name) is not None for path in entries(root / "dev"))


def _module_version(root: Path) -> str:
    version = text(root / "proc/driver/nvidia/version")
    return str(re.findall(r"\b\d{3,}\.\d+(?:\.\d+)?\b", version)[0])


def _running(comm: str) -> Reader:
    """1 if a process of that name runs; the kernel keeps 15 characters of it."""

    def read(root: Path) -> int:
        for entry in entries(root / "proc"):
            if entry.name.isdigit() and attribute(entry / "comm") == comm[:COMM_LENGTH]:
                return 1
        return 0

    return read


def _megatransfers(name: str) -> Reader:
    """`16.0 GT/s PCIe` -> 16000."""

    def read(function: Path) -> int:
        whole, _, part = text(function / name).split()[0].partition(".")
        return int(whole) * 1000 + int((part + "000")[:3])

    return read


def _largest_bar(function: Path) -> int:
    """The size of the largest region of memory that a function opens on the bus: `first last flags`, a line each."""
    lines = (function / "resource").read_text().splitlines()
    regions = ([int(end, 16) for end in line.split()[:2]] for line in lines)
    return max(last - first + 1 for first, last in regions if last)


def _pid_namespace(root: Path) -> int | None:
    """Whether the agent sees the processes of the whole machine; None where nobody says."""
    try:
        namespace = str((root / "proc/self/ns/pid").readlink())
    except OSError:
        return None
    return THIS_NAMESPACE if namespace == INITIAL_PID_NAMESPACE else OTHER_NAMESPACE


def _namespace_code(root: Path) -> int:
    code = _pid_namespace(root)
    if code is None:
        raise FileNotFoundError(errno.ENOENT, "no namespace")
    return code


_IDENTITY: Mapping[str, Reader] = {
    "pid_namespace_code": _namespace_code,
    "cpu_model": _cpu_model,
    "cpu_count": lambda root: sum(1 for _ in _cpuinfo(root, "processor")),
    "memory_total_bytes": _memory_total,
    "nvme_count": _nvme,
    "nvme_bytes": _nvme_bytes,
    "nvidia_pci_functions_count": _count_gpu_functions,
    "nvidia_module_sysfs_version": file("sys/module/nvidia/version"),
    "kernel_release": file("proc/sys/kernel/osrelease"),
    "kernel_command_line_sha256": _hashed("proc/cmdline"),
    "hypervisor_code": _hypervisor,
    "dmi_system_vendor": file("sys/class/dmi/id/sys_vendor"),
    "dmi_product_name": file("sys/class/dmi/id/product_name"),
    "dmi_board_name": file("sys/class/dmi/id/board_name"),
}

_STATE: Mapping[str, Reader] = {
    "nvidia_module_version": _module_version,
    "nvidia_device_nodes_count": _device_nodes,
    "nvidia_control_node_code": lambda root: _exists(root, "dev/nvidiactl"),
    "nvidia_pci_functions_count": _count_gpu_functions,
    "rdma_ports_count": lambda root: len(rdma_ports(root)),
    "ethernet_ports_count": lambda root: len(ethernet_ports(root)),
    "fabric_manager_code": _running("nv-fabricmanager"),
    "persistence_daemon_code": _running("nvidia-persistenced"),
}

_PCI_IDENTITY: dict[str, Reader] = {
    "device_id": file("device"),
    "subsystem_vendor_id": file("subsystem_vendor"),
    "subsystem_device_id": file("subsystem_device"),
    "max_link_width_lanes": number("max_link_width"),
    "max_link_speed_megatransfers": _megatransfers("max_link_speed"),
}

_PCI_SECOND_SOURCE: dict[str, Reader] = {
    "bar_largest_bytes": _largest_bar,
}
"""What is held against NVML, past the driver."""

_PCI_STATE: Mapping[str, Reader] = {
    "link_width_lanes": number("current_link_width"),
    "link_speed_megatransfers": _megatransfers("current_link_speed"),
}
