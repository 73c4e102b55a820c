"""What a sweep of the agent costs beside a bare loop of the same calls, and what the whole agent costs.

    python -m benchmarks.agent [--real] [--gpus N] [--rounds N] [--footprint SECONDS] [--json FILE]

The library is the fake of the tests, with no latency and with 50 us a call; with `--real` it is the driver of this
machine, and what its GPUs do not support is left out. The bare loop makes exactly the calls of a fast sweep, fields in
one batch, buffers bound once, and takes the values out of the buffers; "calls" is the same loop without a look at the
answers. A sweep runs from the schedule to numbers in the parent's memory: over the socket to the child, the calls,
back, and apart into readings. A real driver keeps some answers for a while: there loops and sweeps are as far apart.

`--footprint` runs the daemon at one sample and report a second, with nowhere to send them, and adds up CPU and memory
of all its processes. What the driver's calls cost is the CPU of a process that makes them at that pace, those that list
processes included, and nothing else.
"""

import argparse
import asyncio
import json
import os
import platform
import secrets
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent.nvml.client import NvmlSource
from tests.agent.fake_nvml.fixture import FakeDriver, build
from weighbridge.catalogue.readings import Tier

FOOTPRINT_TARGET = {"cpu_percent_beyond_driver": 0.4, "pss_mebibytes": 64}
DELAYS_US = (0, 50)
SLOW_CALL_US = 40
CALM_SECONDS = 5
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

BARE = """
import ctypes, json, sys, time
from agent.nvml.binding import FieldValue, Library
from agent.nvml.calls import Field
from agent.nvml.devices import enumerate_devices
from agent.nvml.frames import Mark, rows
from agent.nvml.readers import READERS
from agent.nvml.sweeper import Sweeper, answers
from weighbridge.catalogue.readings import Tier

library = Library()
assert library.start() == 0
sweeper = Sweeper(library, Mark(Mark.create()), ())
fast = {row.name for row in rows(Tier.FAST)}
calls, lists = [], []


def sources_of(handle):
    chosen, place = {}, dict.fromkeys(READERS, 0)
    for name, _, code, _, _ in answers(sweeper, library, handle):
        if name in fast and code == 0:
            chosen.setdefault(name, READERS[name][place[name]])
        place[name] += 1
    return list(chosen.values())


for handle in enumerate_devices(library, sweeper).handles:
    sources = sources_of(handle)
    fields = [source for source in sources if isinstance(source, Field)]
    for call in dict.fromkeys(source.call for source in sources if not isinstance(source, Field)):
        function, arguments, outputs = call.bind(library, handle, lambda output: output)
        parts = [source.read for source in sources if not isinstance(source, Field) and source.call == call]
        pairs = [(outputs[part.output], part.name or "value") for part in parts]
        calls.append((function, arguments, pairs))
    batch = (FieldValue * len(fields))()
    for entry, source in zip(batch, fields):
        entry.fieldId, entry.scopeId = source.number, source.scope
    function = library.function("nvmlDeviceGetFieldValues")
    calls.append((function, (handle.pointer, len(fields), batch), [(entry, "value") for entry in batch]))
    for kind in ("Compute", "Graphics"):
        function = library.function(f"nvmlDeviceGet{kind}RunningProcesses_v3")
        lists.append((function, (handle.pointer, ctypes.byref(ctypes.c_uint()), None)))
print(len(calls), flush=True)


def list_processes():
    for function, arguments in lists:
        function(*arguments)


def only_calls():
    for function, arguments, _ in calls:
        function(*arguments)


def with_values():
    taken = []
    for function, arguments, pairs in calls:
        if function(*arguments):
            raise SystemExit("a call failed")
        for holder, name in pairs:
            value = getattr(holder, name)
            if name == "value" and not isinstance(value, int):
                if holder.nvmlReturn:
                    raise SystemExit("a field failed")
                value = value.ullVal if holder.valueType == 3 else value.uiVal
            taken.append(value)
    return taken


for line in sys.stdin:
    count, pause = line.split()
    spent, used = [[], [], []], [[], [], []]
    for _ in range(int(count)):
        for place, loop in enumerate((only_calls, with_values, list_processes)):
            time.sleep(float(pause))
            start, begun = time.perf_counter_ns(), time.process_time_ns()
            loop()
            used[place].append(time.process_time_ns() - begun)
            spent[place].append(time.perf_counter_ns() - start)
    print(json.dumps([spent[0], spent[1], used[0], used[2]]), flush=True)
"""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many loops in a row, and how many seconds between two."""

    count: int
    pause_s: float = 0.0


PACES = {0: Pace(400), 50: Pace(60)}
REAL_PACE = Pace(8, 0.1)


class Bare:
    """A process that makes the calls and nothing else."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", BARE],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.calls = int(self._line())

    def measure(self, pace: Pace) -> list[float]:
        """Median nanoseconds of calls, and of calls with values; of CPU for the calls, and for lists of processes."""
        if self._process.stdin is None:
            raise RuntimeError("no pipe")
        self._process.stdin.write(f"{pace.count} {pace.pause_s}\n")
        self._process.stdin.flush()
        return [statistics.median(column) for column in json.loads(self._line())]

    def cpu_percent(self, pace: Pace) -> float:
        """Of a core, for the calls of one sample a second."""
        _, _, calls, lists = self.measure(pace)
        return (calls + lists) / 1e7

    def close(self) -> None:
        """End it."""
        self._process.communicate("")

    def _line(self) -> str:
        if self._process.stdout is None:
            raise RuntimeError("no pipe")
        return self._process.stdout.readline()


