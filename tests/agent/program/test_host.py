"""Facts from a file tree that stands for a machine, and who owns a process."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.host.footprint import footprint
from agent.host.machine import Machine, gpu_functions
from agent.host.owners import classify
from agent.nvml.kernel_words import kernel_words
from weighbridge.process.system_clock import boot_id, timesyncd_synchronized
from weighbridge.wire.report import MAX_FACTS, OwnerClass, Reason, encode

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
            "sys/class/infiniband/mlx5_0/ports/1/link_layer": "InfiniBand\n",
            "sys/class/nvme/nvme0/model": "x",
            "sys/class/nvme/nvme0/nvme0n1/size": "7501476528\n",
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


def test_the_largest_window_and_the_modules_version_are_read_past_the_driver(machine: Path) -> None:
    regions = "0x38a000000000 0x38a000ffffff 0x14220c\n0x0 0x0 0x0\n"
    regions += "0x38c000000000 0x38dfffffffff 0x14220c\n0x0 0x0 0x0\n"
    write(machine, {"sys/bus/pci/devices/0000:3b:00.0/resource": regions})
    write(machine, {"sys/module/nvidia/version": "580.65.06\n"})
    identity = Machine(machine, b"salt").inventory()
    assert identity.readings["pci.0000:3b:00.0.bar_largest_bytes"] == 128 << 30
    assert identity.readings["nvidia_module_sysfs_version"] == "580.65.06"
    assert identity.unavailable["pci.0000:86:00.0.bar_largest_bytes"] is Reason.NOT_FOUND


def test_a_function_whose_windows_are_closed_has_no_largest_one(machine: Path) -> None:
    write(machine, {"sys/bus/pci/devices/0000:3b:00.0/resource": "0x0 0x0 0x0\n"})
    identity = Machine(machine, b"salt").inventory()
    assert identity.unavailable["pci.0000:3b:00.0.bar_largest_bytes"] is Reason.ERROR


def test_what_a_card_is_cut_into_for_guests_is_no_gpu_of_its_own(machine: Path) -> None:
    pci = machine / "sys/bus/pci/devices"
    for number in range(300):
        guest = pci / f"0000:3b:{number // 8:02x}.{number % 8 + 1}"
        write(guest, {"vendor": "0x10de\n", "class": "0x030200\n"})
        (guest / "physfn").symlink_to("../0000:3b:00.0")
    identity = Machine(machine, b"salt").inventory()
    assert identity.readings["nvidia_pci_functions_count"] == 2
    assert encode(identity)


def test_a_bus_that_shows_nothing_at_all_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "sys/bus/pci/devices").mkdir(parents=True)
    facts = Machine(tmp_path, b"salt").inventory()
    assert facts.unavailable["nvidia_pci_functions_count"] is Reason.NOT_FOUND


INFORMATION = """\
Model: \t\t NVIDIA H100 80GB HBM3
IRQ:   \t\t 10
GPU UUID: \t GPU-9221d5d1-b60b-a624-bf14-0a1819cfda3b
Video BIOS: \t 96.00.99.00.01
Bus Type: \t PCIe
DMA Size: \t 52 bits
Bus Location: \t 0000:62:00.0
Device Minor: \t 5
GPU Excluded:\t No
"""


@pytest.mark.parametrize("told", ["00000000:62:00.0", "00000000:62:00.0".upper()])
def test_the_kernel_modules_words_are_found_by_the_address_that_nvml_tells(
    tmp_path: Path, told: str
) -> None:
    write(tmp_path, {"0000:62:00.0/information": INFORMATION})
    words = kernel_words(told, tmp_path)
    assert words["GPU UUID"] == "GPU-9221d5d1-b60b-a624-bf14-0a1819cfda3b"
    assert words["Model"] == "NVIDIA H100 80GB HBM3"


def test_what_the_kernel_module_does_not_know_is_no_word(tmp_path: Path) -> None:
    unknown = "Model: \t Unknown\nGPU UUID: \t GPU-????????-????-????-????-????????????\nIRQ: 7\n"
    write(tmp_path, {"29ce:00:00.0/information": unknown})
    assert kernel_words("000029CE:00:00.0", tmp_path) == {"IRQ": "7"}


@pytest.mark.parametrize("address", ["", "00000000:99:00.0", "nonsense"])
def test_a_gpu_of_which_the_kernel_module_says_nothing_is_not_found(
    tmp_path: Path, address: str
) -> None:
    with pytest.raises(FileNotFoundError):
        kernel_words(address, tmp_path)


def test_the_machine_is_described_in_named_units(machine: Path) -> None:
    host = Machine(machine, b"salt")
    identity, state = host.inventory().readings, host.facts().readings
    assert identity["memory_total_bytes"] == 1909409116 * 1024
    assert (identity["cpu_count"], identity["nvme_count"], identity["hypervisor_code"]) == (2, 1, 1)
    assert state["infiniband.mlx5_0.1.rate_gigabits"] == 400
    assert state["infiniband.mlx5_0.1.link_downed_count"] == 3
    assert state["infiniband.mlx5_0.1.link_layer"] == "InfiniBand"
    assert state["infiniband.mlx5_0.1.generation"] == "4X NDR"
    assert (state["rdma_ports_count"], state["ethernet_ports_count"]) == (1, 0)
    assert identity["nvme_bytes"] == 3_840_755_982_336
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
    assert class_of(host.owner(1)) is OwnerClass.UNKNOWN


def class_of(owner: tuple[str, OwnerClass] | None) -> OwnerClass:
    assert owner is not None
    return owner[1]


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
        ("0::/system.slice/nvidia-persistenced.service\n", 110, OwnerClass.SYSTEM, "persistence_daemon"),
        ("1:name=systemd:/system.slice/nvidia-dcgm.service\n", 0, OwnerClass.SYSTEM, "host_engine"),
        ("0::/system.slice/system-w.slice/weighbridge-probe@7-1.service\n", 998, OwnerClass.SYSTEM, "probe"),
        ("0::/system.slice/slurmd.service\n", 0, OwnerClass.USER, "user:0"),
        ("0::/system.slice/not-nvidia-dcgm.service\n", 0, OwnerClass.USER, "user:0"),
        ("0::/user.slice/user@1000.service/app.slice/nvidia-dcgm.service\n", 1000, OwnerClass.USER, "user:1000"),
        ("0::/machine.slice/machine-qemu\\x2d1.scope\n", 0, OwnerClass.CONTAINER, "machine:qemu\\x2d1.scope"),
        ("0::/init.scope\n", 0, OwnerClass.USER, "user:0"),
        ("0::/\n", 0, OwnerClass.USER, "user:0"),
    ],
)  # fmt: skip
def test_an_owner_is_a_tenant_and_not_a_process(
    groups: str, user: int, kind: OwnerClass, identity: str
) -> None:
    assert classify(groups, user) == (kind, identity)


@pytest.mark.parametrize(
    ("comm", "user", "groups", "service"),
    [
        ("Xorg", 0, "0::/user.slice/user-0.slice/session-2.scope\n", "display_server"),
        ("gnome-shell", 120, "0::/user.slice/user-120.slice/session-c1.scope\n", "display_server"),
        ("nv-hostengine", 0, "0::/\n", "host_engine"),
        ("nvidia-cuda-mps", 999, "0::/system.slice/tenants.service\n", "mps"),
        ("nvidia-cuda-mps-server", 999, "0::/\n", "mps"),
        ("Xorg", 1000, "0::/user.slice/user-1000.slice/session-2.scope\n", None),
        ("Xorg", 0, f"0::/system.slice/docker-{CONTAINER}.scope\n", None),
        ("Xorg2", 0, "0::/system.slice/miner.service\n", None),
        ("python3", 0, "0::/system.slice/miner.service\n", None),
    ],
)
def test_a_service_is_known_by_a_name_that_no_user_of_the_node_can_take(
    comm: str, user: int, groups: str, service: str | None
) -> None:
    kind, identity = classify(groups, user, comm)
    assert (identity if kind is OwnerClass.SYSTEM else None) == service


def test_of_a_process_no_name_but_that_of_a_known_service_is_told(machine: Path) -> None:
    write(
        machine,
        {"proc/9/cgroup": "0::/system.slice/secret-work.service\n", "proc/9/comm": "secret"},
    )
    write(machine, {"proc/10/cgroup": "0::/system.slice/nvidia-dcgm.service\n"})
    host = Machine(machine, b"salt")
    assert host.owner(10) == ("host_engine", OwnerClass.SYSTEM)
    assert "secret" not in repr(host.owner(9))


def test_a_process_that_is_gone_has_no_owner_and_one_that_may_not_be_seen_an_unknown_one(
    machine: Path,
) -> None:
    host = Machine(machine, b"salt")
    assert class_of(host.owner(9)) is OwnerClass.UNKNOWN
    write(machine, {"proc/1/comm": "systemd\n"})
    assert host.owner(9) is None
    write(machine, {"proc/9/comm": "python3\n"})
    assert class_of(host.owner(9)) is OwnerClass.UNKNOWN


@pytest.mark.parametrize(("namespace", "code"), [("4026531836", 0), ("4026532281", 1)])
def test_in_another_namespace_a_number_is_nobodys_process(
    machine: Path, namespace: str, code: int
) -> None:
    write(
        machine,
        {"proc/9/cgroup": f"0::/system.slice/docker-{CONTAINER}.scope\n", "proc/1/comm": "init\n"},
    )
    (machine / "proc/self/ns").mkdir(parents=True)
    (machine / "proc/self/ns/pid").symlink_to(f"pid:[{namespace}]")
    host = Machine(machine, b"salt")
    expected = (OwnerClass.CONTAINER, OwnerClass.UNKNOWN)[code]
    assert class_of(host.owner(9)) is expected
    assert host.inventory().readings["pid_namespace_code"] == code


def test_what_the_agent_started_itself_is_the_probe(machine: Path) -> None:
    tenant = f"0::/system.slice/docker-{CONTAINER}.scope\n"
    chain = {11: 7, 12: 11, 13: 12, 14: 13, 15: 14, 20: 1}
    for pid, parent in chain.items():
        stat = f"{pid} (a ) b) S {parent} 1 1 0\n"
        write(machine, {f"proc/{pid}/stat": stat, f"proc/{pid}/cgroup": tenant})
    host = Machine(machine, b"salt", own=7)
    kinds = {pid: class_of(host.owner(pid)) for pid in chain}
    own = {pid for pid, kind in kinds.items() if kind is OwnerClass.SYSTEM}
    assert own == {11, 12, 13, 14}
    assert host.owner(11) == ("probe", OwnerClass.SYSTEM)


def test_owners_are_salted_and_stable(machine: Path) -> None:
    write(machine, {"proc/9/cgroup": f"0::/system.slice/docker-{CONTAINER}.scope\n"})
    write(machine, {"proc/10/cgroup": f"0::/system.slice/docker-{CONTAINER}.scope\n"})
    one, other = Machine(machine, b"one"), Machine(machine, b"other")
    assert one.owner(9) == one.owner(10)
    assert one.owner(9) != other.owner(9)
    assert CONTAINER[:12] not in repr(one.owner(9))


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


def adapter(root: Path, name: str, function: str, **files: str) -> Path:
    """An RDMA device with one port that is up, of a PCI function."""
    place = root / "sys/devices" / function
    write(
        root,
        {
            f"sys/class/infiniband/{name}/ports/1/state": "4: ACTIVE\n",
            **{f"sys/devices/{function}/{key}": text for key, text in files.items()},
        },
    )
    place.mkdir(parents=True, exist_ok=True)
    (root / "sys/class/infiniband" / name / "device").symlink_to(place)
    return root / "sys/class/infiniband" / name


def ports(root: Path) -> set[str]:
    told = Machine(root, b"salt").facts()
    shown = {
        name.rpartition(".")[0]
        for name in {**told.readings, **told.unavailable}
        if name.startswith(("infiniband.", "ethernet."))
    }
    counts = (told.readings["rdma_ports_count"], told.readings["ethernet_ports_count"])
    assert counts == tuple(
        sum(name.startswith(kind) for name in shown) for kind in ("infiniband.", "ethernet.")
    )
    return shown


def test_a_port_that_is_lent_or_made_of_another_is_not_counted_twice(tmp_path: Path) -> None:
    adapter(tmp_path, "mlx5_0", "pci/0000:08:00.0")
    (adapter(tmp_path, "mlx5_1", "pci/0000:08:00.1") / "device/physfn").mkdir()
    adapter(tmp_path, "mlx5_2", "pci/0000:08:00.0/mlx5_core.sf.4")
    adapter(tmp_path, "mlx5_3", "pci/0000:09:00.0", vpd="[V0] Vendor specific: SMDL=SW_MNG")
    write(tmp_path, {"sys/class/infiniband/rxe0/parent": "eth0\n"})
    write(tmp_path, {"sys/class/infiniband/rxe0/ports/1/state": "4: ACTIVE\n"})
    write(tmp_path, {"sys/class/infiniband/siw0/node_type": "4: RNIC\n"})
    write(tmp_path, {"sys/class/infiniband/siw0/ports/1/state": "4: ACTIVE\n"})
    assert ports(tmp_path) == {"infiniband.mlx5_0.1"}


def interface(root: Path, name: str, own: bool = True, **files: str) -> None:
    given = {"type": "1\n", "operstate": "up\n", "speed": "400000\n", "carrier_down_count": "2\n"}
    write(root, {f"sys/class/net/{name}/{key}": text for key, text in (given | files).items()})
    if own:
        write(root, {f"sys/class/net/{name}/device/vendor": "0x15b3\n"})


def test_a_network_port_is_one_of_a_card_and_no_bridge_bond_or_share(tmp_path: Path) -> None:
    interface(tmp_path, "eth0", phys_port_name="p0\n")
    interface(tmp_path, "ib0", type="32\n")
    interface(tmp_path, "br0", own=False)
    interface(tmp_path, "eth0v0")
    (tmp_path / "sys/class/net/eth0v0/device/physfn").mkdir()
    interface(tmp_path, "eth0r0", phys_port_name="pf0vf0\n")
    interface(tmp_path, "eth0s1", phys_port_name="c1pf0sf88\n")
    interface(tmp_path, "wlan0")
    (tmp_path / "sys/class/net/wlan0/phy80211").mkdir()
    interface(tmp_path, "bad name")
    assert ports(tmp_path) == {"ethernet.eth0"}
    told = Machine(tmp_path, b"salt").facts().readings
    assert told["ethernet.eth0.operational_state_code"] == 6
    assert told["ethernet.eth0.rate_gigabits"] == 400
    assert told["ethernet.eth0.carrier_down_count"] == 2
    interface(tmp_path, "eth0", operstate="down\n", speed="-1\n")
    told_now = Machine(tmp_path, b"salt").facts()
    assert told_now.readings["ethernet.eth0.operational_state_code"] == 2
    assert told_now.unavailable["ethernet.eth0.rate_gigabits"] is Reason.NOT_FOUND


def test_no_port_is_counted_where_the_kernel_shows_no_classes(tmp_path: Path) -> None:
    facts = Machine(tmp_path, b"salt").facts()
    assert facts.unavailable["rdma_ports_count"] is Reason.NOT_FOUND
    (tmp_path / "sys/class/net").mkdir(parents=True)
    assert ports(tmp_path) == set()


def test_more_ports_than_a_report_holds_are_counted_and_not_all_shown(tmp_path: Path) -> None:
    for number in range(64):
        adapter(tmp_path, f"mlx5_{number}", f"pci/0000:{number:02x}:00.0")
        interface(tmp_path, f"eth{number}")
    told = Machine(tmp_path, b"salt").facts()
    assert told.readings["rdma_ports_count"] == told.readings["ethernet_ports_count"] == 64
    assert len({**told.readings, **told.unavailable}) < MAX_FACTS


def namespace(root: Path, name: str, size: int, **files: str) -> None:
    write(root, {f"sys/block/{name}/{key}": text for key, text in files.items()})
    write(root, {f"sys/block/{name}/size": f"{size}\n"})


def test_storage_is_that_of_local_drives_each_namespace_once(tmp_path: Path) -> None:
    """One plain drive with two namespaces, one behind two controllers of a subsystem, the same one with the kernel's
    multipath off, one over the network, a partition, and a disk that is none."""
    namespace(tmp_path, "nvme0n1", 10, wwid="eui.01", **{"device/transport": "pcie\n"})
    namespace(tmp_path, "nvme0n2", 1, wwid="eui.02", **{"device/transport": "pcie\n"})
    namespace(tmp_path, "nvme1n1", 100, wwid="eui.11", **{"device/nvme1/transport": "pcie\n"})
    namespace(tmp_path, "nvme1c1n1", 100, wwid="eui.11", **{"device/transport": "pcie\n"})
    namespace(tmp_path, "nvme1c2n1", 100, wwid="eui.11", **{"device/transport": "pcie\n"})
    namespace(tmp_path, "nvme2n1", 100, wwid="eui.11", **{"device/transport": "pcie\n"})
    namespace(tmp_path, "nvme3n1", 1000, wwid="eui.31", **{"device/transport": "tcp\n"})
    namespace(tmp_path, "nvme4n1", 1000, wwid="eui.41", **{"device/nvme4/transport": "rdma\n"})
    namespace(tmp_path, "nvme0n1p1", 5)
    namespace(tmp_path, "sda", 7)
    write(tmp_path, {"sys/class/nvme/nvme0/transport": "pcie\n"})
    write(tmp_path, {"sys/class/nvme/nvme0/nvme0n1/size": "10\n"})
    write(tmp_path, {"sys/class/nvme/nvme0/nvme0n1/wwid": "eui.01\n"})
    assert Machine(tmp_path, b"salt").inventory().readings["nvme_bytes"] == 111 * 512


def test_storage_of_which_nothing_can_be_read_is_no_zero(tmp_path: Path) -> None:
    assert "nvme_bytes" in Machine(tmp_path, b"salt").inventory().unavailable
    namespace(tmp_path, "nvme0n1", 10)
    (tmp_path / "sys/class").mkdir()
    (tmp_path / "sys/block/nvme0n1/size").write_text("unknown")
    told = Machine(tmp_path, b"salt").inventory().unavailable
    assert told["nvme_bytes"] is Reason.ERROR
