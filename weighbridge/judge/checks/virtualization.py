"""Delivered in another form than promised: a virtual machine or a share of a card in place of the metal.

The driver's word comes first; what the processor and the firmware say of the machine is the second source.
"""

from collections.abc import Iterator

from weighbridge.judge.checks.cards import (
    BARE,
    HOST_VGPU,
    HOST_VSGA,
    MODE,
    PASSTHROUGH,
    VGPU,
)
from weighbridge.judge.checks.check import (
    Answer,
    Check,
    CheckContext,
    Effect,
    decide,
    doubted,
    met,
    unseen,
)
from weighbridge.judge.latest_readings import INVENTORY, LatestDevice, LatestReadings, fact

MODES = {
    "bare_metal": (BARE, HOST_VGPU, HOST_VSGA),
    "vm_passthrough": (PASSTHROUGH,),
    "vgpu": (VGPU,),
    "container": (BARE, PASSTHROUGH, HOST_VGPU, HOST_VSGA),
}
"""By the promised form, the modes that keep it. A container has the GPU that its machine has, whichever that is: of its
own, or passed through to the machine. A share of a card is neither."""

WORDS = {
    BARE: "bare_metal",
    PASSTHROUGH: "vm_passthrough",
    VGPU: "vgpu",
    HOST_VGPU: "host of vgpus",
    HOST_VSGA: "host of vsgas",
}

HYPERVISORS = (
    "kvm",
    "qemu",
    "vmware",
    "virtualbox",
    "innotek",
    "xen",
    "hvm domu",
    "bochs",
    "parallels",
    "bhyve",
    "openstack",
    "kubevirt",
    "hyper-v",
)
"""What the firmware of virtual machines calls maker or product, and that of no server does: the names by which
systemd-detect-virt(1) knows them, less those of clouds that rent metal under one name with their machines."""


def as_promised(context: CheckContext) -> Iterator[Answer]:
    """Each device, where a form is promised. Slices are known by their names; all else by the driver's mode."""
    promised = context.promise.resource.virtualization
    if promised is None:
        return
    for device in context.devices():
        if promised == "mig":
            yield _sliced(context.view, device)
        else:
            yield _in_form(context.view, device, promised)


def _sliced(view: LatestReadings, device: LatestDevice) -> Answer:
    """A slice, or a card that is cut into some."""
    if device.parent is not None:
        return met(device.uuid, "mig", "a slice")
    mode = view.value(device.uuid, "mig_mode_code")
    if isinstance(mode, int):
        observed = "mig" if mode else "a whole GPU"
        return decide(device.uuid, "mig", observed, holds=mode == 1)
    return unseen(device.uuid, "mig", mode)


def _in_form(view: LatestReadings, device: LatestDevice, promised: str) -> Answer:
    """A slice tells no mode of its own."""
    mode = view.value(device.parent or device.uuid, MODE)
    if not isinstance(mode, int):
        return unseen(device.uuid, promised, mode)
    if mode not in WORDS:
        return doubted(device.uuid, promised, f"{MODE} {mode}")
    virtual = "" if promised == "container" else _virtual(view)
    if virtual and mode in MODES["bare_metal"]:
        return doubted(device.uuid, promised, f"{WORDS[mode]} by the driver; {virtual}")
    return decide(device.uuid, promised, WORDS[mode], holds=mode in MODES[promised])


def _virtual(view: LatestReadings) -> str:
    """By what the machine itself looks like a virtual one; empty where nothing says so."""
    signs = ["the processor's hypervisor flag"] if fact(view.host, "hypervisor_code") == 1 else []
    for name in ("dmi_system_vendor", "dmi_product_name"):
        told = fact(view.host, name)
        if isinstance(told, str) and any(word in told.casefold() for word in HYPERVISORS):
            signs.append(f"{name} {told}")
    return f"a virtual machine by {', '.join(signs)}" if signs else ""


VIRTUALIZATION_MISMATCH = Check(
    code="virtualization_mismatch",
    effect=Effect.NONE,
    at_delivery=True,
    watches=frozenset({INVENTORY}),
    judge=as_promised,
)
"""A machine that hides its hypervisor from the driver, and metal under a hypervisor of its own, look alike: where the
sources differ nobody is named."""
