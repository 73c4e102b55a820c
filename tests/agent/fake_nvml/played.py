"""Turns a capture of `weighbridge-agent record` into a scenario of the fake library: the card plays itself.

Whole GPUs alone; of their NVLinks and their peers only what the capture sums up is played.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from agent.nvml.calls import Call, CallPart, Field, GpmCall, Member, Source
from agent.nvml.frames import NOT_READY, NOT_SUPPORTED
from agent.nvml.readers import GPM, READERS
from tests.agent.fake_nvml.fixture import uuid

Row = Mapping[str, Any]
Line = tuple[str, str]
"""What is set, and to what. Two sources of one reading may set the same: the first one counts."""

REDACTED: Final = "redacted"
SYSTEM: Final = {"driver_version": "driver", "nvml_version": "nvml"}


def scenario_of(capture: Row) -> list[str]:
    """Lines for `FakeDriver.play`. GPU N has the UUID `uuid(N)`; what was redacted is made up."""
    driver = capture["driver"]["readings"]
    major, minor = driver["cuda_driver_version"].split(".")
    devices = list(dict.fromkeys(answer["device"] for answer in capture["answers"]))
    lines = [f"count {len(devices)}", f"cuda {int(major) * 1000 + int(minor) * 10}"]
    lines += [f"{word} {driver[name]}" for name, word in SYSTEM.items()]
    for index, device in enumerate(devices):
        answers = [answer for answer in capture["answers"] if answer["device"] == device]
        lines += [f"set {index} nvmlDeviceGetUUID {uuid(index)}", *_device(index, answers)]
    return lines


def _device(index: int, answers: Sequence[Row]) -> Iterator[str]:
    told: dict[str, str] = {}
    for answer in answers:
        for what, value in _lines(_source(answer), answer):
            told.setdefault(what, value)
    for what, value in told.items():
        verb, _, name = what.partition(" ")
        yield f"{verb} {index} {name} {value}"


def _source(answer: Row) -> Source:
    for source in READERS[answer["reading"]]:
        label = f"{source.label}({source.number})" if isinstance(source, Field) else source.label
        if label == answer["call"]:
            return source
    raise ValueError(f"{answer['reading']} is not read by {answer['call']}")


def _lines(source: Source, answer: Row) -> Iterator[Line]:
    """What makes the fake answer so. A call that nothing is said of answers NOT_SUPPORTED by itself."""
    code, value, reading = answer["code"], answer["value"], answer["reading"]
    if source.label.startswith("/"):
        return
    if isinstance(source, Field):
        yield f"field {source.number}", _field(code, value, source.divisor)
        return
    if isinstance(source, CallPart) and isinstance(source.call, GpmCall) and code in (0, NOT_READY):
        yield "set nvmlGpmQueryDeviceSupport.isSupportedDevice", "1"
    if code:
        if code != NOT_SUPPORTED:
            yield f"code {source.label.partition('(')[0]}", str(code)
    elif reading in _SPELLED:
        yield from ((f"set {what}", said) for what, said in _SPELLED[reading](value))
    else:
        yield (
            f"set {_key(source)}",
            str(value * _divisor(source) if isinstance(value, int) else value),
        )


def _field(code: int, value: Any, divisor: int) -> str:
    if code:
        return f"{code} uint 0"
    return f"0 {'sll' if value < 0 else 'ull'} {value * divisor}"


def _divisor(source: Source) -> int:
    read = source.read if isinstance(source, CallPart) else None
    return read.divisor if isinstance(read, Member) else 1


def _key(source: Source) -> str:
    """The name by which the fake keeps the answer: function, member or output, inputs."""
    assert isinstance(source, CallPart)
    call = source.call
    assert isinstance(call, Call)
    inputs = f"({','.join(str(value) for value in call.inputs)})" if call.inputs else ""
    if not isinstance(source.read, Member):
        return call.symbol + inputs
    if source.read.name:
        return f"{re.sub(r'(_v[0-9]|V)$', '', call.symbol)}.{source.read.name}"
    output = f".{source.read.output}" if len(call.outputs()) > 1 else ""
    return f"{call.symbol}{output}{inputs}"


Spelled = Callable[[Any], Iterator[Line]]


def _as(what: str, convert: Callable[[Any], int | str] = str) -> Spelled:
    def lines(value: Any) -> Iterator[Line]:
        yield what, str(convert(value))

    return lines


def _bus_pair(value: str) -> int:
    """lspci's vendor:device as NVML has it, device << 16 | vendor."""
    vendor, device = (int(part, 16) for part in value.split(":"))
    return device << 16 | vendor


