"""Bytes that callers share: when too many are held, whoever holds most lets go of what it has held longest.

Strangers and callers that have shown a known key stand apart. Strangers give way first, until a quarter is left to
them: so no number of them takes the room of those that are known, and no known one keeps strangers out.
"""

import ipaddress
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache

STRANGERS_PART = 4
SITE_BITS = 64
"""Of an IPv6 address, those that name the site: whoever has one address there has all of them."""


@dataclass(eq=False, slots=True)
class Guest:
    """Something that holds bytes for `holder`: an address, or a key once it is known. It is told once to give way."""

    holder: str
    give_way: Callable[[], None]
    known: bool = False
    size: int = 0


@dataclass(slots=True)
class _Share:
    """What one holder has, oldest first."""

    size: int = 0
    guests: dict[Guest, None] = field(default_factory=dict)


class Room:
    """At most `budget` bytes, all together."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._shares: dict[bool, dict[str, _Share]] = {False: {}, True: {}}
        self._sizes = {False: 0, True: 0}
        self._pinned = 0

    def pin(self, size: int) -> None:
        """So many bytes more (or fewer) that nobody can be made to let go of."""
        self._pinned += size

    def take(self, guest: Guest, size: int) -> None:
        """So many bytes more for a guest. Whoever must gives way, which may be this guest."""
        guest.size += size
        self._sizes[guest.known] += size
        share = self._shares[guest.known].setdefault(guest.holder, _Share())
        share.size += size
        share.guests[guest] = None
        while self._pinned + sum(self._sizes.values()) > self._budget and any(self._sizes.values()):
            oldest = self._oldest()
            self.leave(oldest)
            oldest.give_way()

    def leave(self, guest: Guest) -> None:
        """Nothing is held any more by this guest."""
        shares = self._shares[guest.known]
        share = shares.get(guest.holder)
        if share is None or guest not in share.guests:
            return
        del share.guests[guest]
        share.size -= guest.size
        self._sizes[guest.known] -= guest.size
        guest.size = 0
        if not share.guests:
            del shares[guest.holder]

    def clear(self) -> None:
        """Everybody gives way."""
        for shares in self._shares.values():
            for guest in [guest for share in shares.values() for guest in share.guests]:
                self.leave(guest)
                guest.give_way()

    def know(self, guest: Guest, key: str) -> None:
        """The guest has shown a key that is known: what it holds is that key's from now on."""
        size = guest.size
        self.leave(guest)
        guest.known, guest.holder = True, key
        if size:
            self.take(guest, size)

    def _oldest(self) -> Guest:
        """Of the holder that holds most, among those whose turn it is."""
        strangers, known = self._sizes[False], self._sizes[True]
        give = known == 0 or strangers > self._budget // STRANGERS_PART
        shares = self._shares[not give]
        largest = max(shares.values(), key=lambda share: share.size)
        return next(iter(largest.guests))


@lru_cache(maxsize=4096)
def site(address: str) -> str:
    """Whom an address stands for: itself, or its IPv6 network."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if parsed.version == 4:
        return address
    return str(ipaddress.ip_network((parsed, SITE_BITS), strict=False))
