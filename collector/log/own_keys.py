"""The log's own keys in `keys/`: `log.key`, `log-2.key` and so on, and `log.keys`, their public halves in that order.

Which of them signs the log says: the key that it announced last. A key that was made and not announced signs nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from collector.storage.store import Store
from weighbridge.log.checkpoint import Head, sign_head
from weighbridge.log.entries import EntryKind
from weighbridge.log.succession import LogKeys, open_succession
from weighbridge.process.files import write_file
from weighbridge.process.settings import ConfigError
from weighbridge.wire.signing import SignatureError, Signer, generate_private_key, key_id

FIRST = "log.key"
LISTED = "log.keys"


@dataclass(frozen=True, slots=True)
class OwnKeys:
    """`signer` is the newest of `keys`. `retiring`: former ones that are here, and until when they sign heads too."""

    keys: LogKeys
    signer: Signer
    retiring: tuple[tuple[Signer, int], ...] = ()

    @classmethod
    def sole(cls, signer: Signer) -> "OwnKeys":
        """Of a log that never had another."""
        return cls(LogKeys(signer.public_key), signer)

    def beside(self, now_us: int) -> list[Signer]:
        """Former keys that sign heads still."""
        return [signer for signer, until_us in self.retiring if now_us < until_us]

    def sign_head(self, origin: str, size: int, root: bytes, now_us: int) -> Head:
        return sign_head(origin, size, root, *self.beside(now_us), self.signer)


def announced(store: Store) -> list[bytes]:
    """The announcements in a log."""
    indexes = store.index.of_kinds({EntryKind.SUCCESSION})
    return [leaf for index in indexes for leaf in store.log.leaves(index, 1)]


def own_keys(directory: Path, leaves: Sequence[bytes]) -> OwnKeys:
    """Of a log that holds these announcements. Raises ConfigError where the key that signs now is not here."""
    try:
        first = bytes.fromhex(open_succession(leaves[0]).previous) if leaves else None
        keys = LogKeys(first or public_keys(directory)[0]).followed(leaves)
    except SignatureError as error:
        raise ConfigError(f"the log's announcements of its keys: {error}") from error
    if len(keys.leaves) != len(leaves):
        raise ConfigError("the log announces a key that its key before did not")
    held = _held(directory)
    signer = held.get(keys.newest)
    if signer is None:
        named = key_id(keys.newest)[:16]
        raise ConfigError(f"{directory}: no log*.key is {named}, the key that signs the log now")
    former = zip(keys.every, keys.successions, strict=False)
    retiring = ((held[key], one.until_us) for key, one in former if key in held)
    return OwnKeys(keys, signer, tuple(retiring))


def require_own_log(keys: Path, store: Store) -> OwnKeys:
    """The keys that the log was begun with and led to: agents pinned one of them. Raises ConfigError for others."""
    own = own_keys(keys, announced(store))
    first = next(iter(store.log.read(0, 1)), None)
    if first is not None and first.envelope.key_id != key_id(own.keys.first):
        raise ConfigError(f"{keys / 'log.key'}: this log was begun with another key")
    head = store.log.handed_out
    try:
        if head is not None:
            own.keys.open_head(head.note)
    except SignatureError as error:
        raise ConfigError(f"the newest head of the log: {error}") from error
    return own


def _held(directory: Path) -> dict[bytes, Signer]:
    signers = (read_signer(path) for path in sorted(directory.glob("log*.key")))
    return {signer.public_key: signer for signer in signers}


def read_signer(path: Path) -> Signer:
    """A log's key from a file. Raises ConfigError."""
    return _signer(_read(path), str(path))


def _signer(data: bytes | None, place: str) -> Signer:
    if data is None:
        raise ConfigError(f"{place}: missing")
    try:
        return Signer(bytes.fromhex(data.decode("ascii")))
    except ValueError as error:
        raise ConfigError(f"{place}: not the key of a log") from error


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error


def public_keys(directory: Path) -> list[bytes]:
    """Every key that the log ever had or was to have, the first one first. Raises ConfigError."""
    return keys_of(lambda name: _read(directory / name), str(directory))


def keys_of(file: Callable[[str], bytes | None], place: str) -> list[bytes]:
    """The same, of the files in another place: None where there is no such one. Raises ConfigError."""
    listed = file(LISTED)
    if listed is None:
        return [_signer(file(FIRST), f"{place}/{FIRST}").public_key]
    try:
        keys = [bytes.fromhex(line) for line in listed.decode("ascii").split()]
    except ValueError as error:
        raise ConfigError(f"{place}/{LISTED}: not the keys of a log") from error
    if not keys:
        raise ConfigError(f"{place}/{LISTED}: names no key")
    return keys


def next_key(directory: Path, own: OwnKeys) -> Signer:
    """The key to announce next, durable and listed before anybody hears of it: one that a call made which broke off, or
    a new one."""
    path = directory / f"log-{len(own.keys.every) + 1}.key"
    if not path.exists():
        write_file(path, generate_private_key().hex().encode())
    signer = read_signer(path)
    lines = (f"{key.hex()}\n" for key in (*own.keys.every, signer.public_key))
    write_file(directory / LISTED, "".join(lines).encode())
    return signer