def _hexadecimal(value: str) -> int:
    return 1 if value == REDACTED else int(value, 16)


def _capability(value: str) -> Iterator[Line]:
    for output, part in enumerate(value.split(".")):
        yield f"nvmlDeviceGetCudaComputeCapability.{output}", part


def _peers(value: str) -> Iterator[Line]:
    for peer in value.split():
        yield "nvmlDeviceGetTopologyCommonAncestor", peer.rpartition("=")[2]


def _p2p(value: int) -> Iterator[Line]:
    yield "nvmlDeviceGetP2PStatus(2)", "0" if value else "1"


def _links(value: int) -> Iterator[Line]:
    for link in range(value):
        yield f"nvmlDeviceGetNvLinkState({link})", "1"


def _counted(value: int) -> Iterator[Line]:
    """Nothing: which links are in another state than up, a capture does not say."""
    assert value == 0
    return iter(())


def _cluster(value: str) -> int:
    """The fake repeats one byte."""
    return _hexadecimal(value[:2]) if value != REDACTED else 1


def _violation(policy: int) -> Spelled:
    return _as(f"nvmlDeviceGetViolationStatus({policy})", lambda value: value * 1000)


_FABRIC: Final = "nvmlDeviceGetGpuFabricInfo"
_METRICS: Final = dict(
    zip(
        ("graphics_active", "sm_active", "sm_occupancy", "tensor_active", "dram_active"),
        GPM.metrics,
        strict=True,
    )
)
_SPELLED: Final[Mapping[str, Spelled]] = {
    "cpu_affinity": _as("nvmlDeviceGetCpuAffinity", _hexadecimal),
    "pci_bus_id": _as("nvmlDeviceGetPciInfo.busId"),
    "pci_device_id": _as("nvmlDeviceGetPciInfo.pciDeviceId", _bus_pair),
    "pci_subsystem_id": _as("nvmlDeviceGetPciInfo.pciSubSystemId", _bus_pair),
    "pdi": _as("nvmlDeviceGetPdi", _hexadecimal),
    "cuda_compute_capability": _capability,
    "topology_peers": _peers,
    "p2p_nvlink_peers_count": _p2p,
    "nvlink_links": _links,
    "nvlink_active_links": _links,
    **{f"nvlink_{state}_links": _counted for state in ("down", "sleeping", "quiet", "unreadable")},
    **{
        f"nvlink_{name}_count": _as(f"nvmlDeviceGetNvLinkErrorCounter(0,{number})")
        for number, name in enumerate(("replay", "recovery", "crc_flit"))
    },
    "fabric_cluster_uuid": _as(f"{_FABRIC}.clusterUuid", _cluster),
    "fabric_clique_number": _as(f"{_FABRIC}.cliqueId"),
    "fabric_status_code": _as(f"{_FABRIC}.status"),
    "fabric_health_flags": _as(f"{_FABRIC}.healthMask"),
    "temperature_gpu_celsius": _as("nvmlDeviceGetTemperature(0)"),
    "clocks_event_sw_power_cap_microseconds": _violation(0),
    "clocks_event_sync_boost_microseconds": _violation(2),
    **{
        f"{name}_permyriad": _as(f"nvmlGpmMetricsGet({metric})")
        for name, metric in _METRICS.items()
    },
}
