"""Services of a node that hold GPU memory and are nobody's work: the only names of processes that may leave a node.

Names of commands are cut to 15 characters, as the kernel keeps them: proc_pid_comm(5).
"""

from collections.abc import Mapping
from types import MappingProxyType

COMM_LENGTH = 15

_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "display_server": (
        "Xorg",
        "X",
        "Xwayland",
        "gdm-x-session",
        "gnome-shell",
        "kwin_x11",
        "kwin_wayland",
        "sddm-greeter",
        "lightdm-gtk-greeter",
        "weston",
    ),
    "host_engine": ("nv-hostengine",),
    "mps": ("nvidia-cuda-mps-server", "nvidia-cuda-mps-control"),
    "persistence_daemon": ("nvidia-persistenced",),
    "fabric_manager": ("nv-fabricmanager",),
}
"""By the name that is told, the commands. NVIDIA's documents of DCGM, MPS, the driver's persistence and fabric manager
name theirs."""

_UNITS: Mapping[str, tuple[str, ...]] = {
    "display_server": ("gdm", "gdm3", "lightdm", "sddm", "display-manager"),
    "host_engine": ("nvidia-dcgm", "dcgm"),
    "mps": ("nvidia-mps", "nvidia-cuda-mps", "nvidia-mps-control"),
    "persistence_daemon": ("nvidia-persistenced",),
    "fabric_manager": ("nvidia-fabricmanager",),
    "probe": ("weighbridge-probe", "weighbridge-agent"),
}
"""By the name that is told, the units of the service manager, without `.service` and what stands behind an `@`."""

PROBE = "probe"
BY_COMMAND: Mapping[str, str] = MappingProxyType(
    {command[:COMM_LENGTH]: name for name, commands in _COMMANDS.items() for command in commands}
)
BY_UNIT: Mapping[str, str] = MappingProxyType(
    {unit: name for name, units in _UNITS.items() for unit in units}
)
