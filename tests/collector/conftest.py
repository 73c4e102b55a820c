"""One real collector for the tests of a module, and agents that it knows."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.collector.building import Agent, Serving, make_store, serving
from tests.collector.postgres_server import Server, running_server

AGENTS = 64


@pytest.fixture(scope="module")
def fleet() -> list[Agent]:
    return [Agent(f"node-{number}", gpus=2) for number in range(AGENTS)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, fleet: list[Agent]) -> Iterator[Serving]:
    directory = make_store(tmp_path_factory.mktemp("collector") / "store", fleet)
    with serving(directory) as running:
        yield running


@pytest.fixture
def agent(fleet: list[Agent]) -> Agent:
    """One that nobody has used yet, of those that the module's collector knows."""
    return fleet.pop()


@pytest.fixture
def store_of(tmp_path: Path) -> Callable[..., Path]:
    """Makes a store that knows some agents."""
    return lambda *agents: make_store(tmp_path / "store", agents)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One real PostgreSQL for all tests; each takes a shard of its own."""
    with running_server() as running:
        yield running