async def sweeps(source: NvmlSource, pace: Pace) -> list[int]:
    """Nanoseconds of each sweep, from the call to the numbers."""
    spent = []
    for _ in range(pace.count):
        await asyncio.sleep(pace.pause_s)
        start = time.perf_counter_ns()
        sweep = await source.sweep(Tier.FAST)
        spent.append(time.perf_counter_ns() - start)
        if not any(isinstance(value, int) for row in sweep.readings.values() for value in row):
            raise RuntimeError("no reading had a value")
    return spent


async def compare(
    what: str, environment: Mapping[str, str], pace: Pace, rounds: int
) -> dict[str, Any]:
    """Bare loop and sweep in turns, so that both meet the same machine; the medians of the rounds."""
    source = NvmlSource(boottime_us, environment)
    if not (await source.identify()).devices:
        await source.close()
        raise SystemExit("no GPU is enumerated")
    bare = Bare(environment)
    rounds_done = []
    await sweeps(source, Pace(20))
    for _ in range(rounds):
        calls, valued, _, _ = bare.measure(pace)
        rounds_done.append((calls, valued, statistics.median(await sweeps(source, pace))))
    await source.close()
    bare.close()
    calls, valued, whole = (statistics.median(column) for column in zip(*rounds_done, strict=True))
    ratios = [each / base for _, base, each in rounds_done]
    call_us = calls / bare.calls / 1000
    return {
        "driver": what,
        "calls": bare.calls,
        "call_us": round(call_us, 1),
        "calls_ms": round(calls / 1e6, 4),
        "bare_ms": round(valued / 1e6, 4),
        "sweep_ms": round(whole / 1e6, 4),
        "ratio": round(statistics.median(ratios), 3),
        "best_ratio": round(min(ratios), 3),
        "ratio_to_calls": round(whole / calls, 3),
        "target": 1.1 if call_us >= SLOW_CALL_US else 4.0,
    }


