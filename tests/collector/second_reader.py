"""A second reader of bundles, written from `docs/bundle.md` and `docs/protocol.md` alone.

It shares no line with the first, and checks everything but the judging: hashes, signatures and who may sign, chains,
the tree, heads and proof files.
"""

import hashlib
import io
import json
import re
import tarfile
from base64 import b64decode
from typing import Any

import zstandard
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey


class NotProven(Exception):
    """What is wrong with the bundle."""


def sha(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


def need(holds: bool, what: str) -> None:
    if not holds:
        raise NotProven(what)


def unpack(file: bytes) -> list[tuple[str, bytes]]:
    try:
        with tarfile.open(fileobj=io.BytesIO(file)) as tar:
            return [(one.name, tar.extractfile(one).read()) for one in tar]  # type: ignore[union-attr]
    except (tarfile.TarError, AttributeError) as error:
        raise NotProven(f"tar: {error}") from error


class Tree:
    """Complete subtrees as (first entry, level, hash)."""

    def __init__(self) -> None:
        self.size = 0
        self.peaks: list[tuple[int, int, bytes]] = []

    def add(self, level: int, digest: bytes) -> None:
        need(self.size % 2**level == 0, f"a subtree of level {level} at entry {self.size}")
        first, self.size = self.size, self.size + 2**level
        while self.peaks and self.peaks[-1][1] == level and first % 2 ** (level + 1):
            first, _, left = self.peaks.pop()
            level, digest = level + 1, sha(b"\x01", left, digest)
        self.peaks.append((first, level, digest))

    def root(self) -> bytes:
        *left, (_, _, digest) = self.peaks
        for _, _, one in reversed(left):
            digest = sha(b"\x01", one, digest)
        return digest


def opened(line: bytes) -> tuple[str, bytes, str, bytes]:
    """Kind, payload, name of the key, signature."""
    envelope = json.loads(line)
    (one,) = envelope["signatures"]
    kind = re.fullmatch(r"application/vnd\.weighbridge\.(\w+)\+json", envelope["payloadType"])
    need(kind is not None, "a payload of another type")
    assert kind is not None
    return kind[1], b64decode(envelope["payload"]), one["keyid"], b64decode(one["sig"])


def verify_envelope(line: bytes, key: bytes) -> None:
    kind, payload, name, signature = opened(line)
    need(hashlib.sha256(key).hexdigest() == name, "signed by another key")
    named = f"application/vnd.weighbridge.{kind}+json".encode()
    encoded = b"DSSEv1 %d %s %d %s" % (len(named), named, len(payload), payload)
    Ed25519PublicKey.from_public_bytes(key).verify(signature, encoded)


class Log:
    """Who may sign, and how far each chain has come, entry by entry."""

    def __init__(self, log_key: bytes) -> None:
        self.log_keys = [(-1, log_key)]
        self.agents: dict[str, dict[str, Any]] = {}
        self.revoked: set[str] = set()
        self.parties: dict[tuple[str, str], dict[str, Any]] = {}
        self.chains: dict[tuple[str, str, str], tuple[int, str]] = {}
        self.reports = 0

    @property
    def log_key(self) -> bytes:
        return self.log_keys[-1][1]

    def keys_of_head(self, size: int) -> list[bytes]:
        """The key that the last announcement under it names, and later ones."""
        past = max(number for number, (at, _) in enumerate(self.log_keys) if at < size)
        return [key for _, key in self.log_keys[past:]]

    def succeed(self, index: int, said: dict[str, Any]) -> None:
        key, empty = bytes.fromhex(said["public_key"]), said | {"proof": ""}
        text = json.dumps(empty, sort_keys=True, separators=(",", ":")).encode()
        Ed25519PublicKey.from_public_bytes(key).verify(
            bytes.fromhex(said["proof"]), b"weighbridge-succession\n" + text
        )
        need(said["index"] == index and said["previous"] == self.log_key.hex(), "a key's place")
        self.log_keys.append((index, key))

    def take(self, line: bytes, index: int) -> None:
        kind, payload, name, _ = opened(line)
        said = json.loads(payload)
        verify_envelope(line, self.key_of(kind, name, said))
        if kind == "key":
            if said["action"] == "enrolled":
                self.agents.setdefault(said["key_id"], said)
            else:
                self.revoked.add(said["key_id"])
        elif kind == "party":
            party = hashlib.sha256(bytes.fromhex(said["public_key"])).hexdigest()
            self.parties[said["contract"], party] = said
        elif kind == "succession":
            self.succeed(index, said)
        elif kind == "report":
            self.continue_chain(name, payload, said)

    def key_of(self, kind: str, name: str, said: dict[str, Any]) -> bytes:
        if kind == "report":
            agent = self.agents.get(name)
            need(agent is not None and name not in self.revoked, "a report by no agent's key")
            assert agent is not None
            need(agent["node"] == said["node"], "a report of another node")
            return bytes.fromhex(agent["public_key"])
        if kind == "notice" and (said["contract"], name) in self.parties:
            party = self.parties[said["contract"], name]
            need(party["action"] == "enrolled", "a party whose key was revoked")
            return bytes.fromhex(party["public_key"])
        if kind == "challenge" and name in self.agents:
            return bytes.fromhex(self.agents[name]["public_key"])
        return self.log_key

    def continue_chain(self, name: str, payload: bytes, said: dict[str, Any]) -> None:
        self.reports += 1
        chain = (name, said["chain"], said["stream"])
        before, digest = self.chains.get(chain, (-1, None))
        expected = before + 1
        for gap in sorted(said["gaps"], key=lambda gap: gap["first_seq"]):
            if gap["first_seq"] <= expected <= gap["last_seq"]:
                expected, digest = gap["last_seq"] + 1, gap["last_hash"]
        need(
            said["seq"] == expected and said["prev"] == digest,
            f"a hole before {chain} {said['seq']}",
        )
        self.chains[chain] = said["seq"], hashlib.sha256(payload).hexdigest()


def read_vkey(text: str) -> tuple[str, bytes, bytes]:
    """Name, key id and public key of a log's key."""
    name, identity, key = text.split("+", 2)
    raw = b64decode(key)
    need(
        raw[0] == 1 and sha(name.encode(), b"\n", raw)[:4].hex() == identity,
        "a key of another name",
    )
    return name, bytes.fromhex(identity), raw[1:]


def open_head(note: str, name: str, log: Log) -> tuple[int, bytes]:
    """Size and root of a checkpoint that the log of this name signed."""
    text, _, lines = note.partition("\n\n")
    origin, size, root = text.split("\n")[:3]
    need(origin == name, "the head of another log")
    keys = {sha(name.encode(), b"\n\x01", key)[:4]: key for key in log.keys_of_head(int(size))}
    for line in lines.splitlines():
        dash, who, signature = line.split(" ")
        raw = b64decode(signature)
        if (dash, who) == ("\u2014", name) and raw[:4] in keys:
            Ed25519PublicKey.from_public_bytes(keys[raw[:4]]).verify(raw[4:], text.encode() + b"\n")
            return int(size), b64decode(root)
    raise NotProven("the log did not sign this head")


def lead(index: int, size: int, digest: bytes, hashes: list[bytes]) -> bytes:
    """The root that a proof leads to, from the top down: RFC 9162 section 2.1.1, by its definition."""
    if size == 1:
        need(not hashes, "too many hashes")
        return digest
    split = 1 << ((size - 1).bit_length() - 1)
    need(bool(hashes), "too few hashes")
    if index < split:
        return sha(b"\x01", lead(index, split, digest, hashes[:-1]), hashes[-1])
    return sha(b"\x01", hashes[-1], lead(index - split, size - split, digest, hashes[:-1]))


def read_bundle(file: bytes) -> dict[str, Any]:
    """What a bundle proves. Raises NotProven, whatever the bytes are."""
    try:
        return _read(unpack(file))
    except InvalidSignature as error:
        raise NotProven("a signature does not verify") from error
    except (ValueError, KeyError, TypeError, IndexError, zstandard.ZstdError) as error:
        raise NotProven(f"not to be read: {error!r}") from error


def _read(members: list[tuple[str, bytes]]) -> dict[str, Any]:
    need(members[0][0] == "bundle.json", "the first member")
    need(
        [name for name, _ in members[-2:]] == ["MANIFEST.sha256", "extraction.json"],
        "the last members",
    )
    listed = "".join(f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in members[:-2])
    need(listed.encode() == members[-2][1], "the list of members")
    told = json.loads(members[0][1])
    origin, _, log_key = read_vkey(told["log_key"])
    log, leaves, roots = read_log(members, told, log_key)
    verify_envelope(members[-1][1], log.log_key)
    record = json.loads(opened(members[-1][1])[1])
    need(
        record["manifest"] == hashlib.sha256(members[-2][1]).hexdigest(),
        "the record of the extraction",
    )
    statement = dict(members)["statement.json"]
    need(
        hashlib.sha256(statement).hexdigest() == told["statement"]["digest"],
        "the statement's digest",
    )
    for name, data in members:
        if name.startswith("checkpoints/"):
            size, root = open_head(data.decode(), origin, log)
            need(roots.pop(size) == root, "the root of a head")
        elif name.startswith("proofs/"):
            check_proof(data.decode(), origin, log, leaves)
    need(not roots, "a head is missing")
    return {"told": told, "reports": log.reports}


def read_log(
    members: list[tuple[str, bytes]], told: dict[str, Any], log_key: bytes
) -> tuple[Log, dict[int, bytes], dict[int, bytes]]:
    tree, log, leaves, roots = Tree(), Log(log_key), dict[int, bytes](), dict[int, bytes]()
    for name, data in members:
        if not name.startswith("log/"):
            continue
        need(name == f"log/{tree.size:012d}.zst", "a piece of the log is missing")
        for line in zstandard.ZstdDecompressor().decompressobj().decompress(data).splitlines():
            if line.startswith(b"{"):
                log.take(line, tree.size)
                leaves[tree.size] = sha(b"\x00", line)
                tree.add(0, leaves[tree.size])
            else:
                level, digest = line.split(b" ")
                tree.add(int(level), bytes.fromhex(digest.decode()))
            if tree.size in told["sizes"]:
                roots[tree.size] = tree.root()
    need(tree.size == told["size"], "the size of the log")
    return log, leaves, roots


def check_proof(text: str, name: str, log: Log, leaves: dict[int, bytes]) -> None:
    said, _, note = text.partition("\n\n")
    first, index, *hashes = said.split("\n")
    need(first == "c2sp.org/tlog-proof@v1" and index.startswith("index "), "a proof file")
    place, (size, root) = int(index.removeprefix("index ")), open_head(note, name, log)
    need(lead(place, size, leaves[place], [b64decode(one) for one in hashes]) == root, "a proof")
