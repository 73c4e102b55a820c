"""What a prober looks at before it is ready."""

from typing import Any

import numpy as np
import pytest

from agent.probe.cpu import CpuEngine
from agent.probe.self_check import difference
from agent.probe.worker import MESSAGE, PREPARE, obey, open_engine
from tests.agent.probe.cards import BACKENDS, gpus
from weighbridge.challenge.messages import (
    UNSUPPORTED,
    Decline,
    Prepare,
    Ready,
    decode_message,
    encode_message,
)
from weighbridge.challenge.policy import Policy
from weighbridge.challenge.prover import InProcessGpuProver


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("profile", ["f16", "i8"])
@pytest.mark.parametrize("check", ["recompute", "freivalds"])
@pytest.mark.parametrize("links", [0, 2, 4, 8])
def test_every_back_end_computes_what_the_reference_does(
    backend: str, profile: str, check: str, links: int
) -> None:
    engine = open_engine(backend, gpus(backend)[0])
    assert difference(engine, Policy(profile, 384, 2, 8, check, links=links)) is None
    engine.close()


class Rounds(CpuEngine):
    """A device whose sums are rounded to multiples of two."""

    def _product(self, key: Any) -> Any:
        return super()._product(key) & ~1


class ForgetsLinks(CpuEngine):
    def _taken(self, key: Any, first: Any, count: Any) -> Any:
        return bytes(len(super()._taken(key, first, count)))


class LosesMemory(CpuEngine):
    def scan(self, key: Any, first: Any, tiles: Any, peer: Any) -> Any:
        whole = np.frombuffer(super().scan(key, first, tiles, peer), dtype=np.uint8)
        return (whole ^ 1).tobytes()


def prepared(engine: CpuEngine) -> Any:
    policy = Policy("f16", 128, 2, 8, links=4)
    request = Prepare("challenge-1", "lease-7", bytes(32), ("GPU-a",), policy)
    answer = obey(
        InProcessGpuProver("GPU-a", engine, lambda: None), PREPARE + encode_message(request)
    )
    assert answer[:1] == MESSAGE
    return decode_message(answer[1:])


@pytest.mark.parametrize(
    ("engine", "what"),
    [
        (Rounds, "the leaves of a product"),
        (ForgetsLinks, "the bytes that a row takes, the leaves of a linked product"),
        (LosesMemory, "the digests of memory"),
    ],
)
def test_a_device_that_differs_declines_with_what_differed(engine: Any, what: str) -> None:
    answer = prepared(engine())
    assert isinstance(answer, Decline)
    assert (answer.challenge, answer.reason) == ("challenge-1", UNSUPPORTED)
    assert what in answer.detail


def test_a_device_that_does_not_is_ready_for_what_it_was_asked() -> None:
    engine = CpuEngine()
    assert isinstance(prepared(engine), Ready)
    engine.load_b(bytes(32))
    assert len(engine.round(bytes(32), None)) == 128 * 40
