"""A bundle holds what a statement rests on and nothing of anybody else, and says so to whoever has nothing but it."""

import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
import tarfile
from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.log.commits import CommitBatch
from collector.log.timestamps import ask
from collector.storage.store import Store
from tests.collector.building import (
    CONTRACT,
    INTERVAL_US,
    SECOND_US,
    Agent,
    enrolled,
    log_signer,
    make_store,
    opened,
    weighbridge,
)
from tests.collector.second_reader import NotProven, read_bundle
from tests.collector.timestamping import TimestampAuthority
from tests.weighbridge.challenge import test_record
from tests.weighbridge.challenge.conftest import Bench
from weighbridge.bundle.archive import ArchiveWriter
from weighbridge.bundle.extraction import Extraction, seal
from weighbridge.bundle.pruned import PrunedReader, Pruner
from weighbridge.bundle.zone import offsets
from weighbridge.challenge.record import seal_record
from weighbridge.log.checkpoint import Head, log_key, read_head, sign_head
from weighbridge.log.cosignature import Cosigner
from weighbridge.log.entries import (
    Assignment,
    ContractAdded,
    CosignedHead,
    EntryKind,
    StampedHead,
)
from weighbridge.log.merkle import Frontier, leaf_hash
from weighbridge.log.note import KeyKind, read_note
from weighbridge.log.tlog_proof import LogProof, read_proof, write_proof
from weighbridge.settlement.periods import instant_text
from weighbridge.wire.report import Model, canonical
from weighbridge.wire.signing import Signer, generate_private_key

START_US = 1_790_812_800 * SECOND_US
"""2026-10-01T00:00:00Z."""
HOUR = 360
"""Samples that nobody took."""
PERIOD = "2026-10"
LEASE = CONTRACT.replace("nodes: 1", "nodes: 2").replace("per_node: 8", "per_node: 2")
OTHER = LEASE.replace("contract_id: lease", "contract_id: neighbour")


@dataclass
class House:
    """A store with two tenants, and how more comes into it."""

    directory: Path
    store: Store
    agents: dict[str, Agent]
    now_us: int = START_US
    assigns: bool = True
    leaves: list[bytes] = field(default_factory=list)

    def commit(self, *leaves: bytes, **records: Model) -> None:
        """Behind a tick. `records`: entries of the collector, by the names of their kinds."""
        batch = CommitBatch(self.store, log_signer(self.directory), self.now_us)
        batch.leaves.extend(leaves)
        for kind, record in records.items():
            batch.add_record(EntryKind[kind], record)
        self.leaves += batch.leaves

    def pass_seconds(self, count: int) -> None:
        for _ in range(count):
            self.now_us += SECOND_US
            self.commit()

    def report(self, name: str, gone: int = 0, **more: Any) -> None:
        """Two samples of a node, after `gone` that nobody took."""
        agent = self.agents[name]
        agent.sampled += gone
        leaf = agent.next(2, **more)
        self.now_us = max(self.now_us, START_US + agent.sampled * INTERVAL_US)
        self.commit(leaf)

    def adopt(self, name: str, contract: str) -> None:
        self.commit(KEY=enrolled(self.agents[name]))
        if self.assigns:
            self.commit(ASSIGNMENT=Assignment(contract=contract, node=name, devices=None))


def bundle(directory: Path, file: Path, *options: str) -> subprocess.CompletedProcess[str]:
    config = directory / "config.toml"
    return weighbridge(
        "bundle", "lease", "--period", PERIOD, "-o", file, "--config", config, *options, check=False
    )


def play(house: House) -> None:
    """Nodes `a` and `b` of `lease`, `c` of `neighbour`: hours unheard, a stall of the collector, `b` falls silent."""
    for agent in house.agents.values():
        agent.start_us = START_US
    house.commit(CONTRACT=ContractAdded(contract="neighbour", version=1, text=OTHER, from_us=0))
    house.adopt("c", "neighbour")
    for number in range(40):
        for name in "abc" if number < 30 else "ac":
            first = {"inventory": house.agents[name].inventory()} if number == 0 else {}
            house.report(name, HOUR if number in (12, 24) else 0, **first)
        house.pass_seconds(0 if number == 20 else 15)
    house.now_us = START_US + 32 * 86_400 * SECOND_US
    house.commit()
    house.pass_seconds(10)


def written_by(directory: Path, playing: Callable[[House], None], contract: str = LEASE) -> Path:
    """A store with what a play says. The first two nodes are of `lease`."""
    agents = {name: Agent(name, gpus=2) for name in "abc"}
    make_store(directory, [agents["a"], agents["b"]], contract)
    with opened(directory) as store:
        house = House(directory, store, agents)
        playing(house)
        store.log.append(house.leaves)
    return directory


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written_by(tmp_path_factory.mktemp("bundled") / "store", play)


