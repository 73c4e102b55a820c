"""The fake driver library, and the two sources that the one contract is tested on."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from agent.nvml.client import NvmlSource, Patience
from tests.agent.fake_nvml.fixture import FakeDriver, build

MakeDriver = Callable[..., FakeDriver]
MakeSource = Callable[..., NvmlSource]

QUICK = Patience(call=0.5, open=3, whole=10, death=5, renew=0.2, quarantine=3600)


def boottime_us() -> int:
    """CLOCK_BOOTTIME."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000


async def eventually(holds: Callable[[], Awaitable[bool]], seconds: float = 30) -> None:
    """Wait for a condition, and no longer than that."""
    async with asyncio.timeout(seconds):
        while not await holds():  # noqa: ASYNC110 (what is awaited happens in another process)
            await asyncio.sleep(0.005)


@pytest.fixture(scope="session")
def libraries(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`libraries(branch=…, without=(…))`: the directory of a fake library, built once for each kind."""
    built: dict[tuple[int, tuple[str, ...]], Path] = {}

    def make(branch: int = 580, without: tuple[str, ...] = ()) -> Path:
        if (branch, without) not in built:
            directory = tmp_path_factory.mktemp(f"nvml-{branch}-")
            built[branch, without] = build(directory, branch=branch, without=without)
        return built[branch, without]

    return make


@pytest.fixture
def make_driver(libraries: Callable[..., Path], tmp_path: Path) -> MakeDriver:
    """`make_driver(branch=…, without=(…))`: a fake driver with a scenario of its own, two H100s at first."""

    def make(branch: int = 580, without: tuple[str, ...] = ()) -> FakeDriver:
        driver = FakeDriver(libraries(branch, without), tmp_path / "scenario", branch)
        driver.play_node(2)
        return driver

    return make


@pytest.fixture
def driver(make_driver: MakeDriver) -> FakeDriver:
    """Driver 580 with two H100s."""
    return make_driver()


@pytest.fixture
async def make_source() -> AsyncIterator[MakeSource]:
    """`make_source(driver, …)`: a source over the fake driver, closed at the end of the test."""
    made: list[NvmlSource] = []

    def make(driver: FakeDriver, **how: object) -> NvmlSource:
        options = {"patience": QUICK} | how
        source = NvmlSource(boottime_us, driver.environment(), **options)  # type: ignore[arg-type]
        made.append(source)
        return source

    yield make
    for source in made:
        await source.close()
