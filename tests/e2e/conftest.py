"""The fake driver library, built once, and a stage for each test."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.agent.fake_nvml.fixture import build
from tests.e2e.stage import Collector, Stage


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of libnvidia-ml.so.1."""
    return build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def stage(tmp_path: Path, library: Path) -> Iterator[Stage]:
    """Every process that was started on it is ended with the test; what they said is shown if it fails."""
    made = Stage(tmp_path, library)
    yield made
    sys.stderr.write(made.told())
    made.close()


@pytest.fixture(scope="session")
def collector(tmp_path_factory: pytest.TempPathFactory, library: Path) -> Iterator[Collector]:
    """A collector for all tests that leave it alone; each brings contracts and nodes of its own."""
    made = Stage(tmp_path_factory.mktemp("collector"), library)
    collector = made.collector()
    collector.start()
    yield collector
    made.close()
