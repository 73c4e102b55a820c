"""A real Prometheus, with the configuration and rules that are generated, finds and scrapes every page."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientError, ClientSession, web
from aiohttp.test_utils import TestClient

from dashboards.build import build

Client = TestClient[web.Request, web.Application]
DEADLINE_SECONDS = 60


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def configure(directory: Path, collector: str) -> Path:
    """What `dashboards build` writes, pointed at the test's collector and hurried."""
    build(directory, f"http://{collector}")
    path = directory / "prometheus" / "prometheus.yaml"
    configuration = yaml.safe_load(path.read_text())
    configuration["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    for job in configuration["scrape_configs"]:
        job["scrape_interval"] = "1s"
        (discovery,) = job["http_sd_configs"]
        discovery["refresh_interval"] = "1s"
    path.write_text(yaml.safe_dump(configuration))
    return path


@asynccontextmanager
async def prometheus(configuration: Path, store: Path) -> AsyncIterator[str]:
    program = shutil.which("prometheus")
    if program is None:
        pytest.skip("prometheus is not installed")
    address = f"127.0.0.1:{free_port()}"
    process = await asyncio.create_subprocess_exec(
        program,
        f"--config.file={configuration}",
        f"--storage.tsdb.path={store}",
        f"--web.listen-address={address}",
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield f"http://{address}/api/v1"
    finally:
        process.terminate()
        await process.wait()


async def until(ask: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool]) -> Any:
    """The first answer that holds; the last one, as a failure, at the deadline."""
    answer: Any = None
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            while True:
                try:
                    answer = await ask()
                except ClientError as error:
                    answer = error
                else:
                    if holds(answer):
                        return answer
                await asyncio.sleep(0.2)
    except TimeoutError:
        pytest.fail(f"not within {DEADLINE_SECONDS} s; last: {answer!r}")


@pytest.mark.slow
async def test_prometheus_discovers_scrapes_and_alerts(client: Client, tmp_path: Path) -> None:
    collector = f"{client.host}:{client.port}"
    configuration = configure(tmp_path / "generated", collector)
    async with (
        prometheus(configuration, tmp_path / "store") as api,
        ClientSession(raise_for_status=True) as session,
    ):

        async def query(expression: str) -> list[Any]:
            async with session.get(f"{api}/query", params={"query": expression}) as response:
                return list((await response.json())["data"]["result"])

        async def firing() -> set[str]:
            async with session.get(f"{api}/alerts") as response:
                alerts = (await response.json())["data"]["alerts"]
            return {alert["labels"]["alertname"] for alert in alerts if alert["state"] == "firing"}

        up = await until(lambda: query("up == 1"), lambda found: len(found) == 2)
        assert {series["metric"]["shard"] for series in up} == {"metrics", "0"}
        states = await query("weighbridge_gpu_state")
        assert {
            (series["metric"].get("uuid", ""), series["metric"]["state"]) for series in states
        } >= {("GPU-1", "ok"), ("GPU-2", "lost"), ("GPU-4", "missing")}
        (power,) = await query("weighbridge_gpu_power_draw_watts")
        assert power["value"][1] == "699.5"
        on_alpha = 'weighbridge_gpu_state and on (node, uuid) weighbridge_gpu_contract_info{contract="alpha"}'
        assert len(await query(on_alpha)) == len(states)
        expected = {"WeighbridgeGpuFault", "WeighbridgeNeverReported"}
        assert await until(firing, expected.issubset) == expected
