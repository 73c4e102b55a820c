"""Whose signatures make a head good enough: trust policies of c2sp.org/tlog-policy, read and applied."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from weighbridge.log.checkpoint import read_head
from weighbridge.log.cosignature import Signed, signatures
from weighbridge.log.note import KeyKind, NoteKey, read_vkey
from weighbridge.log.succession import LogKeys
from weighbridge.wire.signing import SignatureError

NOBODY = "none"
MOST_BYTES = 1 << 20
MOST_LINES = 4096
_FOREIGN = re.compile(r"[^\t\n\x20-\x7e\x80-\xff]")


class PolicyError(ValueError):
    """Not a policy. The message names the line."""


@dataclass(frozen=True, slots=True)
class Group:
    """Witnesses a head once at least `needs` of its members do."""

    needs: int
    members: Sequence[str]


@dataclass(frozen=True, slots=True)
class Policy:
    """Any one of `logs` must have signed, and `quorum` (a witness, a group, or `none`) must have witnessed.

    Names are octets, held as Latin-1. No logs: whoever applies the policy knows the log otherwise.
    `leaves`: what is known of the logs' announcements of other keys, which stand for those that the policy names.
    """

    logs: Sequence[NoteKey]
    witnesses: Mapping[str, NoteKey]
    groups: Mapping[str, Group]
    quorum: str
    leaves: tuple[bytes, ...] = ()

    def following(self, leaves: Iterable[bytes]) -> "Policy":
        """The same, where these announcements of keys are known."""
        return replace(self, leaves=(*self.leaves, *leaves))

    def keys(self) -> list[NoteKey]:
        return [*self.logs, *self.witnesses.values()]

    def holds(self, signed: Sequence[Signed]) -> bool:
        """Whether these signatures of one head are enough."""
        keys = [one.key for one in signed]
        by_log = not self.logs or any(key in keys for key in self.logs)
        witnessing = {name for name, key in self.witnesses.items() if key in keys}
        return by_log and self._witnessed(witnessing)

    def _witnessed(self, witnessing: set[str]) -> bool:
        """Groups name only what stands before them, so one pass in their order is enough."""
        for name, group in self.groups.items():
            if sum(member in witnessing for member in group.members) >= group.needs:
                witnessing.add(name)
        return self.quorum == NOBODY or self.quorum in witnessing

    def accepts(self, note: str) -> bool:
        """Whether the head in a note is good enough. Raises SignatureError where it is malformed."""
        then = self._at(read_head(note).size) if self.leaves else self
        return then.holds(signatures(note, then.keys()))

    def _at(self, size: int) -> "Policy":
        """Of a head over so many entries: with the keys that a log has by then."""
        named = ((log.name, LogKeys(log.public_key).followed(self.leaves)) for log in self.logs)
        return replace(self, logs=[key for name, keys in named for key in keys.named(name, size)])


def signed_by(log: NoteKey) -> Policy:
    """The policy that asks for the log's own signature alone."""
    return Policy((log,), {}, {}, NOBODY)


def read_policy(text: str | bytes) -> Policy:
    """Raises PolicyError."""
    data = text.encode() if isinstance(text, str) else text
    octets = data.decode("latin-1")
    if len(octets) > MOST_BYTES or octets.count("\n") > MOST_LINES:
        raise PolicyError(f"over {MOST_BYTES} bytes or {MOST_LINES} lines")
    if _FOREIGN.search(octets) is not None:
        raise PolicyError("a control character other than tab and line feed")
    reader = _Reader()
    for number, words in _said(octets):
        try:
            reader.take(words)
        except (PolicyError, SignatureError) as error:
            raise PolicyError(f"line {number}: {error}") from error
    return reader.policy()


def _said(octets: str) -> Iterator[tuple[int, list[str]]]:
    for number, line in enumerate(octets.split("\n"), 1):
        words = [word for word in re.split(r"[ \t]+", line) if word]
        if words and not words[0].startswith("#"):
            yield number, words


class _Reader:
    """A policy as far as it is read."""

    def __init__(self) -> None:
        self._logs: list[NoteKey] = []
        self._witnesses: dict[str, NoteKey] = {}
        self._groups: dict[str, Group] = {}
        self._grouped: set[str] = set()
        self._quorum: str | None = None

    def take(self, words: Sequence[str]) -> None:
        match words:
            case ["log", vkey, *url] if len(url) <= 1:
                self._logs.append(_unlike(self._logs, _key(vkey)))
            case ["witness", name, vkey, *url] if len(url) <= 1:
                key = _cosigning(_key(vkey))
                self._witnesses[self._new(name)] = _unlike(self._witnesses.values(), key)
            case ["group", name, needs, *members] if members:
                group = Group(_needs(needs, len(members)), tuple(map(self._member, members)))
                self._groups[self._new(name)] = group
            case ["quorum", name] if self._quorum is None:
                self._quorum = name if name == NOBODY else self._known(name)
            case ["quorum", _]:
                raise PolicyError("a second quorum")
            case _:
                raise PolicyError(f"{' '.join(words[:2])}: not a line of a policy")

    def _new(self, name: str) -> str:
        if name == NOBODY or name in self._witnesses or name in self._groups:
            raise PolicyError(f"{name} is taken")
        return name

    def _known(self, name: str) -> str:
        if name not in self._witnesses and name not in self._groups:
            raise PolicyError(f"{name} is no witness and no group of a line before")
        return name

    def _member(self, name: str) -> str:
        """In one group, and there once: no witness counts twice."""
        if name in self._grouped:
            raise PolicyError(f"{name} is in a group already")
        self._grouped.add(self._known(name))
        return name

    def policy(self) -> Policy:
        if self._quorum is None:
            raise PolicyError("no quorum")
        return Policy(tuple(self._logs), self._witnesses, self._groups, self._quorum)


def _key(vkey: str) -> NoteKey:
    """A key's name is text, where a policy's own names are octets."""
    try:
        return read_vkey(vkey.encode("latin-1").decode())
    except UnicodeDecodeError as error:
        raise PolicyError("the name of a key is not UTF-8") from error


def _cosigning(key: NoteKey) -> NoteKey:
    if key.kind is KeyKind.ED25519:
        raise PolicyError(f"{key.name}: this key signs notes, not cosignatures")
    return key


def _unlike(known: Iterable[NoteKey], key: NoteKey) -> NoteKey:
    if any(key.public_key == other.public_key for other in known):
        raise PolicyError(f"{key.name}: the same public key a second time")
    return key


def _needs(text: str, members: int) -> int:
    if text in ("any", "all"):
        return 1 if text == "any" else members
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= members:
        raise PolicyError(f"{text}: any, all, or 1 to {members}")
    return int(text)
