"""States of observers as they all were at one instant, told while they go on to change."""

from collections.abc import Callable, Generator, Iterable, Mapping
from dataclasses import dataclass, field

from weighbridge.judge.node_state import NodeState
from weighbridge.judge.snapshot import dump

Pack = Callable[[bytes], bytes]


def as_it_is(state: bytes) -> bytes:
    """Not packed."""
    return state


@dataclass(slots=True)
class Telling:
    """`changed`: the observers that changed since the last telling began; `due`: those of that one that are not told of
    yet, `told` what was. Whoever changes an observer says so with `touch` before: what is due of it is told first."""

    changed: set[str] = field(default_factory=set)
    due: set[str] = field(default_factory=set)
    told: dict[str, bytes] = field(default_factory=dict)
    pack: Pack = as_it_is

    def touch(self, name: str, states: Mapping[str, NodeState]) -> None:
        """An observer is about to change."""
        if name in self.due:
            self._tell(name, states)
        self.changed.add(name)

    def begin(self, pack: Pack) -> None:
        """Tell of all that changed, as it is now. What a telling before did not come to is due again."""
        self.due |= self.changed | self.told.keys()
        self.changed, self.told, self.pack = set(), {}, pack

    def rest(self, states: Mapping[str, NodeState]) -> Generator[None, None, dict[str, bytes]]:
        """Tell of those that did not change meanwhile, one at a step; it returns what is told of all."""
        for name in sorted(self.due):
            if name in self.due:
                self._tell(name, states)
                yield
        told, self.told = self.told, {}
        return told

    def again(self, names: Iterable[str]) -> None:
        """What was told of these is lost."""
        self.changed |= set(names)

    def _tell(self, name: str, states: Mapping[str, NodeState]) -> None:
        self.due.discard(name)
        if name in states:
            self.told[name] = self.pack(dump(states[name]))
