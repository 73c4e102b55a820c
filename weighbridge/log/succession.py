"""The keys of one log, one after the other: each is announced by an entry that the key before it signed.

Whoever knows one key follows from there, and nobody goes back. A head that covers an announcement is to be signed by
the key that it announces; the key before may sign beside it, for those who did not follow yet, and counts for nothing.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from weighbridge.log.checkpoint import Head, log_key, open_head, read_head
from weighbridge.log.entries import EntryKind, Succession, payload_type
from weighbridge.log.merkle import leaf_hash, verify_inclusion
from weighbridge.log.note import NoteKey, read_note
from weighbridge.wire.report import Hash, Model, WireError, encode, read
from weighbridge.wire.signing import SignatureError, Signer, open_envelope, verify, verify_bytes

KEYS_PATH = "/v1/log/keys"
MOST_SUCCESSIONS = 1024
MOST_ANSWER_BYTES = 4 << 20
"""What that many announcements and their proofs have room in."""


class Proven(Model):
    """An announcement as the log has it, and its inclusion in the head of the answer."""

    envelope: Annotated[str, Field(max_length=4096)]
    proof: Annotated[list[Hash], Field(max_length=64)]


class KeysTold(Model):
    """What the log says of its keys: `first` is that of entry 0."""

    first: Hash
    successions: Annotated[list[Proven], Field(max_length=MOST_SUCCESSIONS)]
    head: Annotated[str, Field(max_length=64 << 10)]


def seal_succession(index: int, until_us: int, old: Signer, new: Signer) -> bytes:
    """The leaf of the entry at `index`: `new` signs from the next one on. Both keys sign."""
    said = _said(index, until_us, old.public_key, new.public_key, "")
    proof = new.sign_bytes(_possession(said)).hex()
    return old.seal(payload_type(EntryKind.SUCCESSION), encode(_with(said, proof)))


def _said(index: int, until_us: int, previous: bytes, public_key: bytes, proof: str) -> Succession:
    keys = {"previous": previous.hex(), "public_key": public_key.hex()}
    return Succession(index=index, until_us=until_us, proof=proof, **keys)


def _with(said: Succession, proof: str) -> Succession:
    return said.model_copy(update={"proof": proof})


def _possession(said: Succession) -> bytes:
    """What the new key signs."""
    return b"weighbridge-succession\n" + encode(_with(said, ""))


_MARK = f'","payloadType":"{payload_type(EntryKind.SUCCESSION)}",'.encode()


def announces(leaf: bytes) -> bool:
    """Whether an entry is such an announcement, as far as it says itself."""
    return _MARK in leaf


def open_succession(leaf: bytes) -> Succession:
    """Verified under the two keys that it names. Raises SignatureError."""
    envelope = open_envelope(leaf)
    if envelope.payload_type != payload_type(EntryKind.SUCCESSION):
        raise SignatureError(f"{envelope.payload_type} announces no key of a log")
    try:
        said = read(Succession, envelope.payload)
        signature = bytes.fromhex(said.proof)
    except (WireError, ValueError) as error:
        raise SignatureError(f"not the announcement of a key: {error}") from error
    verify(envelope, bytes.fromhex(said.previous))
    verify_bytes(_possession(said), signature, bytes.fromhex(said.public_key))
    return said


@dataclass(frozen=True, slots=True)
class LogKeys:
    """`first` is the one that somebody knows otherwise, `leaves` the announcements that lead on from it."""

    first: bytes
    leaves: tuple[bytes, ...] = ()
    successions: tuple[Succession, ...] = ()

    @property
    def every(self) -> tuple[bytes, ...]:
        """In their order."""
        return (self.first, *(bytes.fromhex(one.public_key) for one in self.successions))

    @property
    def newest(self) -> bytes:
        return self.every[-1]

    def since(self, size: int) -> tuple[bytes, ...]:
        """Those that none of the first `size` entries puts another key in place of: the one of then, and later ones."""
        past = [place for place, one in enumerate(self.successions, 1) if one.index < size]
        return self.every[max(past, default=0) :]

    def at(self, index: int) -> bytes:
        """The one that signs the entry there."""
        return self.since(index)[0]

    def followed(self, leaves: Iterable[bytes]) -> "LogKeys":
        """As these announcements lead on; those that do not begin at the newest key are passed over.

        Raises SignatureError for one that does, and is not signed by it and by the key that it names.
        """
        keys = self
        for leaf in leaves:
            said = open_succession(leaf)
            if bytes.fromhex(said.previous) != keys.newest:
                continue
            if bytes.fromhex(said.public_key) in keys.every:
                raise SignatureError("a key of a log comes but once")
            keys = LogKeys(self.first, (*keys.leaves, leaf), (*keys.successions, said))
        return keys

    def succeeded(self, index: int, leaf: bytes) -> "LogKeys":
        """As the entry there leads on. Raises SignatureError where it is no announcement by the newest key."""
        keys = self.followed([leaf])
        if len(keys.leaves) == len(self.leaves) or keys.successions[-1].index != index:
            raise SignatureError("it announces a key of another place, or of another key's log")
        return keys

    def follow(self, answer: bytes) -> "LogKeys":
        """As the log's own answer leads on, each announcement proven to stand in the log. Raises SignatureError."""
        try:
            told = KeysTold.model_validate_json(answer)
        except ValueError as error:
            raise SignatureError("not what a log says of its keys") from error
        keys = self.followed(one.envelope.encode() for one in told.successions)
        new = keys.leaves[len(self.leaves) :]
        if new:
            head = keys.open_head(told.head)
            for one in told.successions:
                _require_proven(one, head, new)
        return keys

    def open_head(self, note: str) -> Head:
        """A head that a key signed which no entry under it puts another in place of. Raises SignatureError."""
        head, said = read_head(note), read_note(note)
        keys = [key for key in self.since(head.size) if said.of(log_key(head.origin, key))]
        if not keys:
            known = any(said.of(log_key(head.origin, key)) for key in self.every)
            raise SignatureError(
                f"the checkpoint is signed by {'a former' if known else 'another'} key"
            )
        for key in keys:
            open_head(note, key)
        return head

    def lacks(self, note: str) -> bool:
        """Whether a head bears, under the log's name, the signature of a key that is not known here."""
        head = read_head(note)
        known = {key.key_id for key in self.named(head.origin)}
        return any(
            line.name == head.origin and line.key_id not in known for line in read_note(note).lines
        )

    def named(self, origin: str, size: int = 0) -> list[NoteKey]:
        """Those that may sign a head over so many entries, as notes name them."""
        return [log_key(origin, key) for key in self.since(size)]


def open_by_any(note: str, keys: Iterable[bytes]) -> Head:
    """A head that one of these keys signed, whenever that was. Raises SignatureError."""
    head, said = read_head(note), read_note(note)
    for key in keys:
        if said.of(log_key(head.origin, key)):
            return open_head(note, key)
    raise SignatureError("the checkpoint is signed by another key")


def _require_proven(one: Proven, head: Head, new: Iterable[bytes]) -> None:
    leaf = one.envelope.encode()
    if leaf not in new:
        return
    index, proof = open_succession(leaf).index, [bytes.fromhex(hashed) for hashed in one.proof]
    if not verify_inclusion(index, head.size, leaf_hash(leaf), proof, head.root):
        raise SignatureError(f"the announcement is not proven to be entry {index}")
