"""`up_when`: which of the states that are watched a unit needs to be up.

    reachable and gpu_count == 8 and no_fatal_xid and (nvlink_ok or fabric_ok)

`and`, `or`, `not`, parentheses and the names of STATES; nothing else. `gpu_count == n` is the one comparison.
"""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from itertools import chain, combinations
from typing import Annotated

from pydantic import PlainValidator

GPU_COUNT = "gpu_count"
REACHABLE = "reachable"
STATES: Mapping[str, frozenset[str]] = {
    REACHABLE: frozenset({"unreachable"}),
    GPU_COUNT: frozenset({"gpu_missing", "gpu_lost"}),
    "no_fatal_xid": frozenset({"xid_fatal"}),
    "ecc_ok": frozenset({"ecc_off", "ecc_sram_exceeded", "memory_unrepairable", "remap_failed"}),
    "nvlink_ok": frozenset({"nvlink_down", "fabric_not_joined", "fabric_unhealthy"}),
    "fabric_ok": frozenset({"fabric_down", "fabric_ports_down"}),
    "not_throttled": frozenset(
        {"clock_capped", "memory_clock_capped", "power_capped", "throttled"}
    ),
    "storage_ok": frozenset({"storage_down"}),
}
"""The causes of the ledger and of notices with which each state does not hold."""

JOINED = "+"
"""Between the causes of one interval, where there are several."""

Holds = Callable[[frozenset[str]], bool]
_TOKEN = re.compile(r"\s*(?:([a-z_]+)|(==)|([0-9]+)|([()]))", re.ASCII)
_DEEPEST = 20


class _Parser:
    """A recursive descent over the tokens of one expression."""

    def __init__(self, text: str) -> None:
        self._rest = _tokens(text)
        self._depth = 0
        self.counts: set[int] = set()
        self.names: set[str] = set()

    def whole(self) -> Holds:
        found = self._any()
        if self._rest:
            raise ValueError(f"`{self._rest[0]}` is one word too many")
        return found

    def _any(self) -> Holds:
        found = self._all()
        while self._took("or"):
            found = _either(found, self._all())
        return found

    def _all(self) -> Holds:
        found = self._one()
        while self._took("and"):
            found = _both(found, self._one())
        return found

    def _one(self) -> Holds:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("is nested too deeply")
        if self._took("not"):
            found = _neither(self._one())
        elif self._took("("):
            found = self._any()
            self._need(")")
        else:
            found = self._state()
        self._depth -= 1
        return found

    def _state(self) -> Holds:
        name = self._rest.pop(0) if self._rest else "the end"
        if name not in STATES:
            raise ValueError(f"`{name}` is no state; there are {', '.join(STATES)}")
        if name == GPU_COUNT:
            self._need("==")
            number = self._rest.pop(0) if self._rest else "the end"
            if not number.isdigit():
                raise ValueError("gpu_count is compared with a number")
            self.counts.add(int(number))
        self.names.add(name)
        return lambda broken: name not in broken

    def _took(self, word: str) -> bool:
        if self._rest[:1] != [word]:
            return False
        self._rest.pop(0)
        return True

    def _need(self, word: str) -> None:
        if not self._took(word):
            raise ValueError(f"`{word}` is missing")


def _tokens(text: str) -> list[str]:
    found: list[str] = []
    place, end = 0, len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place)
        if match is None:
            raise ValueError(f"cannot be read from `{text[place:].strip()[:20]}` on")
        found.append(match[0].strip())
        place = match.end()
    return found


def _either(left: Holds, right: Holds) -> Holds:
    return lambda broken: left(broken) or right(broken)


def _both(left: Holds, right: Holds) -> Holds:
    return lambda broken: left(broken) and right(broken)


def _neither(inner: Holds) -> Holds:
    return lambda broken: not inner(broken)


@lru_cache(maxsize=256)
def _parsed(text: str) -> tuple[Holds, frozenset[int], frozenset[str]]:
    parser = _Parser(text)
    return parser.whole(), frozenset(parser.counts), frozenset(parser.names)


def gpu_counts(text: str) -> frozenset[int]:
    """The numbers that gpu_count is compared with."""
    return _parsed(text)[1]


def asks_for(text: str | None, state: str) -> bool:
    """Whether a condition names a state."""
    return text is not None and state in _parsed(text)[2]


@lru_cache(maxsize=256)
def decided(text: str, *, reached: bool) -> bool | None:
    """What it comes to by that alone, whatever the other states are; None: by them too."""
    holds, _, names = _parsed(text)
    others = sorted(names - {REACHABLE})
    broken = chain.from_iterable(combinations(others, size) for size in range(len(others) + 1))
    unreached = frozenset() if reached else frozenset({REACHABLE})
    found = {holds(unreached.union(some)) for some in broken}
    return found.pop() if len(found) == 1 else None


@lru_cache(maxsize=4096)
def is_up(text: str, causes: str) -> bool | None:
    """Whether a unit with these causes is up. None: the condition does not say, because none of them belongs to a
    state, or because it holds and there are others."""
    given = set(causes.split(JOINED))
    broken = frozenset(name for name, known in STATES.items() if known & given)
    if not broken:
        return None
    if not _parsed(text)[0](broken):
        return False
    return None if given - frozenset().union(*STATES.values()) else True


def _condition(value: object) -> str:
    if not isinstance(value, str) or len(value) > 1000:
        raise ValueError("must be a condition of at most 1000 characters")
    _parsed(value)
    return value


Condition = Annotated[str, PlainValidator(_condition)]
