"""The daemon as a process of its own, on a machine whose driver answers nothing, against a collector over real HTTP."""

import fcntl
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from agent.running import ask
from tests.agent.fake_nvml.fixture import uuid
from tests.terminal import interrupted, on_terminal
from weighbridge.wire.report import EventKind, Report

DEADLINE_S = 60
AGENT = [sys.executable, "-m", "agent"]


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Poll until it holds; a test fails that waits too long."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.02)


class Node:
    """A state directory, and the agent process that uses it."""

    def __init__(self, directory: Path, collector: Any) -> None:
        self.directory, self.collector = directory, collector
        self.state, self.runtime = directory / "state", directory / "run"
        self.process: subprocess.Popen[str] | None = None

    def flags(self, *more: str) -> list[str]:
        return ["--state-directory", str(self.state), *more]

    def cli(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*AGENT, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            env=self.environment(),
        )

    def environment(self, **more: str) -> dict[str, str]:
        mine = {name: value for name, value in os.environ.items() if "PROXY" not in name.upper()}
        return mine | {"WEIGHBRIDGE_KERNEL_LOG": "off", "WEIGHBRIDGE_SPOOL_BYTES": "1048576"} | more

    def enroll(self, name: str = "node-1") -> None:
        done = self.cli("enroll", *self.flags("-"), stdin=self.collector.fake.invite(name))
        assert done.returncode == 0, done.stderr

    def start(self, *prefix: str, **environment: str) -> None:
        log = (self.directory / "log").open("a")
        self.process = subprocess.Popen(
            [*prefix, *AGENT, "run", *self.flags(
                "--runtime-directory", str(self.runtime), "--interval-ms", "100"
            )],
            stdout=log,
            stderr=log,
            text=True,
            env=self.environment(**environment),
        )  # fmt: skip
        log.close()

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(DEADLINE_S)

    def log(self) -> str:
        return (self.directory / "log").read_text()

    def reports(self) -> list[Report]:
        return list(self.collector.fake.reports)

    def wait_for_reports(self, count: int) -> None:
        wait_for(lambda: len(self.reports()) >= count, f"{count} reports\n{self.log()}")

    def control(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.cli(arguments[0], "--runtime-directory", str(self.runtime), *arguments[1:])


@pytest.fixture
def node(tmp_path: Path, collector_thread: Any) -> Iterator[Node]:
    made = Node(tmp_path, collector_thread)
    yield made
    if made.process is not None and made.process.poll() is None:
        made.process.kill()
        made.process.wait()


def kinds(reports: list[Report]) -> list[EventKind]:
    return [event.kind for report in reports for event in report.events]


def assert_unbroken(reports: list[Report]) -> None:
    """One chain, every number once, in order."""
    assert len({report.chain for report in reports}) == 1
    assert [report.seq for report in reports] == list(range(len(reports)))


def test_an_agent_without_a_driver_reports_that_and_lives(node: Node) -> None:
    node.enroll()
    node.start()
    node.wait_for_reports(5)
    assert node.stop() == 0
    reports = node.reports()
    assert_unbroken(reports)
    assert reports[0].inventory is not None
    assert "driver_version" in reports[0].inventory.driver.unavailable
    assert kinds(reports)[0] is EventKind.AGENT_STARTED
    assert kinds(reports)[-1] is EventKind.AGENT_STOPPED
    begins = [line for line in node.log().splitlines() if line.startswith("node-1: ")]
    assert len(begins) == 1, "it says once what it found, and where it reports"
    assert begins[0].startswith("node-1: NVML: ")
    assert "; reports every 0.1 s to http://127.0.0.1:" in begins[0]


def test_a_killed_agent_loses_nothing_spooled_and_reuses_no_number(node: Node) -> None:
    node.enroll()
    for round_ in range(3):
        node.start()
        node.wait_for_reports(10 * (round_ + 1))
        node.collector.stop()
        pending = len(node.reports())
        wait_for(lambda: "reports stay in the spool" in node.log(), "the agent to notice")
        assert node.stop(signal.SIGKILL) == -signal.SIGKILL
        node.collector.start()
        assert len(node.reports()) >= pending
    node.start()
    wait_for(lambda: kinds(node.reports()).count(EventKind.AGENT_STARTED) == 4, "the last start")
    assert node.stop() == 0
    assert_unbroken(node.reports())
    assert node.collector.fake.refusals == []


@pytest.mark.slow
def test_a_collector_away_for_long_gets_everything_in_order(node: Node) -> None:
    node.enroll()
    node.start()
    node.wait_for_reports(3)
    node.collector.stop()
    wait_for(lambda: spooled(node) > 70, "a backlog of more than one batch")
    node.collector.start()
    node.wait_for_reports(70)
    assert node.stop() == 0
    assert_unbroken(node.reports())
    assert max(node.collector.fake.batches) > 1


def spooled(node: Node) -> int:
    told = ask(node.runtime / "control.sock", {"command": "status"})
    return int(told["spool_pending_count"])


def test_a_reimaged_node_starts_a_new_chain_under_its_key(node: Node) -> None:
    node.enroll()
    node.start()
    node.wait_for_reports(3)
    node.stop()
    before = len(node.reports())
    (node.state / "spool").unlink()
    node.start()
    node.wait_for_reports(before + 3)
    node.stop()
    after = node.reports()[before:]
    assert_unbroken(after)
    assert after[0].chain != node.reports()[0].chain
    assert node.collector.fake.refusals == []


def test_pause_and_resume_are_reported_and_the_socket_is_the_owners_alone(node: Node) -> None:
    node.enroll()
    node.start()
    node.wait_for_reports(2)
    assert (node.runtime / "control.sock").stat().st_mode & 0o077 == 0
    assert node.control("pause", "MIG change").returncode == 0
    assert node.control("pause", " ").returncode == 1
    assert node.control("resume").returncode == 0
    wait_for(lambda: EventKind.RESUMED in kinds(node.reports()), "the resumption")
    events = [event for report in node.reports() for event in report.events]
    assert [event.detail for event in events if event.kind is EventKind.PAUSED] == ["MIG change"]
    node.stop()
    assert node.control("resume").returncode == 1


@pytest.mark.slow
def test_it_says_that_it_is_ready_and_alive_while_the_driver_hangs(
    node: Node, tmp_path: Path
) -> None:
    node.enroll()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.settimeout(DEADLINE_S)
        stuck = hanging_driver(tmp_path)
        node.start(
            NOTIFY_SOCKET=str(tmp_path / "notify"),
            WATCHDOG_USEC="300000",
            WEIGHBRIDGE_SAMPLES_PER_REPORT="3600",
            LD_LIBRARY_PATH=stuck,
        )
        said = manager.recv(4096)
        assert said.startswith(b"READY=1")
        signs = 0
        end = time.monotonic() + DEADLINE_S
        while signs < 50:
            assert time.monotonic() < end, f"only {signs} signs of life"
            signs += manager.recv(4096) == b"WATCHDOG=1"


def hanging_driver(directory: Path) -> str:
    """A driver library that never comes back from its first call."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler")
    source = directory / "hang.c"
    source.write_text(
        "#include <unistd.h>\nint nvmlInitWithFlags(unsigned f) { for (;;) pause(); }\n"
        "int nvmlInit_v2(void) { for (;;) pause(); }\n"
    )
    library = directory / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", library, source], check=True, timeout=60)
    return str(directory)


@pytest.mark.parametrize("shared", ["state", "run"])
def test_a_second_agent_ends_and_takes_nothing_of_the_firsts(node: Node, shared: str) -> None:
    """Whether it would have the same key and spool, or the same socket alone."""
    node.enroll()
    node.start()
    node.wait_for_reports(2)
    assert node.process is not None
    directories = {name: node.directory / f"second-{name}" for name in ("state", "run")}
    directories[shared] = node.directory / shared
    if shared == "run":
        shutil.copytree(node.state, directories["state"])
    state, runtime = (str(directories[name]) for name in ("state", "run"))
    second = node.cli("run", "--state-directory", state, "--runtime-directory", runtime)
    assert second.returncode == 1
    assert f"another agent runs (pid {node.process.pid})" in second.stderr
    assert node.control("pause", "a second one was started").returncode == 0
    wait_for(lambda: EventKind.PAUSED in kinds(node.reports()), "the pause of the first")
    assert node.stop() == 0
    assert_unbroken(node.reports())


def test_a_full_file_system_at_the_start_is_said_and_heals_without_hands(node: Node) -> None:
    """No room for the spool: what was seen meanwhile waits in memory."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    node.state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=512k,mode=0700", "none", str(node.state)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        node.enroll()
        node.start()
        wait_for(lambda: "spool cannot be written: No space left" in node.log(), "the complaint")
        wait_for(lambda: "No space left" in node.control("status").stdout, "the status")
        remount = ["mount", "-o", "remount,size=4m", str(node.state)]
        subprocess.run(remount, check=True)
        node.wait_for_reports(3)
        assert node.stop() == 0
        assert kinds(node.reports())[0] is EventKind.AGENT_STARTED
        assert_unbroken(node.reports())
    finally:
        subprocess.run(["umount", str(node.state)], check=True)


def test_a_file_size_limit_is_one_clear_line_and_heals_without_hands(node: Node) -> None:
    node.enroll()
    node.start("prlimit", "--fsize=2097152:unlimited", WEIGHBRIDGE_SPOOL_BYTES="4194304")
    wait_for(lambda: "cannot be written" in node.log(), "the complaint")
    assert node.process is not None
    assert node.process.poll() is None
    subprocess.run(
        ["prlimit", f"--pid={node.process.pid}", "--fsize=unlimited:unlimited"], check=True
    )
    node.wait_for_reports(3)
    assert node.log().count("cannot be written") == 1
    node.stop()
    assert_unbroken(node.reports())
    assert kinds(node.reports())[0] is EventKind.AGENT_STARTED


def test_a_full_file_system_does_not_silence_a_spool_that_exists(node: Node) -> None:
    if os.geteuid() != 0:
        pytest.skip("mounting a small tmpfs needs root")
    node.state.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m,mode=0700", "none", str(node.state)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("tmpfs cannot be mounted here")
    try:
        node.enroll()
        node.start()
        node.wait_for_reports(2)
        fill(node.state / "filler")
        # The last page of the receipts may have room for a batch or more.
        wait_for(lambda: "receipts" in node.log(), "the agent to notice that the disk refuses")
        node.wait_for_reports(len(node.reports()) + 10)
        assert node.stop() == 0
        assert_unbroken(node.reports())
    finally:
        subprocess.run(["umount", str(node.state)], check=True)


def fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            return


def test_a_report_is_on_the_disk_before_it_is_sent(node: Node, tmp_path: Path) -> None:
    if not can_trace():
        pytest.skip("strace is missing or ptrace is not permitted")
    node.enroll()
    trace = tmp_path / "trace"
    node.start(
        "strace", "-f", "-o", str(trace), "-s", "64",
        "-e", "trace=fdatasync,fsync,pwrite64,sendto,sendmsg,write,openat,rename",
    )  # fmt: skip
    node.wait_for_reports(5)
    tracer = node.process
    assert tracer is not None
    os.kill(int(trace.read_text().split(maxsplit=1)[0]), signal.SIGTERM)
    tracer.wait(DEADLINE_S)
    lines = trace.read_text().splitlines()
    assert_synced_before_sent(lines, node.collector.fake.batches)
    created = next(
        number for number, line in enumerate(lines) if "rename" in line and "/spool" in line
    )
    assert any("fsync(" in line for line in lines[:created])
    assert any("fsync(" in line for line in lines[created : created + 40])


def can_trace() -> bool:
    if shutil.which("strace") is None:
        return False
    return (
        subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True).returncode == 0
    )


