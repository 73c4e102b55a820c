"""A large snapshot is written in small steps, and is the same to the byte."""

from collections.abc import Generator

from weighbridge.judge.registry import Registry, Title
from weighbridge.judge.snapshot import Key, dump, dumping


def test_a_snapshot_in_steps_is_the_same_bytes() -> None:
    registry, place = Registry(), Key(("n1", "provider"))
    registry.showing[place] = ["GPU-1"]
    for number in range(2500):
        registry.titles[f"GPU-{number}"] = Title("K1", "n1", number)
        registry.stretches[f"GPU-{number}"] = {place: [[number, number]]}
    told: list[bytes] = []

    def kept() -> Generator[None, None, None]:
        told.append((yield from dumping(registry)))

    assert len(list(kept())) > 6
    assert told == [dump(registry)]
