"""Inclusion proofs of chosen entries, gathered while the entries of a log pass by once."""

from collections.abc import Sequence

from weighbridge.log.merkle import Frontier, inclusion_proof

Place = tuple[int, int]
"""(level, index) of a complete subtree."""


class Paths:
    """Holds the hashes that proofs of the chosen entries need, of a log that will have `size` entries."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.chosen: list[int] = []
        self._frontier = Frontier()
        self._wanted: set[Place] = set()
        self._known: dict[Place, bytes] = {}

    @property
    def root(self) -> bytes:
        """Of the entries so far."""
        return self._frontier.root()

    def choose(self) -> None:
        """The next entry is to be proven."""
        index, peaks = self._frontier.size, self._frontier.peaks()
        self.chosen.append(index)
        for place in _needed(index, self.size):
            if place in peaks:
                self._known[place] = peaks[place]
            elif place not in self._known:
                self._wanted.add(place)

    def append(self, leaf: bytes) -> None:
        """The next entry's leaf hash."""
        for level, index, subtree in self._frontier.append(leaf):
            if (level, index) in self._wanted:
                self._wanted.discard((level, index))
                self._known[level, index] = subtree

    def proof(self, index: int) -> Sequence[bytes]:
        """Of a chosen entry, once all have passed by."""
        return inclusion_proof(index, self.size, lambda *place: self._known[place])


def _needed(index: int, size: int) -> list[Place]:
    places: list[Place] = []

    def note(level: int, number: int) -> bytes:
        places.append((level, number))
        return b""

    inclusion_proof(index, size, note)
    return places