def assert_synced_before_sent(lines: list[str], batches: list[int]) -> None:
    """When the n-th batch leaves, an fdatasync has come back after the write of each report in it and before it."""
    written = durable = sent = posts = 0
    for line in lines:
        if "pwrite64(" in line and "WBFRAME1" in line:
            written += 1
        elif re.search(r"fdatasync(\(\d+\)| resumed>\)) += 0", line):
            durable = written
        elif "POST /v1/reports" in line:
            sent += batches[posts]
            posts += 1
            assert sent <= durable, f"sent before it was durable: {line}"
    assert posts == len(batches) >= 5


def test_the_agents_own_state_is_prometheus_text_on_loopback(node: Node) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    node.enroll()
    node.start(WEIGHBRIDGE_METRICS_LISTEN=f"127.0.0.1:{port}")
    node.wait_for_reports(3)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=20) as answer:
        text = answer.read().decode()
    assert re.search(r"^weighbridge_agent_cpu_seconds_total 0?\.?\d", text, re.M)
    assert re.search(r"^weighbridge_agent_pss_bytes [1-9]", text, re.M)
    node.stop()


def test_a_reload_changes_the_pace_and_a_bad_file_changes_nothing(
    node: Node, tmp_path: Path
) -> None:
    node.enroll()
    config = tmp_path / "agent.toml"
    config.write_text(f'state_directory = "{node.state}"\nruntime_directory = "{node.runtime}"\n')
    log = (tmp_path / "log").open("a")
    node.process = subprocess.Popen(
        [*AGENT, "run", "--config", str(config)], stderr=log, text=True, env=node.environment()
    )
    log.close()
    node.wait_for_reports(1)
    config.write_text(config.read_text() + "intervall_ms = 100\n")
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: "intervall_ms: no such key" in node.log(), "the complaint")
    config.write_text(config.read_text().replace("intervall", "interval"))
    node.process.send_signal(signal.SIGHUP)
    wait_for(lambda: any(report.interval_ms == 100 for report in node.reports()), "the new pace")
    node.stop()
    assert_unbroken(node.reports())


