"""What a node's driver says of itself in one line: how many GPUs it counts, or why NVML does not say."""

import re

from weighbridge.catalogue.findings import reason_said
from weighbridge.catalogue.readings import UNREADABLE_GPU
from weighbridge.wire.report import Facts, Reason

COUNTED, UNREAD = "gpus_enumerated_count", "gpus_unreadable_count"
LIBRARY = re.compile(r"libnvidia-ml\.so\.(\d+\.[\d.]*\d)$")


def uncounted(driver: Facts) -> Reason | None:
    """Why the driver did not count its GPUs; None where it did, or where nobody spoke of it."""
    return driver.unavailable.get(COUNTED)


def uncounted_in_words(driver: Facts) -> str | None:
    """The same for people. Where versions differ, both are named as far as they are known."""
    reason = uncounted(driver)
    if reason is None:
        return None
    said = reason_said(reason)
    words = reason.value if said is None else said.en
    return words + _versions(driver) if reason is Reason.VERSIONS_DIFFER else words


def driver_line(driver: Facts) -> str:
    """Never a count of GPUs without a driver that counted them."""
    words = uncounted_in_words(driver)
    if words is not None:
        return f"NVML: {words}"
    count = driver.readings.get(COUNTED)
    if count is None:
        return "NVML was not asked yet"
    version = driver.readings.get("driver_version", "of unknown version")
    return f"{count} GPUs, driver {version}{_unread(driver)}"


def _unread(driver: Facts) -> str:
    """How many of them do not say who they are, and why not."""
    count = driver.readings.get(UNREAD, 0)
    if not count:
        return ""
    reasons = {why for name, why in driver.unavailable.items() if name.startswith(UNREADABLE_GPU)}
    said = filter(None, map(reason_said, sorted(reasons)))
    return f"; {count} cannot be read: " + "; ".join(one.en for one in said)


def _versions(driver: Facts) -> str:
    library = LIBRARY.search(str(driver.readings.get("nvml_library_path", "")))
    module = driver.readings.get("kernel_module_version")
    known = (("library", library and library[1]), ("kernel module", module))
    told = ", ".join(f"{name} {version}" for name, version in known if version)
    return f" ({told})" if told else ""
