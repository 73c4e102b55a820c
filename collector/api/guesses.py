"""Wrong tokens at the login: each address may try so many, and then one in so many seconds."""

import math
from collections import OrderedDict
from collections.abc import Callable

MOST_GUESSES = 10
SECONDS_EACH = 30.0
MOST_ADDRESSES = 4096
"""Of more, the one that guessed longest ago is forgotten."""


class Guesses:
    """Of every address. `clock` is in seconds and never goes back."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._forgiven_at: OrderedDict[str, float] = OrderedDict()
        """When an address has all its guesses again."""

    def wait_seconds(self, address: str) -> int:
        """How long an address waits for its next guess; 0: it may guess now."""
        owed = self._forgiven_at.get(address, 0.0) - self._clock()
        return max(math.ceil(owed - (MOST_GUESSES - 1) * SECONDS_EACH), 0)

    def wrong(self, address: str) -> None:
        """It guessed, and was wrong."""
        begins = max(self._forgiven_at.pop(address, 0.0), self._clock())
        self._forgiven_at[address] = begins + SECONDS_EACH
        if len(self._forgiven_at) > MOST_ADDRESSES:
            self._forgiven_at.popitem(last=False)

    def right(self, address: str) -> None:
        """A guess that was counted as wrong beforehand was none."""
        if address in self._forgiven_at:
            self._forgiven_at[address] -= SECONDS_EACH
