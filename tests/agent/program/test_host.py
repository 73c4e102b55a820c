"""Facts from a file tree that stands for a machine, and who owns a process."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host.machine import Machine, classify, footprint, gpu_functions
from weighbridge.process.system_clock import boot_id, timesyncd_synchronized
from weighbridge.wire.report import OwnerClass, Reason

CONTAINER = "4f" * 32
OWNER = f"container:{CONTAINER}"


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """Two H100 on PCI, one of them on a retrained link, and a network card; no driver loaded."""
    gpu = {"vendor": "0x10de\n", "class": "0x030200\n", "device": "0x2330\n"}
    gpu |= {"subsystem_vendor": "0x10de\n", "subsystem_device": "0x16c1\n"}
    gpu |= {"max_link_width": "16\n", "max_link_speed": "32.0 GT/s PCIe\n"}
    good = gpu | {"current_link_width": "16\n", "current_link_speed": "32.0 GT/s PCIe\n"}
    narrow = gpu | {"current_link_width": "8\n", "current_link_speed": "2.5 GT/s PCIe\n"}
    pci = "sys/bus/pci/devices"
    write(tmp_path, {f"{pci}/0000:3b:00.0/{name}": text for name, text in good.items()})
    write(tmp_path, {f"{pci}/0000:86:00.0/{name}": text for name, text in narrow.items()})
    write(
        tmp_path,
        {f"{pci}/0000:01:00.0/vendor": "0x15b3\n", f"{pci}/0000:01:00.0/class": "0x020700"},
    )
    write(
        tmp_path,
        {
            "proc/cpuinfo": "processor\t: 0\nmodel name\t: EPYC\nflags\t: fpu hypervisor\n\n"
            "processor\t: 1\nmodel name\t: EPYC\nflags\t: fpu hypervisor\n",
            "proc/meminfo": "MemTotal:       1909409116 kB\nMemFree: 1 kB\n",
            "proc/cmdline": "quiet password=secret\n",
            "proc/sys/kernel/random/boot_id": "0b1c\n",
            "proc/71/comm": "nv-fabricmanage\n",
            "sys/class/infiniband/mlx5_0/ports/1/state": "4: ACTIVE\n",
            "sys/class/infiniband/mlx5_0/ports/1/phys_state": "5: LinkUp\n",
            "sys/class/infiniband/mlx5_0/ports/1/rate": "400 Gb/sec (4X NDR)\n",
            "sys/class/infiniband/mlx5_0/ports/1/counters/link_downed": "3\n",
            "sys/class/nvme/nvme0/model": "x",
            "dev/nvidia0": "",
            "dev/nvidia-uvm": "",
        },
    )
    return tmp_path


def test_links_are_read_without_any_driver(machine: Path) -> None:
    host = Machine(machine, b"salt")
    state, identity = host.facts().readings, host.inventory().readings
    assert [path.name for path in gpu_functions(machine)] == ["0000:3b:00.0", "0000:86:00.0"]
    assert state["pci.0000:86:00.0.link_width_lanes"] == 8
    assert state["pci.0000:86:00.0.link_speed_megatransfers"] == 2500
    assert identity["pci.0000:86:00.0.max_link_speed_megatransfers"] == 32_000
    assert identity["nvidia_pci_functions_count"] == 2
    assert state["nvidia_device_nodes_count"] == 1


def test_the_machine_is_described_in_named_units(machine: Path) -> None:
    host = Machine(machine, b"salt")
    identity, state = host.inventory().readings, host.facts().readings
    assert identity["memory_total_bytes"] == 1909409116 * 1024
    assert (identity["cpu_count"], identity["nvme_count"], identity["hypervisor_code"]) == (2, 1, 1)
    assert state["infiniband.mlx5_0.1.rate_gigabits"] == 400
    assert state["infiniband.mlx5_0.1.link_downed_count"] == 3
    assert (state["fabric_manager_code"], state["persistence_daemon_code"]) == (1, 0)


def test_what_is_not_there_has_a_reason_and_no_number(machine: Path) -> None:
    facts = Machine(machine, b"salt").facts()
    assert facts.unavailable["nvidia_module_version"] is Reason.NOT_FOUND
    (machine / "sys/bus/pci/devices/0000:3b:00.0/current_link_width").write_text("Unknown")
    facts = Machine(machine, b"salt").facts()
    assert facts.unavailable["pci.0000:3b:00.0.link_width_lanes"] is Reason.ERROR


def test_an_empty_machine_is_all_reasons_and_no_crash(tmp_path: Path) -> None:
    host = Machine(tmp_path, b"salt")
    assert host.inventory().readings.keys() == {"nvme_count"}
    assert host.inventory().unavailable["nvidia_pci_functions_count"] is Reason.NOT_FOUND
    assert host.owner(1)[1] is OwnerClass.UNKNOWN


def test_a_directory_that_may_not_be_read_is_not_counted_as_empty(
    machine: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def closed(directory: Path) -> Iterator[Path]:
        raise PermissionError(errno.EACCES, "closed", str(directory))

    monkeypatch.setattr(Path, "iterdir", closed)
    host = Machine(machine, b"salt")
    told = {**host.inventory().unavailable, **host.facts().unavailable}
    for name in ("nvme_count", "nvidia_pci_functions_count", "nvidia_device_nodes_count"):
        assert told[name] is Reason.NO_PERMISSION
    assert told["fabric_manager_code"] is Reason.NO_PERMISSION


def test_the_kernel_command_line_leaves_only_as_a_hash(machine: Path) -> None:
    assert "secret" not in repr(Machine(machine, b"salt").inventory())


@pytest.mark.parametrize(
    ("groups", "user", "kind", "identity"),
    [
        (f"0::/system.slice/docker-{CONTAINER}.scope\n", 0, OwnerClass.CONTAINER, OWNER),
        (f"0::/machine.slice/libpod-{CONTAINER}.scope/container\n", 1000, OwnerClass.CONTAINER, OWNER),
        (f"12:cpu:/docker/{CONTAINER}\n0::/\n", 0, OwnerClass.CONTAINER, OWNER),
        (
            "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-"
            f"pod0a1b2c3d_1111_2222_3333_444455556666.slice/cri-containerd-{CONTAINER}.scope\n",
            0,
            OwnerClass.CONTAINER,
            "pod:0a1b2c3d-1111-2222-3333-444455556666",
        ),
        ("0::/lxc.payload.tenant/user.slice\n", 100000, OwnerClass.CONTAINER, "lxc:tenant"),
        ("0::/user.slice/user-1000.slice/session-3.scope\n", 1000, OwnerClass.USER, "user:1000"),
        ("0::/user.slice/user-0.slice/session-4.scope\n", 0, OwnerClass.USER, "user:0"),
        ("0::/system.slice/nvidia-persistenced.service\n", 110, OwnerClass.SYSTEM, "system:110"),
        ("0::/\n", 0, OwnerClass.UNKNOWN, "user:0"),
    ],
)  # fmt: skip
def test_an_owner_is_a_tenant_and_not_a_process(
    groups: str, user: int, kind: OwnerClass, identity: str
) -> None:
    assert classify(groups, user) == (kind, identity)


def test_owners_are_salted_and_stable(machine: Path) -> None:
    write(machine, {"proc/9/cgroup": f"0::/system.slice/docker-{CONTAINER}.scope\n"})
    write(machine, {"proc/10/cgroup": f"0::/system.slice/docker-{CONTAINER}.scope\n"})
    one, other = Machine(machine, b"one"), Machine(machine, b"other")
    assert one.owner(9) == one.owner(10)
    assert one.owner(9)[0] != other.owner(9)[0]
    assert CONTAINER[:12] not in one.owner(9)[0]


def test_its_own_cost_is_that_of_the_whole_family() -> None:
    cost = footprint(Path("/"), os.getpid())
    assert cost.pss_bytes > 1 << 20
    assert cost.cpu_us > 0


def test_boot_and_time_service_are_read_below_the_root(machine: Path) -> None:
    assert boot_id(machine) == "0b1c"
    assert timesyncd_synchronized(machine) is None
    (machine / "run/systemd/timesync").mkdir(parents=True)
    assert timesyncd_synchronized(machine) is False
    write(machine, {"run/systemd/timesync/synchronized": ""})
    assert timesyncd_synchronized(machine) is True
