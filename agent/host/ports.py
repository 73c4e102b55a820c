"""Ports of the network between nodes, in sysfs: which devices are ports of the node's own, and what each tells."""

import errno
import os
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from agent.host.kernel_files import (
    Reader,
    attribute,
    file,
    leading_number,
    listed,
    number,
    of_class,
    text,
)

_REPRESENTS = re.compile(r"(?:c\d+)?pf\d+(?:vf|sf)\d+$")
_SUB_FUNCTION = re.compile(r"\.sf\.\d+$")
_VIRTUAL = "/devices/virtual/"
_IWARP = "4:"
_BRIDGE = b"SW_MNG"
ETHERNET_TYPE = "1"
"""ARPHRD_ETHER of linux/if_arp.h."""
OPERATIONAL = (
    "unknown",
    "notpresent",
    "down",
    "lowerlayerdown",
    "testing",
    "dormant",
    "up",
)
"""IF_OPER_* of linux/if.h, from 0 on: `operstate`."""


def rdma_ports(root: Path) -> list[Path]:
    """Of InfiniBand and RoCE. Raises OSError where the classes of devices may not be read."""
    devices = [one for one in of_class(root, "infiniband") if _is_whole(one) and _is_adapter(one)]
    return [port for device in devices for port in listed(device / "ports")]


def _is_adapter(device: Path) -> bool:
    """No iWARP, no RoCE made by software over another card (it names its parent), no bridge to the NVLink switches."""
    made = attribute(device / "node_type").startswith(_IWARP) or (device / "parent").exists()
    return not (made or _is_bridge(os.path.realpath(device / "device")))


@cache
def _is_bridge(function: str) -> bool:
    """By the vital product data, which is slow to read and never changes: the field of HGX boards with NVLink 5, as
    the user guide of NVIDIA Fabric Manager tells them apart."""
    try:
        return _BRIDGE in Path(function, "vpd").read_bytes()
    except OSError:
        return False


def ethernet_ports(root: Path) -> list[Path]:
    """Ports of network cards: no bridge, bond or tunnel, which have no device of their own."""
    return [one for one in of_class(root, "net") if _is_ethernet(one)]


def _is_ethernet(interface: Path) -> bool:
    own = (interface / "device").exists() and not (interface / "phy80211").exists()
    return own and _is_whole(interface) and attribute(interface / "type") == ETHERNET_TYPE


def _is_whole(device: Path) -> bool:
    """Whether it is a function of its own: none that another one lends to guests (SR-IOV, or a sub-function), none that
    stands for one of those in a switch of the card, and none that is made of software alone.

    A guest sees the function that it was lent as one of its own.
    """
    stands_for = _REPRESENTS.match(attribute(device / "phys_port_name"))
    function = os.path.realpath(device / "device")
    lent = (device / "device/physfn").exists() or _SUB_FUNCTION.search(function)
    return not (stands_for or lent or _VIRTUAL in os.path.realpath(device))


def _operational(port: Path) -> int:
    return OPERATIONAL.index(text(port / "operstate"))


def _gigabits(port: Path) -> int:
    """`speed` is in megabits; a port that is down has none."""
    speed = int(text(port / "speed"))
    if speed < 0:
        raise OSError(errno.ENODEV, "no link")
    return speed // 1000


def _generation(port: Path) -> str:
    """`400 Gb/sec (4X NDR)` -> `4X NDR`."""
    return str(re.findall(r"\((.+)\)", text(port / "rate"))[0]).strip()


INFINIBAND: Mapping[str, Reader] = {
    "state_code": leading_number("state"),
    "physical_state_code": leading_number("phys_state"),
    "rate_gigabits": leading_number("rate"),
    "generation": _generation,
    "link_layer": file("link_layer"),
    "link_downed_count": number("counters/link_downed"),
}

ETHERNET: Mapping[str, Reader] = {
    "operational_state_code": _operational,
    "rate_gigabits": _gigabits,
    "carrier_down_count": number("carrier_down_count"),
}