def footprint(what: str, environment: Mapping[str, str], seconds: int) -> dict[str, Any]:
    """CPU and memory of `python -m agent run` and its children at one sample and one report a second."""
    with tempfile.TemporaryDirectory() as place, daemon(environment, Path(place)) as process:
        await_child(process.pid)
        time.sleep(CALM_SECONDS)
        before, since = cpu_seconds(process.pid), time.monotonic()
        time.sleep(seconds)
        passed = time.monotonic() - since
        used = [
            100 * (after - before[pid]) / passed for pid, after in cpu_seconds(process.pid).items()
        ]
        memory = [proportional_bytes_of(pid) / (1 << 20) for pid in family(process.pid)]
    bare = Bare(environment)
    calls = bare.cpu_percent(Pace(max(3, seconds // 3), 1 / 3))
    bare.close()
    return {
        "driver": what,
        "seconds": seconds,
        "cpu_percent": round(sum(used), 2),
        "cpu_percent_of_calls": round(calls, 2),
        "cpu_percent_beyond_driver": round(sum(used) - calls, 2),
        "cpu_percent_by_process": [round(share, 2) for share in used],
        "pss_mebibytes": round(sum(memory), 1),
        "pss_mebibytes_by_process": [round(share, 1) for share in memory],
        "target": FOOTPRINT_TARGET,
    }


def enrol_nowhere(state: Path) -> None:
    """What enrolment leaves behind, for a collector on a port that nobody listens on."""
    state.mkdir()
    (state / "key").write_text(secrets.token_hex(32))
    record = {"url": "http://127.0.0.1:9", "ca": None, "node": "bench", "origin": "bench"}
    keys = {"key_id": "0" * 64, "log_key": "0" * 64}
    (state / "enrolment.json").write_text(json.dumps(record | keys))


@contextmanager
def daemon(environment: Mapping[str, str], place: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """The daemon, enrolled with a collector that is not there."""
    state = place / "state"
    enrol_nowhere(state)
    options = [
        "--state-directory",
        str(state),
        "--runtime-directory",
        str(place),
        "--interval-ms",
        "1000",
    ]
    settings = {"WEIGHBRIDGE_KERNEL_LOG": "off", "WEIGHBRIDGE_SPOOL_BYTES": "4194304"}
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "agent", "run", *options], env={**environment, **settings}
    )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


def await_child(pid: int) -> None:
    """Wait until the daemon has its NVML child."""
    end = time.monotonic() + 20
    while len(family(pid)) < 2:
        if time.monotonic() > end:
            raise RuntimeError("the daemon has no NVML child")
        time.sleep(0.05)


def family(pid: int) -> list[int]:
    """A process and its children."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(int(child) for child in listed)]


def cpu_seconds(pid: int) -> dict[int, float]:
    """User and system time of each process of the family."""
    spent = {}
    for member in family(pid):
        columns = Path(f"/proc/{member}/stat").read_text().rpartition(")")[2].split()
        spent[member] = (int(columns[11]) + int(columns[12])) / TICKS_PER_SECOND
    return spent


def proportional_bytes_of(pid: int) -> int:
    """Proportional set size of one process."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def boottime_us() -> int:
    """CLOCK_BOOTTIME."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


def machine() -> str:
    """The processor, its cores in use, and the Python."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(": ")[2] for line in lines if line.startswith("model name")),
        platform.machine(),
    )
    return f"{model}, {len(os.sched_getaffinity(0))} cores, Python {platform.python_version()}"


def show(result: dict[str, Any]) -> None:
    """The table."""
    print(result["machine"])
    if "cards" in result:
        print(f"{', '.join(result['cards'])}, driver {result['driver']}")
    heads = (
        "driver",
        "calls",
        "us a call",
        "calls ms",
        "bare ms",
        "sweep ms",
        "ratio",
        "best",
        "to calls",
        "target",
    )
    print(" ".join(f"{head:>9}" for head in heads))
    for row in result["sweeps"]:
        print(" ".join(f"{value:>9}" for value in row.values()))
    for row in result["footprint"]:
        print(
            f"whole agent at 1 s, {row['driver']}: {row['cpu_percent']:.2f} % of a core "
            f"{row['cpu_percent_by_process']}, {row['cpu_percent_beyond_driver']:.2f} % beyond the calls "
            f"(target {row['target']['cpu_percent_beyond_driver']}), "
            f"{row['pss_mebibytes']} MiB proportional {row['pss_mebibytes_by_process']} "
            f"(target {row['target']['pss_mebibytes']}; daemon, NVML child)"
        )


def on_fakes(gpus: int, rounds: int, seconds: int) -> dict[str, Any]:
    """With the fake library, at each latency."""
    result: dict[str, Any] = {"machine": machine(), "gpus": gpus, "sweeps": [], "footprint": []}
    with tempfile.TemporaryDirectory() as place:
        driver = FakeDriver(build(Path(place)), Path(place) / "scenario")
        for delay_us in DELAYS_US:
            what = f"{delay_us} us"
            driver.play_node(gpus, f"delay {delay_us}")
            measure(result, what, driver.environment(), PACES[delay_us], rounds, seconds)
    return result


def on_this_machine(rounds: int, seconds: int) -> dict[str, Any]:
    """With the driver and the GPUs that are here."""
    names, version = asyncio.run(cards())
    result: dict[str, Any] = {
        "machine": machine(),
        "gpus": len(names),
        "sweeps": [],
        "footprint": [],
    }
    result |= {"cards": names, "driver": version}
    measure(result, "real", os.environ, REAL_PACE, rounds, seconds)
    return result


def measure(
    result: dict[str, Any],
    what: str,
    environment: Mapping[str, str],
    pace: Pace,
    rounds: int,
    seconds: int,
) -> None:
    """Sweeps and, if asked for, the footprint on one driver."""
    result["sweeps"].append(asyncio.run(compare(what, environment, pace, rounds)))
    if seconds:
        result["footprint"].append(footprint(what, environment, seconds))


async def cards() -> tuple[list[str], str]:
    """The names of this machine's GPUs, and the version of their driver."""
    source = NvmlSource(boottime_us, os.environ)
    identity = await source.identify()
    await source.close()
    names = [str(device.identity.readings.get("name")) for device in identity.devices]
    return names, str(identity.driver.readings.get("driver_version"))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--real", action="store_true", help="the GPUs of this machine")
    parser.add_argument("--gpus", type=int, default=8, help="of the fake driver")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--footprint", type=int, metavar="SECONDS", default=20)
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    if wanted.real:
        result = on_this_machine(wanted.rounds, wanted.footprint)
    else:
        result = on_fakes(wanted.gpus, wanted.rounds, wanted.footprint)
    show(result)
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
