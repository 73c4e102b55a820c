"""What a sweep of the agent costs beside a bare loop of the same calls, and what the whole agent costs.

    python -m benchmarks.agent [--gpus N] [--rounds N] [--footprint SECONDS] [--json FILE]

The library is the fake of the tests, with no latency and with 50 us a call. The bare loop makes exactly the calls of a
fast sweep, fields in one batch, buffers bound once, and takes the values out of the buffers; "calls" is the same loop
without a look at the answers. A sweep runs from the schedule to numbers
in the parent's memory: over the socket to the child, the calls, back, and apart into readings. `--footprint` runs the
daemon at one sample and report a second, with nowhere to send them, and adds up CPU and memory of all its processes.
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
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agent.child import NvmlSource
from tests.agent.fake_nvml.fixture import FakeDriver, build
from weighbridge.readings import Tier

TARGETS = {0: 4.0, 50: 1.1}
FOOTPRINT_TARGET = {"cpu_percent_beyond_driver": 0.4, "pss_mebibytes": 64}
SWEEPS = {0: 400, 50: 60}
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")

BARE = """
import json, statistics, sys, time
from agent.devices import enumerate_devices
from agent.frames import Mark, rows
from agent.nvml import READERS, Field, FieldValue, Library
from agent.sweeper import Sweeper
from weighbridge.readings import Tier

library = Library()
assert library.start() == 0
sweeper = Sweeper(library, Mark(Mark.create()), ())
sources = [READERS[row.name][0] for row in rows(Tier.FAST)]
fields = [source for source in sources if isinstance(source, Field)]
calls = []
for handle in enumerate_devices(library, sweeper).handles:
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
print(len(calls), flush=True)


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
    spent = [[], []]
    for _ in range(int(line)):
        for loop, column in zip((only_calls, with_values), spent):
            start = time.perf_counter_ns()
            loop()
            column.append(time.perf_counter_ns() - start)
    print(json.dumps(spent), flush=True)
"""


class Bare:
    """A process that makes the calls and nothing else."""

    def __init__(self, driver: FakeDriver) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", BARE],
            env=driver.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.calls = int(self._line())

    def measure(self, count: int) -> tuple[list[int], list[int]]:
        """Nanoseconds of `count` loops: calls alone, and calls with their values."""
        if self._process.stdin is None:
            raise RuntimeError("no pipe")
        self._process.stdin.write(f"{count}\n")
        self._process.stdin.flush()
        alone, valued = json.loads(self._line())
        return alone, valued

    def close(self) -> None:
        """End it."""
        self._process.communicate("")

    def _line(self) -> str:
        if self._process.stdout is None:
            raise RuntimeError("no pipe")
        return self._process.stdout.readline()


async def sweeps(source: NvmlSource, count: int) -> list[int]:
    """Nanoseconds of `count` sweeps, each from the call to the numbers."""
    spent = []
    for _ in range(count):
        start = time.perf_counter_ns()
        sweep = await source.sweep(Tier.FAST)
        spent.append(time.perf_counter_ns() - start)
        if any(not isinstance(row[0], int) for row in sweep.readings.values()):
            raise RuntimeError("a reading had no value")
    return spent


async def compare(driver: FakeDriver, delay_us: int, gpus: int, rounds: int) -> dict[str, Any]:
    """Bare loop and sweep in turns, so that both meet the same machine; the medians of the rounds."""
    driver.play_node(gpus, f"delay {delay_us}")
    source = NvmlSource(boottime_us, driver.environment())
    bare = Bare(driver)
    rounds_done = []
    await sweeps(source, 20)
    for _ in range(rounds):
        calls, valued = (statistics.median(column) for column in bare.measure(SWEEPS[delay_us]))
        rounds_done.append(
            (calls, valued, statistics.median(await sweeps(source, SWEEPS[delay_us])))
        )
    await source.close()
    bare.close()
    calls, valued, whole = (statistics.median(column) for column in zip(*rounds_done, strict=True))
    ratios = [each / base for _, base, each in rounds_done]
    return {
        "delay_us": delay_us,
        "calls": bare.calls,
        "calls_ms": round(calls / 1e6, 4),
        "bare_ms": round(valued / 1e6, 4),
        "sweep_ms": round(whole / 1e6, 4),
        "ratio": round(statistics.median(ratios), 3),
        "best_ratio": round(min(ratios), 3),
        "ratio_to_calls": round(whole / calls, 3),
        "target": TARGETS[delay_us],
    }


def footprint(driver: FakeDriver, gpus: int, delay_us: int, seconds: int) -> dict[str, Any]:
    """CPU and memory of `python -m agent run` and its children at one sample and one report a second."""
    driver.play_node(gpus, f"delay {delay_us}")
    with tempfile.TemporaryDirectory() as place, daemon(driver, Path(place)) as process:
        await_child(process.pid)
        time.sleep(5)
        before, since = cpu_seconds(process.pid), time.monotonic()
        time.sleep(seconds)
        passed = time.monotonic() - since
        used = [
            100 * (after - before[pid]) / passed for pid, after in cpu_seconds(process.pid).items()
        ]
        memory = [proportional_bytes_of(pid) / (1 << 20) for pid in family(process.pid)]
    return {
        "delay_us": delay_us,
        "seconds": seconds,
        "cpu_percent": round(sum(used), 2),
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
def daemon(driver: FakeDriver, place: Path) -> Iterator["subprocess.Popen[bytes]"]:
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
    environment = driver.environment() | {
        "WEIGHBRIDGE_KERNEL_LOG": "off",
        "WEIGHBRIDGE_SPOOL_BYTES": "4194304",
    }
    process = subprocess.Popen(
        [sys.executable, "-I", "-m", "agent", "run", *options], env=environment
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
    heads = (
        "us a call",
        "calls",
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
            f"whole agent at 1 s, {row['delay_us']} us a call: {row['cpu_percent']:.2f} % of a core "
            f"{row['cpu_percent_by_process']}, {row['cpu_percent_beyond_driver']:.2f} % beyond the calls, "
            f"{row['pss_mebibytes']} MiB proportional "
            f"{row['pss_mebibytes_by_process']} (daemon, NVML child)"
        )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--footprint", type=int, metavar="SECONDS", default=20)
    parser.add_argument("--json", type=Path)
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        driver = FakeDriver(build(Path(place)), Path(place) / "scenario")
        result: dict[str, Any] = {"machine": machine(), "gpus": wanted.gpus, "footprint": []}
        result["sweeps"] = [
            asyncio.run(compare(driver, delay, wanted.gpus, wanted.rounds)) for delay in TARGETS
        ]
        for row in result["sweeps"] if wanted.footprint else ():
            found = footprint(driver, wanted.gpus, row["delay_us"], wanted.footprint)
            found["cpu_percent_beyond_driver"] = round(
                found["cpu_percent"] - row["calls_ms"] / 10, 2
            )
            result["footprint"].append(found)
    show(result)
    if wanted.json is not None:
        wanted.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