def driven(driver: Any) -> dict[str, str]:
    return {name: driver.environment()[name] for name in ("LD_LIBRARY_PATH", "FAKE_NVML_SCENARIO")}


def devices_sampled(reports: list[Report]) -> int:
    return max((len(b.devices) for report in reports[-3:] for b in report.blocks), default=0)


def test_a_gpu_that_falls_off_the_bus_is_an_event_and_keeps_its_place(
    node: Node, driver: Any
) -> None:
    node.enroll()
    node.start(**driven(driver))
    wait_for(lambda: devices_sampled(node.reports()) == 2, "two GPUs")
    driver.play_node(2, "xid 1 79", "lost 1")
    wait_for(
        lambda: {EventKind.XID, EventKind.DEVICE_LOST} <= set(kinds(node.reports())), "its loss"
    )
    count = len(node.reports())
    node.wait_for_reports(count + 3)
    assert devices_sampled(node.reports()) == 2
    assert kinds(node.reports()).count(EventKind.XID) == 1
    node.stop()
    assert_unbroken(node.reports())


def test_a_pause_lets_go_of_the_driver(node: Node, driver: Any) -> None:
    node.enroll()
    node.start(**driven(driver))
    wait_for(lambda: devices_sampled(node.reports()) == 2, "two GPUs")
    assert node.process is not None
    pid = node.process.pid
    assert holds_driver(pid)
    node.control("pause", "GPU reset")
    wait_for(lambda: not holds_driver(pid), "the driver's library to be let go")
    count = len(node.reports())
    node.wait_for_reports(count + 3)
    node.control("resume")
    wait_for(lambda: holds_driver(pid), "the driver to be opened again")
    node.stop()
    assert EventKind.IDENTITY_CHANGED not in kinds(node.reports())