@pytest.fixture(scope="module")
def bundled(written: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("bundles") / "lease.tar"
    done = bundle(written, file)
    assert done.returncode == 0, done.stderr
    return file


def test_a_bundle_is_verified_and_settles_to_the_same_byte(bundled: Path) -> None:
    done = weighbridge("verify", bundled, check=False)
    assert done.returncode == 0, done.stdout
    assert "equal to the byte" in done.stdout


WITHOUT = ("sqlalchemy", "sqlite3", "aiohttp", "rich", "jinja2", "prometheus_client", "numpy")


def test_verify_needs_nothing_but_the_base_install(bundled: Path) -> None:
    script = (
        f"import sys; sys.modules.update(dict.fromkeys({WITHOUT}))\n"
        f"from collector.__main__ import main; main(['verify', {str(bundled)!r}])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def members(file: Path) -> dict[str, bytes]:
    """Everything in a bundle, its log decompressed and as one."""
    found: dict[str, bytes] = {}
    with tarfile.open(file) as tar:
        for info in tar:
            content = tar.extractfile(info)
            assert content is not None
            found[info.name] = content.read()
    pieces = sorted(name for name in found if name.startswith("log/"))
    log = b"".join(zstandard.decompress(found.pop(name)) for name in pieces)
    return found | {"log": log}


def payloads(log: bytes) -> list[tuple[str, dict[str, Any]]]:
    """Kind and payload of the entries that are there."""
    entries = [json.loads(line) for line in log.splitlines() if line.startswith(b"{")]
    return [
        (
            one["payloadType"].removeprefix("application/vnd.weighbridge.").removesuffix("+json"),
            json.loads(b64decode(one["payload"])),
        )
        for one in entries
    ]


def test_no_other_tenant_is_in_it(bundled: Path) -> None:
    held = members(bundled)
    said = payloads(held["log"])
    assert {one["node"] for kind, one in said if kind == "report"} == {"a", "b"}
    assert {one["contract"] for _, one in said if "contract" in one} == {"lease"}
    everything = b"".join(held.values()) + json.dumps(said).encode()
    assert b"GPU-c-0" not in everything
    assert b"neighbour" not in everything


def test_ticks_that_decide_nothing_are_left_out(bundled: Path, written: Path) -> None:
    with opened(written) as store:
        every = [one.kind for one in store.log.read(0, store.log.size)]
    kinds = Counter(kind for kind, _ in payloads(members(bundled)["log"]))
    assert every.count(EntryKind.TICK) > 600
    assert kinds["report"] == 70
    assert kinds["tick"] < every.count(EntryKind.TICK) // 2


def verified(file: Path, *options: str | Path) -> tuple[int, str]:
    done = weighbridge("verify", file, *options, check=False)
    return done.returncode, done.stdout


def test_a_reader_made_from_the_documents_alone_proves_the_same(bundled: Path) -> None:
    proven = read_bundle(bundled.read_bytes())
    assert (proven["told"]["contract"], proven["reports"]) == ("lease", 70)


KINDS = (
    "bundle",
    "statement",
    "versions",
    "VERIFY",
    "log",
    "contracts",
    "notices",
    "keys",
    "checkpoints",
    "proofs",
    "MANIFEST",
    "extraction",
)


@pytest.mark.parametrize("kind", KINDS)
def test_a_byte_that_changed_in_any_member_is_found_by_both(
    kind: str, bundled: Path, tmp_path: Path
) -> None:
    with tarfile.open(bundled) as tar:
        places = [(one.offset_data, one.size) for one in tar if one.name.startswith(kind)]
    start, size = places[-1]
    for offset in (0, size // 2):
        changed = bytearray(bundled.read_bytes())
        changed[start + offset] ^= 1
        file = tmp_path / f"{offset}.tar"
        file.write_bytes(changed)
        code, said = verified(file)
        assert (code, said.splitlines()[-1]) == (3, "overall: breached")
        with pytest.raises(NotProven):
            read_bundle(bytes(changed))


SPARSE = b"22 GNU.sparse.major=1\n22 GNU.sparse.minor=0\n"


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
@pytest.mark.parametrize("said", [SPARSE, b"18 size=999999999\n", b"\xff" * 40])
def test_a_header_that_changes_what_follows_is_no_member_and_ends_nothing_but_the_reading(
    kind: bytes, said: bytes, bundled: Path, tmp_path: Path
) -> None:
    """Programs differ in what they make of them, so one of them could be shown another statement."""
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, len(said)
    before = header.tobuf(tarfile.USTAR_FORMAT) + said + bytes(-len(said) % tarfile.BLOCKSIZE)
    with tarfile.open(bundled) as tar:
        place = tar.getmember("versions.json").offset
    whole, file = bundled.read_bytes(), tmp_path / "b.tar"
    file.write_bytes(whole[:place] + before + whole[place:])
    code, told = verified(file)
    assert (code, "'x' is no plain file of a bundle" in told) == (3, True)


@pytest.mark.parametrize(
    "size", [b"\xff" * 12, b"77777777777\0", b"-0000000001\0", b"zzz        \0"]
)
def test_a_size_that_no_member_has_is_told(size: bytes, bundled: Path, tmp_path: Path) -> None:
    with tarfile.open(bundled) as tar:
        place = tar.getmember("versions.json").offset
    changed = bytearray(bundled.read_bytes())
    changed[place + 124 : place + 136] = size
    changed[place + 148 : place + 156] = b" " * 8
    summed = sum(changed[place : place + tarfile.BLOCKSIZE])
    changed[place + 148 : place + 156] = b"%06o\0 " % summed
    file = tmp_path / "b.tar"
    file.write_bytes(changed)
    assert verified(file)[0] == 3


def test_nothing_stands_behind_the_end(bundled: Path, tmp_path: Path) -> None:
    file = tmp_path / "b.tar"
    file.write_bytes(bundled.read_bytes() + b"another word")
    code, told = verified(file)
    assert (code, "behind the end" in told) == (3, True)


def resealed(file: Path, to: Path, signer: Signer, **changes: bytes) -> Path:
    """The bundle with other members, listed and signed anew. A member is named up to its first dot or stroke."""
    with tarfile.open(file) as tar:
        held = [(one.name, (tar.extractfile(one) or io.BytesIO()).read()) for one in tar]
    record = Extraction.model_validate_json(b64decode(json.loads(held[-1][1])["payload"]))
    with to.open("wb") as made:
        archive = ArchiveWriter(made, 0)
        for name, data in held[:-2]:
            archive.add(name, changes.get(name.partition(".")[0].partition("/")[0], data))
        listed = archive.seal()
        archive.close(seal(record.model_copy(update={"manifest": listed}), signer))
    return to


def test_a_bundle_that_somebody_else_sealed_anew_is_found_by_both(
    bundled: Path, tmp_path: Path
) -> None:
    statement = members(bundled)["statement.json"].replace(b'"lowest": "', b'"lowest": "1')
    file = resealed(
        bundled, tmp_path / "b.tar", Signer(generate_private_key()), statement=statement
    )
    code, said = verified(file)
    assert code == 3
    assert re.search(r"breached +extraction", said)
    with pytest.raises(NotProven):
        read_bundle(file.read_bytes())


def test_a_statement_that_the_keeper_of_the_key_changed_is_named_by_path_and_values(
    bundled: Path, written: Path, tmp_path: Path
) -> None:
    held = members(bundled)
    shown = json.loads(held["statement.json"])
    unit = shown["parts"][0]["units"][0]
    unit["unknown_seconds"] += 60
    statement = (json.dumps(shown, sort_keys=True, ensure_ascii=False, indent=1) + "\n").encode()
    told = json.loads(held["bundle.json"])
    told["statement"]["digest"] = hashlib.sha256(statement).hexdigest()
    description = canonical(told) + b"\n"
    signer = log_signer(written)
    file = resealed(bundled, tmp_path / "b.tar", signer, statement=statement, bundle=description)
    code, said = verified(file)
    assert code == 3
    assert "the entries say otherwise" in said
    assert re.search(
        rf"unknown_seconds.*{unit['unknown_seconds']}.*{unit['unknown_seconds'] - 60}", said
    )


def test_a_statement_too_deep_to_be_read_is_told(
    bundled: Path, written: Path, tmp_path: Path
) -> None:
    deep = b"[" * 200_000 + b"]" * 200_000
    file = resealed(bundled, tmp_path / "b.tar", log_signer(written), statement=deep)
    code, told = verified(file)
    assert (code, "not a statement" in told) == (3, True)


def test_a_report_that_the_keeper_took_out_is_a_hole_in_its_chain(
    bundled: Path, written: Path, tmp_path: Path
) -> None:
    log = without_report(members(bundled)["log"], 10)
    file = resealed(bundled, tmp_path / "b.tar", log_signer(written), log=log)
    code, said = verified(file)
    assert code == 3
    assert re.search(r"breached +chains +[ab]: chain .* are missing", said)
    with pytest.raises(NotProven, match="a hole"):
        read_bundle(file.read_bytes())


def test_entries_that_do_not_lead_to_the_head_are_found_whoever_sealed_them(
    bundled: Path, written: Path, tmp_path: Path
) -> None:
    log = members(bundled)["log"].splitlines()
    place = next(place for place, line in enumerate(log) if not line.startswith(b"{"))
    level, _ = log[place].split(b" ")
    log[place] = level + b" " + b"0" * 64
    changed = zstandard.compress(b"\n".join(log) + b"\n")
    file = resealed(bundled, tmp_path / "b.tar", log_signer(written), log=changed)
    code, said = verified(file)
    assert (code, "the entries give another root" in said) == (3, True)
    with pytest.raises(NotProven, match="the root of a head"):
        read_bundle(file.read_bytes())


def of_another_path(proof: LogProof) -> LogProof:
    return replace(proof, hashes=[b"\0" * 32, *proof.hashes[1:]])


def of_another_entry(proof: LogProof) -> LogProof:
    return replace(proof, index=proof.index + 1)


def of_another_log(proof: LogProof) -> LogProof:
    head = read_head(proof.checkpoint)
    other = sign_head(head.origin, head.size, head.root, Signer(b"o" * 32))
    return replace(proof, checkpoint=other.note)


@pytest.mark.parametrize(
    ("bend", "said"),
    [
        (of_another_path, "the hashes do not lead"),
        (of_another_entry, "of no entry of this bundle"),
        (of_another_log, "not those that the policy asks"),
    ],
)
def test_a_proof_file_that_proves_something_else_is_told(
    bend: Callable[[LogProof], LogProof], said: str, bundled: Path, written: Path, tmp_path: Path
) -> None:
    name, shown = next(one for one in members(bundled).items() if one[0].startswith("proofs/"))
    bent = write_proof(bend(read_proof(shown.decode()))).encode()
    file = resealed(bundled, tmp_path / "b.tar", log_signer(written), proofs=bent)
    code, told = verified(file)
    assert (code, re.search(rf"breached +proofs +{name}: .*{said}", told) is not None) == (3, True)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.booleans(), max_size=40), st.integers(0, 40))
def test_a_pruned_log_has_the_root_of_the_whole_at_every_size_that_was_cut(
    kept: list[bool], cut: int
) -> None:
    pruner, reader, whole = Pruner(), PrunedReader(), Frontier()
    found: list[tuple[int, bytes]] = []
    for index, keep in enumerate(kept):
        leaf = b"{%d}" % index
        if index == cut:
            found += filter(None, map(reader.take, pruner.cut()))
            assert reader.root == whole.root()
        if keep:
            found += filter(None, map(reader.take, pruner.keep(leaf)))
        else:
            pruner.leave_out(leaf_hash(leaf))
        whole.append(leaf_hash(leaf))
    found += filter(None, map(reader.take, pruner.cut()))
    assert (reader.size, reader.root) == (len(kept), whole.root())
    assert found == [(index, b"{%d}" % index) for index, keep in enumerate(kept) if keep]


def amend(house: House, *witnesses: Cosigner) -> None:
    """From now on the contract asks for these witnesses' cosignatures."""
    log = log_key(house.store.info.origin, log_signer(house.directory).public_key)
    lines = [f"witness w{number} {one.key}" for number, one in enumerate(witnesses)]
    names = " ".join(f"w{number}" for number in range(len(witnesses)))
    policy = "\n".join([f"log {log}", *lines, f"group all all {names}", "quorum all", ""])
    text = LEASE.replace("2026-01-01T00:00:00Z\ntime", "2026-10-01T00:00:00Z\ntime")
    text += f'version: "2"\nsupersedes: "1"\nevidence: {{cosigned_by: {json.dumps(policy)}}}\n'
    house.commit(CONTRACT=ContractAdded(contract="lease", version=2, text=text, from_us=START_US))


def head_of(house: House) -> Head:
    """Over everything that the house holds."""
    tree, origin = Frontier(), house.store.info.origin
    for leaf in [*house.store.log.leaves(0, house.store.log.size), *house.leaves]:
        tree.append(leaf_hash(leaf))
    return sign_head(origin, tree.size, tree.root(), log_signer(house.directory))


def cosigned_bundle(
    directory: Path, *witnesses: Cosigner, asked: Sequence[Cosigner] = ()
) -> tuple[Path, str]:
    """A bundle of a log whose newest head these witnesses have cosigned, and the log's verifier key.

    `asked`: whom the contract asks.
    """

    def playing(house: House) -> None:
        if asked:
            amend(house, *asked)
        play(house)
        head = head_of(house)
        note = read_note(head.note).signed_by(one.line(head, 1_793_600_000) for one in witnesses)
        house.commit(COSIGNED=CosignedHead(note=str(note)))

    store, file = written_by(directory / "store", playing), directory / "lease.tar"
    assert bundle(store, file).returncode == 0
    told = json.loads(members(file)["bundle.json"])
    return file, told["log_key"]


def test_timestamps_of_heads_are_in_it_and_verified_by_whoever_trusts_the_authority(
    tmp_path: Path,
) -> None:
    authority = TimestampAuthority(tmp_path / "authority")
    stranger = TimestampAuthority(tmp_path / "stranger")

    def playing(house: House) -> None:
        play(house)
        note = head_of(house).note
        answer = b64encode(authority.answer(ask(note).request)).decode()
        house.commit(TIMESTAMP=StampedHead(note=note, answer=answer))

    store, file = written_by(tmp_path / "store", playing), tmp_path / "lease.tar"
    assert bundle(store, file).returncode == 0
    code, said = verified(file)
    assert (code, "not looked at: name their authority" in said) == (0, True)
    code, said = verified(file, "--timestamp-authority", authority.certificates)
    assert (code, "entries were there at 20" in said) == (0, True), said
    code, said = verified(file, "--timestamp-authority", stranger.certificates)
    assert (code, "timestamps" in said) == (3, True)
    other = authority.answer(ask("another head").request)
    changed = resealed(file, tmp_path / "b.tar", log_signer(store), timestamps=other)
    assert verified(changed, "--timestamp-authority", authority.certificates)[0] == 3


def test_a_policy_asks_for_the_cosignatures_of_both_parties(tmp_path: Path) -> None:
    seeds = (KeyKind.COSIGNER_ML_DSA_44, b"p" * 32), (KeyKind.COSIGNER_ED25519, b"l" * 32)
    provider, lessee = (Cosigner(f"{kind.name}.example", kind, seed) for kind, seed in seeds)
    file, log = cosigned_bundle(tmp_path, provider, lessee)
    stranger = Cosigner("stranger.example", KeyKind.COSIGNER_ED25519, b"s" * 32)

    def judged(*keys: Cosigner) -> tuple[int, str]:
        lines = [f"witness w{number} {one.key}" for number, one in enumerate(keys)]
        names = " ".join(f"w{number}" for number in range(len(keys)))
        policy = tmp_path / "policy"
        policy.write_text(
            "\n".join([f"log {log}", *lines, f"group all all {names}", "quorum all", ""])
        )
        done = weighbridge("verify", file, "--policy", policy, check=False)
        return done.returncode, done.stdout

    code, said = judged(provider, lessee)
    assert (code, "is accepted" in said) == (0, True), said
    code, said = judged(provider, lessee, stranger)
    assert (code, "it accepts none of the heads" in said) == (3, True)
    assert read_bundle(file.read_bytes())["reports"] == 70


@pytest.mark.parametrize(("both", "expected"), [(True, 0), (False, 4)])
def test_what_the_contract_asks_of_heads_is_asked_where_nothing_else_is(
    both: bool, expected: int, tmp_path: Path
) -> None:
    kind = KeyKind.COSIGNER_ED25519
    provider, lessee = (Cosigner(f"{name}.example", kind, name.encode() * 32) for name in "pl")
    witnesses = (provider, lessee) if both else (provider,)
    file, _ = cosigned_bundle(tmp_path, *witnesses, asked=(provider, lessee))
    code, said = verified(file)
    assert (code, "it accepts none of the heads" in said) == (expected, not both), said


def test_a_bundle_of_a_log_whose_key_was_followed_by_others_is_verified_from_the_first(
    written: Path, tmp_path: Path
) -> None:
    store, file = shutil.copytree(written, tmp_path / "store"), tmp_path / "lease.tar"
    for _ in range(2):
        weighbridge("log", "rotate", "--overlap-days", "0", "--config", store / "config.toml")
    with opened(store) as kept:
        vkey = log_key(kept.info.origin, log_signer(store).public_key)
    (tmp_path / "policy").write_text(f"log {vkey}\nquorum none\n")
    instant = instant_text(START_US // SECOND_US + 32 * 86_400)
    assert bundle(store, file, "--as-of", instant).returncode == 0
    assert json.loads(members(file)["bundle.json"])["log_key"] == str(vkey)
    code, said = verified(file, "--policy", tmp_path / "policy")
    assert (code, "equal to the byte" in said, "is accepted" in said) == (0, True, True), said
    assert read_bundle(file.read_bytes())["reports"] == 70
    former = resealed(file, tmp_path / "former.tar", log_signer(store))
    assert re.search(r"breached +extraction", verified(former)[1])
    with pytest.raises(NotProven):
        read_bundle(former.read_bytes())


def test_a_policy_that_knows_another_log_accepts_nothing(bundled: Path, tmp_path: Path) -> None:
    other = log_key("somebody/else", Signer(b"o" * 32).public_key)
    (tmp_path / "policy").write_text(f"log {other}\nquorum none\n")
    done = weighbridge("verify", bundled, "--policy", tmp_path / "policy", check=False)
    assert (done.returncode, "it accepts none of the heads" in done.stdout) == (3, True)


def test_what_people_read_in_it_is_what_its_entries_say(
    bundled: Path, written: Path, tmp_path: Path
) -> None:
    held = members(bundled)
    assert held["contracts/0001.yaml"].decode() == LEASE
    assert {one["node"] for one in json.loads(held["keys.json"])["agents"]} == {"a", "b"}
    digest = hashlib.sha256(held["statement.json"]).hexdigest()
    for page in ("VERIFY.en.md", "VERIFY.zh.md"):
        assert digest in held[page].decode()
    changed = held["keys.json"].replace(b'"side":"provider"', b'"side":"lessee"')
    file = resealed(bundled, tmp_path / "b.tar", log_signer(written), keys=changed)
    code, said = verified(file)
    assert (code, "keys.json: not what the entries say" in said) == (3, True)


@pytest.mark.parametrize(("program", "code"), [(None, 3), ("weighbridge 99", 4)])
def test_a_page_for_people_is_what_this_version_writes(
    program: str | None, code: int, bundled: Path, written: Path, tmp_path: Path
) -> None:
    held = members(bundled)
    versions = json.loads(held["versions.json"])
    versions["program"] = program or versions["program"]
    changes = {"versions": canonical(versions) + b"\n", "VERIFY": held["VERIFY.en.md"]}
    file = resealed(bundled, tmp_path / "b.tar", log_signer(written), **changes)
    assert verified(file)[0] == code
    assert "VERIFY.zh.md: not what this version writes" in verified(file)[1]


def test_other_zone_data_than_was_used_is_said_and_nothing_claimed(
    bundled: Path, written: Path, tmp_path: Path
) -> None:
    said = json.loads(members(bundled)["versions.json"])
    assert (said["zone"], [ahead for _, ahead in said["zone_offsets"]]) == ("UTC", [0])
    said["zone_offsets"].append(["2026-10-02T00:00:00Z", 3600])
    versions = canonical(said) + b"\n"
    file = resealed(bundled, tmp_path / "b.tar", log_signer(written), versions=versions)
    code, shown = verified(file)
    assert (code, "UTC has other offsets" in shown) == (4, True)


def test_offsets_are_those_from_each_change_on() -> None:
    start_s, end_s = 1_774_000_000, 1_800_000_000
    found = offsets("Europe/Berlin", start_s, end_s)
    assert found == [
        (instant_text(start_s), 3600),
        ("2026-03-29T01:00:00Z", 7200),
        ("2026-10-25T01:00:00Z", 3600),
    ]


def test_the_digest_of_an_issued_statement_stands_in_the_log(tmp_path: Path) -> None:
    store = written_by(tmp_path / "store", play)
    config = store / "config.toml"
    words = ("statement", "lease", "--period", PERIOD, "--config", config)
    weighbridge(*words, "--issue", "--format", "json", "-o", tmp_path / "issued.json")
    assert bundle(store, tmp_path / "b.tar").returncode == 0
    assert members(tmp_path / "b.tar")["statement.json"] == (tmp_path / "issued.json").read_bytes()
    code, said = verified(tmp_path / "b.tar")
    assert (code, "the one that was issued" in said) == (0, True), said
    told = json.loads(members(tmp_path / "b.tar")["bundle.json"])
    draft = {**told["statement"], "standing": "draft", "issued_digest": None, "entry": None}
    changed = telling(tmp_path / "b.tar", statement=draft)
    file = resealed(tmp_path / "b.tar", tmp_path / "c.tar", log_signer(store), bundle=changed)
    code, said = verified(file)
    assert (code, "said to be draft: the entries say issued" in said) == (3, True), said


def test_a_draft_is_not_told_to_be_issued(bundled: Path, written: Path, tmp_path: Path) -> None:
    told = json.loads(members(bundled)["bundle.json"])["statement"]
    issued = {**told, "standing": "issued", "issued_digest": told["digest"]}
    changed = telling(bundled, statement=issued)
    file = resealed(bundled, tmp_path / "b.tar", log_signer(written), bundle=changed)
    code, said = verified(file)
    assert (code, "said to be issued: the entries say draft" in said) == (3, True), said


def test_a_statement_of_a_period_under_way_is_made_again_though_the_log_went_on(
    tmp_path: Path,
) -> None:
    def begin(house: House) -> None:
        for agent in house.agents.values():
            agent.start_us = START_US
        for number in range(20):
            for name in "ab":
                agent = house.agents[name]
                first: dict[str, Any] = {"inventory": agent.inventory()} if number == 0 else {}
                house.report(name, **first)
        house.pass_seconds(2)

    store, agents = tmp_path / "store", {name: Agent(name, gpus=2) for name in "ab"}
    make_store(store, list(agents.values()), LEASE)
    config = store / "config.toml"
    with opened(store) as held:
        house = House(store, held, agents)
        begin(house)
        held.log.append(house.leaves)
    words = ("statement", "lease", "--period", PERIOD, "--config", config)
    weighbridge(*words, "--issue", "--format", "json", "-o", tmp_path / "issued.json")
    with opened(store) as held:
        house.store = held
        house.leaves = []
        for _ in range(4):
            for name in "ab":
                house.report(name, 6 * HOUR)
        held.log.append(house.leaves)
    done = bundle(store, tmp_path / "b.tar")
    assert done.returncode == 0, done.stderr
    assert members(tmp_path / "b.tar")["statement.json"] == (tmp_path / "issued.json").read_bytes()
    code, said = verified(tmp_path / "b.tar")
    assert (code, "the one that was issued" in said) == (0, True), said


@pytest.mark.parametrize("stranger", [False, True])
def test_time_that_somebody_else_contests_is_told_and_not_proven(
    stranger: bool, tmp_path: Path
) -> None:
    def playing(house: House) -> None:
        house.assigns = not stranger
        house.agents["c"].devices[0] = "GPU-a-0"
        play(house)

    store, file = written_by(tmp_path / "store", playing), tmp_path / "b.tar"
    done = bundle(store, file)
    assert done.returncode == 0, done.stderr
    code, said = verified(file)
    assert (code, "breached" in said) == (4, False), said
    assert re.search(r"unknown +contested +GPU-a-0 on a, 2026-10-01T", said)
    assert "equal to the byte" in said
    assert b"GPU-c-1" not in b"".join(members(file).values())


def challenged(house: House, name: str, monkeypatch: pytest.MonkeyPatch) -> test_record.Said:
    """A real exchange with the node `a`, in the words of this log."""
    monkeypatch.setattr(test_record, "LOG", log_signer(house.directory))
    monkeypatch.setattr(test_record, "NODE", "a")
    bench = Bench()
    bench.signer = house.agents["a"].signer
    return test_record.Said(bench, "GPU-a-0", challenge=name)


@pytest.mark.parametrize("bent", [False, True])
def test_a_challenge_is_recomputed_and_one_that_was_logged_otherwise_is_named(
    bent: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def playing(house: House) -> None:
        said = challenged(house, "c.1", monkeypatch)
        *leaves, outcome = said.leaves
        if bent:
            weighing = replace(said.outcome.weighing, verdict="failed")
            changed = replace(said.outcome, weighing=weighing)
            outcome = seal_record(log_signer(house.directory), changed)[1]
        house.commit(*leaves)
        house.commit(outcome)
        play(house)

    store, file = written_by(tmp_path / "store", playing), tmp_path / "b.tar"
    assert bundle(store, file).returncode == 0
    code, said = verified(file)
    if bent:
        assert (code, "c.1: logged as failed, but met" in said) == (3, True), said
    else:
        assert (code, "as logged, recomputed: 1 met" in said) == (0, True), said
    assert read_bundle(file.read_bytes())["reports"] == 70


def hand_over(house: House) -> None:
    """`c` is of `neighbour` first, then of `lease`."""
    for agent in house.agents.values():
        agent.start_us = START_US
    house.commit(CONTRACT=ContractAdded(contract="neighbour", version=1, text=OTHER, from_us=0))
    house.adopt("c", "neighbour")
    house.report("c", inventory=house.agents["c"].inventory())
    for _ in range(5):
        house.report("c")
    house.pass_seconds(1)
    house.commit(ASSIGNMENT=Assignment(contract="neighbour", node="c", devices=[]))
    house.pass_seconds(2)
    house.commit(ASSIGNMENT=Assignment(contract="lease", node="c", devices=None))
    for _ in range(5):
        house.report("c")
    house.pass_seconds(60)


def test_what_a_node_told_another_contract_before_is_not_in_it_and_is_said_to_be_missing(
    tmp_path: Path,
) -> None:
    store, file = written_by(tmp_path / "store", hand_over), tmp_path / "b.tar"
    bundle(store, file)
    (withheld,) = json.loads(members(file)["bundle.json"])["withheld"]
    assert withheld["node"] == "c"
    reports = [said for kind, said in payloads(members(file)["log"]) if kind == "report"]
    assert [one["seq"] for one in reports] == [6, 7, 8, 9, 10]
    code, said = verified(file)
    assert (code, "breached" in said) == (4, False), said
    assert re.search(r"unknown +chains +c: ", said)
    assert re.search(r"unknown +withheld +c, received 1970-01-01T00:00:00Z to 2026-10-01T", said)
    lines = without_report(members(file)["log"], 3)
    cut = resealed(file, tmp_path / "cut.tar", log_signer(store), log=lines)
    code, said = verified(cut)
    assert code == 3
    assert re.search(r"breached +chains +c: chain .* are missing", said)


def without_report(log: bytes, number: int) -> bytes:
    """The log of a bundle as one piece, with one report left out."""
    lines = log.splitlines()
    reports = [place for place, line in enumerate(lines) if b"vnd.weighbridge.report+json" in line]
    place = reports[number]
    lines[place] = b"0 " + leaf_hash(lines[place]).hex().encode()
    return zstandard.compress(b"\n".join(lines) + b"\n")


def telling(file: Path, **told: Any) -> bytes:
    """What a bundle says of itself, with something else in it."""
    return canonical({**json.loads(members(file)["bundle.json"]), **told}) + b"\n"


@pytest.mark.parametrize("nodes", [[], ["zz"], ["a", "b", "zz"]])
def test_nodes_that_the_entries_do_not_assign_are_told(
    nodes: list[str], bundled: Path, written: Path, tmp_path: Path
) -> None:
    told = telling(bundled, nodes=nodes)
    file = resealed(bundled, tmp_path / "b.tar", log_signer(written), bundle=told)
    code, said = verified(file)
    assert (code, bool(re.search(r"breached +nodes +by the entries: a, b\n", said))) == (3, True)


@pytest.mark.parametrize(
    ("from_us", "until_us"), [(0, START_US + 86_400 * SECOND_US), (START_US, START_US + HOUR)]
)
@pytest.mark.parametrize("whole", [True, False])
def test_withheld_time_that_the_entries_leave_to_nobody_excuses_no_hole(
    from_us: int, until_us: int, whole: bool, bundled: Path, written: Path, tmp_path: Path
) -> None:
    invented = [{"node": node, "from_us": from_us, "until_us": until_us} for node in "ab"]
    changes = {"bundle": telling(bundled, withheld=invented)}
    if not whole:
        changes["log"] = without_report(members(bundled)["log"], 10)
    file = resealed(bundled, tmp_path / "b.tar", log_signer(written), **changes)
    code, said = verified(file)
    assert code == 3
    assert re.search(r"breached +withheld +a, .*: the entries leave no such time", said)


def test_what_is_here_was_not_withheld(tmp_path: Path) -> None:
    def playing(house: House) -> None:
        house.assigns = False
        play(house)
        house.commit(ASSIGNMENT=Assignment(contract="lease", node="c", devices=None))
        house.pass_seconds(10)

    store, file = written_by(tmp_path / "store", playing), tmp_path / "b.tar"
    assert bundle(store, file).returncode == 0
    assert verified(file)[0] == 0
    told = telling(file, withheld=[{"node": "c", "from_us": 0, "until_us": START_US + HOUR}])
    changed = resealed(file, tmp_path / "c.tar", log_signer(store), bundle=told)
    assert verified(changed)[0] == 4
    later_us = START_US + 86_400 * SECOND_US
    told = telling(file, withheld=[{"node": "c", "from_us": 0, "until_us": later_us}])
    changed = resealed(file, tmp_path / "d.tar", log_signer(store), bundle=told)
    code, said = verified(changed)
    assert (code, "reports of then are here" in said) == (3, True)


def test_a_node_that_was_assigned_behind_the_instant_is_not_of_it(tmp_path: Path) -> None:
    def playing(house: House) -> None:
        house.assigns = False
        play(house)
        house.commit(ASSIGNMENT=Assignment(contract="lease", node="c", devices=None))
        house.pass_seconds(10)

    store, file = written_by(tmp_path / "store", playing), tmp_path / "b.tar"
    assert bundle(store, file, "--as-of", "2026-11-01T12:00:00Z").returncode == 0
    assert json.loads(members(file)["bundle.json"])["nodes"] == ["a", "b"]
    assert verified(file)[0] == 0


TARGET = 'target: "0.99"'
WATCHED = (
    LEASE.replace(TARGET, f'{TARGET}, up_when: "reachable and gpu_count == 2"')
    + "evidence: {witnesses: [berlin]}\n"
)


def watched(house: House) -> None:
    """`b` is silent for half an hour, and two witnesses say that they reach it; the contract names one of them."""
    for name in ("berlin", "quito"):
        house.agents[name] = Agent(name, gpus=1)
        house.commit(KEY=enrolled(house.agents[name], "witness"))
    for agent in house.agents.values():
        agent.start_us = START_US
    for number in range(200):
        for name in "ab" if number < 20 else "a":
            agent = house.agents[name]
            first: dict[str, Any] = {"inventory": agent.inventory()} if number == 0 else {}
            house.report(name, **first)
        for name in ("berlin", "quito"):
            house.report(name, **reaching(house.agents[name], "b"))
        house.pass_seconds(18)
    house.now_us = START_US + 32 * 86_400 * SECOND_US
    house.commit()
    house.pass_seconds(10)


def reaching(agent: Agent, node: str) -> dict[str, Any]:
    """What makes the next report of two samples one of a witness that reaches a node."""
    told = json.loads(agent.payload(2))
    block = told["blocks"][0]
    (target,) = block["devices"]
    readings = {"target_node_name": node, "target_address": "tcp://b:22"}
    facts = {"readings": readings, "unavailable": {}}
    device = {"uuid": target, "parent": None, "state": "ok", "identity": facts}
    none: dict[str, Any] = {"readings": {}, "unavailable": {}}
    return {
        "blocks": [{**block, "readings": {"reached_code": [[1], [1]]}, "unavailable": []}],
        "inventory": {"devices": [device], "driver": none, "host": none},
    }


def test_what_named_witnesses_said_is_in_it_and_settles_the_same(tmp_path: Path) -> None:
    directory = written_by(tmp_path / "store", watched, WATCHED)
    file = tmp_path / "b.tar"
    done = bundle(directory, file)
    assert done.returncode == 0, done.stderr
    verified = weighbridge("verify", file, check=False)
    assert verified.returncode == 0, verified.stdout
    held = members(file)
    assert "collector_unreached" in held["statement.json"].decode()
    (part,) = json.loads(held["statement.json"])["parts"]
    reached = {one["node"]: one["reached_seconds"] for one in part["reach"]}
    assert reached["a"] == 0 < reached["b"]
    nodes = {one["node"] for kind, one in payloads(held["log"]) if kind == "report"}
    assert nodes == {"a", "b", "berlin"}
