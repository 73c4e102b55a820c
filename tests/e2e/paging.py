"""Prometheus and Alertmanager as processes with the generated configuration, and a webhook that notes who was told."""

import json
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from signal import SIGTERM
from typing import Any

import pytest
import yaml

from dashboards.build import build
from tests.e2e.stage import DEADLINE_S, Collector, Json, Program, environment, wait_for

DEBIAN = {"prometheus": "prometheus", "prometheus-alertmanager": "prometheus-alertmanager"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def require(names: Sequence[str] = tuple(DEBIAN)) -> None:
    """Skips where one of the programs is missing."""
    for name in names:
        if shutil.which(name) is None:
            pytest.skip(f"{name} (Debian: {DEBIAN[name]}) is not installed")


@dataclass
class Webhook:
    """What Alertmanager told: when by the monotonic clock, to which receiver, and the alert."""

    told: list[tuple[float, str, Json]] = field(default_factory=list)
    port: int = 0

    def first(
        self, status: str, labels: Mapping[str, str], seconds: float = DEADLINE_S
    ) -> tuple[float, str, Json]:
        """The first that is told of an alert with these labels, once it is."""

        def found() -> list[tuple[float, str, Json]]:
            return [row for row in list(self.told) if _is(row[2], status, labels)]

        return wait_for(found, f"{labels} to be told as {status}", seconds)[0]


def _is(alert: Json, status: str, labels: Mapping[str, str]) -> bool:
    return bool(alert["status"] == status and labels.items() <= alert["labels"].items())


@contextmanager
def webhook() -> Iterator[Webhook]:
    """Listens on a port of its own."""
    heard = Webhook()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            at_s, receiver = time.monotonic(), self.path.strip("/")
            heard.told += [(at_s, receiver, alert) for alert in body["alerts"]]
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        heard.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield heard
        server.shutdown()
        thread.join()


@dataclass(frozen=True)
class Pager:
    """What runs; `prometheus` is the address of its API."""

    webhook: Webhook
    prometheus: str


@contextmanager
def paging(directory: Path, collector: Collector, hurried: Mapping[str, str]) -> Iterator[Pager]:
    """Prometheus and Alertmanager over a collector. `hurried`: intervals by name, in place of the shipped ones."""
    require()
    build(directory, f"http://127.0.0.1:{collector.port}")
    alertmanager, prometheus = free_port(), free_port()
    with ExitStack() as stack:
        heard = stack.enter_context(webhook())
        watch, tell = directory / "prometheus/prometheus.yaml", directory / "alertmanager"
        _point(watch, _configured(watch, hurried, alertmanager))
        _point(tell / "alertmanager.yaml", _told(tell / "alertmanager.yaml", hurried, heard.port))
        stack.enter_context(
            _running(
                directory / "prometheus.log",
                "prometheus",
                f"--config.file={watch}",
                f"--storage.tsdb.path={directory / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{prometheus}",
            )
        )
        stack.enter_context(
            _running(
                directory / "alertmanager.log",
                *_alertmanager(),
                f"--config.file={tell / 'alertmanager.yaml'}",
                f"--storage.path={directory / 'nflog'}",
                f"--web.listen-address=127.0.0.1:{alertmanager}",
                "--cluster.listen-address=",
            )
        )
        yield Pager(heard, f"http://127.0.0.1:{prometheus}/api/v1")


def _alertmanager() -> list[str]:
    """Debian's opens a template below /usr/share; where the package is only unpacked, that is laid over it for this
    process alone. Skips where no namespace can be had.
    """
    program = shutil.which("prometheus-alertmanager") or ""
    if Path("/usr/share/prometheus/alertmanager/default.tmpl").exists():
        return [program]
    unpacked = Path(program).resolve().parents[1] / "share"
    lay = f"mount -t overlay overlay -o lowerdir={unpacked}:/usr/share /usr/share"
    wrapped = [
        "unshare",
        "--user",
        "--map-root-user",
        "--mount",
        "sh",
        "-c",
        f'{lay} && exec "$@"',
        "sh",
    ]
    if subprocess.run([*wrapped, "true"], capture_output=True).returncode:
        pytest.skip("no namespace can be had in which an unpacked Alertmanager finds its template")
    return [*wrapped, program]


def _point(path: Path, configuration: Json) -> None:
    path.write_text(yaml.safe_dump(configuration))


def _configured(path: Path, hurried: Mapping[str, str], alertmanager: int) -> Json:
    made = yaml.safe_load(path.read_text())
    (one,) = made["alerting"]["alertmanagers"]
    one["static_configs"] = [{"targets": [f"127.0.0.1:{alertmanager}"]}]
    for name in made["global"].keys() & hurried.keys():
        made["global"][name] = hurried[name]
    for job in made["scrape_configs"]:
        job["http_sd_configs"][0]["refresh_interval"] = "1s"
        if "scrape_interval" in hurried:
            job["scrape_interval"] = hurried["scrape_interval"]
    return made


def _told(path: Path, hurried: Mapping[str, str], port: int) -> Json:
    made = yaml.safe_load(path.read_text())
    for name in made["route"].keys() & hurried.keys():
        made["route"][name] = hurried[name]
    for receiver in made["receivers"]:
        for one in receiver["webhook_configs"]:
            one["url"] = one["url"].replace("127.0.0.1:9099", f"127.0.0.1:{port}")
    return made


@contextmanager
def _running(log: Path, *arguments: str) -> Iterator[Program]:
    program = Program(log)
    program.launch(arguments, environment())
    try:
        yield program
    finally:
        program.end(SIGTERM)