def holds_driver(pid: int) -> bool:
    """Whether a child of the agent has the library mapped."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return any("libnvidia-ml" in Path(f"/proc/{c}/maps").read_text() for c in children)
    except OSError:
        return False


def test_an_xid_that_only_the_kernel_saw_is_reported_and_one_that_both_saw_is_one(
    node: Node, driver: Any, tmp_path: Path
) -> None:
    node.enroll()
    kmsg = tmp_path / "kmsg"
    os.mkfifo(kmsg)
    end = os.open(kmsg, os.O_RDWR | os.O_NONBLOCK)
    fcntl.fcntl(end, fcntl.F_SETFL, fcntl.fcntl(end, fcntl.F_GETFL) | os.O_DIRECT)
    node.start(**driven(driver), WEIGHBRIDGE_KERNEL_LOG="on", WEIGHBRIDGE_KERNEL_LOG_PATH=str(kmsg))
    wait_for(lambda: devices_sampled(node.reports()) == 2, "two GPUs")
    address = pci_address(node.reports(), uuid(0))
    driver.play_node(2, "xid 0 31")
    wait_for(lambda: seen_xids(node.reports()) == [(31, "nvml")], "NVML's word")
    now_us = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    for code, instance in ((31, ""), (62, ""), (95, " GPU-I:03 GPU-CI:00")):
        line = f"4,1,{now_us},-;NVRM: Xid (PCI:{address}{instance}): {code}, pid=1, name=tenant\n"
        os.write(end, line.encode())
    wait_for(lambda: (95, "kernel") in seen_xids(node.reports()), "the kernel's word")
    node.stop()
    os.close(end)
    assert seen_xids(node.reports()) == [(31, "nvml"), (62, "kernel"), (95, "kernel")]
    events = [event for report in node.reports() for event in report.events]
    found = [event for event in events if event.kind is EventKind.XID]
    assert {event.device for event in found} == {uuid(0)}
    assert [event.gpu_instance for event in found] == [None, None, 3]
    assert "tenant" not in repr(node.reports())


def pci_address(reports: list[Report], device: str) -> str:
    """As the kernel writes it, without the function."""
    inventory = next(report.inventory for report in reports[::-1] if report.inventory is not None)
    (found,) = [one for one in inventory.devices if one.uuid == device]
    return str(found.identity.readings["pci_bus_id"]).removeprefix("0000").partition(".")[0]


def seen_xids(reports: list[Report]) -> list[tuple[int | None, str]]:
    return [
        (event.code, event.source)
        for report in reports
        for event in report.events
        if event.kind is EventKind.XID
    ]


FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@pytest.mark.skipif(FAKETIME is None, reason="libfaketime is not installed")
def test_an_hours_step_of_the_clock_both_ways_is_told_and_moves_no_sample(
    node: Node, tmp_path: Path
) -> None:
    node.enroll()
    step = tmp_path / "step"
    step.write_text("+0\n")
    node.start(
        LD_PRELOAD=str(FAKETIME),
        FAKETIME_TIMESTAMP_FILE=str(step),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
    )
    node.wait_for_reports(3)
    for number, offset in enumerate(("+3600", "+0"), start=1):
        fresh = tmp_path / "fresh"
        fresh.write_text(offset + "\n")
        fresh.replace(step)
        wait_for(lambda: kinds(node.reports()).count(EventKind.CLOCK_STEPPED) == number, offset)  # noqa: B023
    assert node.stop() == 0
    reports = node.reports()
    assert_unbroken(reports)
    times = [report.clock.boottime_us for report in reports]
    assert times == sorted(times)
    assert times[-1] - times[0] < DEADLINE_S * 3 * 1_000_000
    walls = [report.clock.wall_us for report in reports]
    assert max(walls) - walls[0] > 3_500_000_000


def test_what_a_revoked_key_left_in_the_spool_is_sent_under_the_next(node: Node) -> None:
    node.enroll()
    node.start()
    node.wait_for_reports(3)
    fake = node.collector.fake
    fake.revoked |= set(fake.keys)
    wait_for(lambda: "revoked_key" in node.log(), "the refusal")
    wait_for(lambda: spooled(node) > 5, "a backlog")
    node.stop()
    before = len(node.reports())
    node.enroll()
    node.start()
    node.wait_for_reports(before + 8)
    node.stop()
    reports = node.reports()
    old, new = reports[:before], reports[before:]
    assert new[0].chain != old[0].chain
    times = [report.clock.boottime_us for report in reports]
    assert times == sorted(set(times))
    assert max(later - earlier for earlier, later in pairwise(times[: before + 5])) < 5_000_000
    assert kinds(new).count(EventKind.AGENT_STOPPED) == 2


def test_run_without_enrolment_is_a_usage_error(node: Node) -> None:
    done = node.cli("run", *node.flags())
    assert done.returncode == 2
    assert "enroll" in done.stderr


def test_status_is_watched_while_the_agent_comes_and_goes(node: Node) -> None:
    node.enroll()
    node.start()
    node.wait_for_reports(3)
    missing = "reporting; NVML: the driver's library, libnvidia-ml.so.1, is not found\n"
    assert node.control("status").stderr == missing
    command = [*AGENT, "status", "--watch", "--runtime-directory", str(node.runtime)]
    with on_terminal(command, node.environment()) as (terminal, process):
        terminal.until(lambda shown: "sampled_milliseconds_ago" in shown, "the picture")
        assert node.stop() == 0
        terminal.until(lambda shown: "NO ANSWER: no agent answers" in shown, "the agent's end")
        assert interrupted(process) == 0
        terminal.read(0)
    assert "Traceback" not in terminal.written
    assert "Aborted" not in terminal.written
