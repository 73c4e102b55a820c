"""What the units can see and do, as a real systemd applies them. Limits are named in systemd/README.md."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.systemd.sandbox import Sandbox

AGENT = "weighbridge-agent.service"
COLLECTOR = "weighbridge-collector.service"
PROBER = "weighbridge-probe@1.service"
LESSEE_UID = 4242

See = Callable[..., dict[str, Any]]


def _names(directory: str) -> list[str]:
    return sorted(path.name for path in Path(directory).iterdir())


def _blind_to(seen: dict[str, Any]) -> set[str]:
    """The sights that an agent needs and that this one lacks."""
    needed = {
        "owners": seen["owners"].get("sleep") == LESSEE_UID,
        "cgroups": "/system.slice/lessee.service" in seen["cgroups"],
        "boot_id": seen["boot_id"] == Path("/proc/sys/kernel/random/boot_id").read_text(),
        "driver": seen["driver"] == _names("/proc/driver"),
        "pci": seen["pci"] == _names("/sys/bus/pci/devices"),
        "memory": str(seen["memory"]).isdigit(),
        "kernel_log": "weighbridge test of the units: " in seen["kernel_log"],
        "clock": isinstance(seen["clock_state"], int) and seen["clock_state"] >= 0,
        "nvidia": seen["nvidia"] == "allowed",
        "nvidia_caps": seen["nvidia_caps"] == "allowed",
        "inet": seen["inet"],
    }
    return {name for name, sighted in needed.items() if not sighted}


def test_the_agents_unit_sees_all_that_the_agent_reports(seen_from: See) -> None:
    assert _blind_to(seen_from(AGENT)) == set()


@pytest.mark.parametrize(
    ("directive", "hidden"),
    [
        ("ProtectProc=invisible", {"owners", "cgroups"}),
        ("ProtectProc=noaccess", {"owners", "cgroups"}),
        ("ProcSubset=pid", {"boot_id", "driver", "memory", "kernel_log"}),
        ("PrivateUsers=yes", {"owners"}),
        ("PrivateDevices=yes", {"nvidia", "nvidia_caps"}),
        ("DeviceAllow=\nDeviceAllow=char-mem r", {"nvidia", "nvidia_caps"}),
        ("ProtectClock=yes", {"clock"}),
        ("InaccessiblePaths=/run/log/journal", {"kernel_log"}),
        ("InaccessiblePaths=/sys/bus/pci", {"pci"}),
        ("RestrictAddressFamilies=\nRestrictAddressFamilies=AF_UNIX", {"inet"}),
    ],
)
def test_a_directive_that_blinds_the_agent_is_noticed(
    seen_from: See, directive: str, hidden: set[str]
) -> None:
    assert _blind_to(seen_from(AGENT, directive)) == hidden


def test_the_kernels_own_device_says_that_it_is_closed(seen_from: See) -> None:
    """The agent turns to the journal only where it may not read the device."""
    assert seen_from(AGENT)["kmsg"] is False


def test_an_agent_outside_the_journals_group_is_blind_to_the_kernel_log(
    sandbox: Sandbox, seen_from: See
) -> None:
    sandbox.write("usr/lib/sysusers.d/weighbridge.conf", "u weighbridge-agent -\n")
    sandbox.write("usr/lib/tmpfiles.d/weighbridge.conf", "")
    assert _blind_to(seen_from(AGENT)) == {"kernel_log"}


@pytest.mark.parametrize("unit", [AGENT, COLLECTOR])
def test_a_unit_writes_in_its_own_directories_alone(seen_from: See, unit: str) -> None:
    name = unit.removesuffix(".service")
    own = [f"/var/lib/{name}", f"/run/{name}", "/tmp"]
    others = ["/etc", "/etc/weighbridge", "/usr", "/var/log", "/run", "/dev", "/var/lib"]
    assert seen_from(unit, looks_at=(*own, *others))["writable"] == own


@pytest.mark.parametrize("unit", [AGENT, COLLECTOR])
def test_a_unit_is_shut_out_of_what_it_does_not_need(seen_from: See, unit: str) -> None:
    seen = seen_from(unit)
    assert seen["user"] != "0"
    assert seen["other_device"] in {"denied", "missing"}
    assert "blind" in seen["homes"]
    assert not seen["packet"]


def test_the_collector_sees_no_process_and_no_device_but_its_own(seen_from: See) -> None:
    seen = seen_from(COLLECTOR)
    assert seen["owners"] == {}
    assert seen["nvidia"] == "missing"
    assert seen["inet"]


def test_the_prober_may_compute_and_reaches_nobody(seen_from: See) -> None:
    seen = seen_from(PROBER, "StandardInput=null", looks_at=("/tmp", "/etc", "/run", "/var/lib"))
    assert seen["user"] != "0"
    assert (seen["nvidia"], seen["nvidia_caps"], seen["code"]) == ("allowed", "allowed", True)
    assert (seen["inet"], seen["packet"], seen["owners"]) == (False, False, {})
    assert seen["driver"] == _names("/proc/driver")
    assert seen["writable"] == ["/tmp"]
    assert seen["other_device"] in {"denied", "missing"}


def test_the_agent_itself_may_not_run_what_it_wrote(seen_from: See) -> None:
    assert seen_from(AGENT)["code"] is False
