"""Signed notes, cosignatures, policies and proofs, against vectors that others published and a second reading of C2SP.

`notes/mldsa.*` is the log of github.com/FiloSottile/torchwood, cmd/litewitness/testdata/mldsa.txt.
"""

import hashlib
import struct
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.mldsa import MLDSA44PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from weighbridge.log.checkpoint import Head, log_key, open_head, read_head, sign_head
from weighbridge.log.cosignature import Cosigner, Signed, read_secret, signatures
from weighbridge.log.merkle import Frontier, inclusion_proof, leaf_hash
from weighbridge.log.note import KeyKind, NoteKey, SignatureLine, read_lines, read_note, read_vkey
from weighbridge.log.policy import PolicyError, read_policy
from weighbridge.log.tlog_proof import LogProof, ProofError, check_proof, read_proof, write_proof
from weighbridge.wire.signing import SignatureError, Signer, verify_bytes

NOTES = Path(__file__).parent / "notes"
LOG = Signer(bytes(32))
ORIGIN = "example.com/log"
HEAD = sign_head(ORIGIN, 7, b"r" * 32, LOG)
LOG_KEY = log_key(ORIGIN, LOG.public_key)
WITNESS = Cosigner("witness.example.com/w1", KeyKind.COSIGNER_ED25519, bytes(range(32)))
LATTICE = Cosigner("witness.example.com/w2", KeyKind.COSIGNER_ML_DSA_44, bytes(range(32)))
NOW_S = 1_790_812_800

PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETER_TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
PETER_LINE = "\u2014 PeterNeumann " + (
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM="
)
"""The example in the documentation of golang.org/x/mod/sumdb/note."""

COSIGNED = (
    "\u2014 witness.example.com/w1 oAWfEQAAAABqvaKAJXarrt7Z00e+BShV6AQgWuFps0aVVz1jFHfQjnpk+1h7lX65c7Ax9j9DVl0nG6RzqCPI"
    "/nF0/LmCXExcE/a2CA==\n"
)
"""What aics-tlog 0.2.1 makes of HEAD with the key of WITNESS at NOW_S."""


def signed(*lines: SignatureLine, head: Head = HEAD) -> str:
    return str(read_note(head.note).signed_by(lines))


def test_the_notes_of_another_implementation_verify() -> None:
    key = read_vkey(PETER)
    note = read_note(f"{PETER_TEXT}\n{PETER_LINE}\n")
    (line,) = note.of(key)
    verify_bytes(note.text.encode(), line.signature, key.public_key)
    assert (str(key), note.text, str(note)) == (PETER, PETER_TEXT, f"{PETER_TEXT}\n{PETER_LINE}\n")


def test_a_log_that_signs_by_ml_dsa_44_verifies_as_another_implementation_wrote_it() -> None:
    key = read_vkey((NOTES / "mldsa.vkey").read_text().strip())
    note = (NOTES / "mldsa.note").read_text()
    assert signatures(note, [key]) == [Signed(key, None)]
    with pytest.raises(SignatureError, match="does not verify"):
        signatures(note.replace("\n1\n", "\n2\n"), [key])


def test_an_ed25519_cosignature_is_that_of_another_implementation() -> None:
    assert str(WITNESS.line(HEAD, NOW_S)) == COSIGNED
    assert str(WITNESS.key).startswith("witness.example.com/w1+a0059f11+B")


def test_ml_dsa_44_signs_the_structure_that_the_specification_lays_out() -> None:
    """Built field by field, in the presentation language of RFC 8446."""
    name = b"witness.example.com/w2"
    structure = b"subtree/v1\n\x00" + struct.pack(">B", len(name)) + name
    structure += struct.pack(">QB", NOW_S, len(ORIGIN)) + ORIGIN.encode()
    structure += struct.pack(">QQ32s", 0, 7, b"r" * 32)
    line = LATTICE.line(HEAD, NOW_S)
    assert line.signature[:8] == struct.pack(">Q", NOW_S)
    assert len(line.signature) == 8 + 2420
    public = MLDSA44PrivateKey.from_seed_bytes(bytes(range(32))).public_key()
    public.verify(line.signature[8:], structure)
    said = b"witness.example.com/w2\n\x06" + public.public_bytes_raw()
    assert line.key_id == hashlib.sha256(said).digest()[:4]


def test_lines_of_strangers_are_passed_over_and_those_of_known_keys_stand_beside_each_other() -> (
    None
):
    note = signed(WITNESS.line(HEAD, NOW_S), LATTICE.line(HEAD, NOW_S + 1))
    stranger = "\u2014 somebody.example/else AAAAAAAA\n"
    keys = [LOG_KEY, WITNESS.key, LATTICE.key]
    expected = [Signed(LOG_KEY, None), Signed(WITNESS.key, NOW_S), Signed(LATTICE.key, NOW_S + 1)]
    assert signatures(note + stranger, keys) == expected
    assert open_head(note + stranger, LOG.public_key).size == 7


@pytest.mark.parametrize("part", ["name", "id"])
def test_who_shares_a_name_or_an_id_but_not_both_is_a_stranger(part: str) -> None:
    line = WITNESS.line(HEAD, NOW_S)
    other = replace(line, signature=b"x" * 72)
    other = replace(other, name="other") if part == "name" else replace(other, key_id=b"0000")
    assert signatures(signed(line, other), [WITNESS.key]) == [Signed(WITNESS.key, NOW_S)]


@pytest.mark.parametrize("signer", [WITNESS, LATTICE])
def test_a_line_of_a_known_key_that_does_not_verify_spoils_the_note(signer: Cosigner) -> None:
    good = signer.line(HEAD, NOW_S)
    later = struct.pack(">Q", NOW_S + 1) + good.signature[8:]
    for bad in (later, good.signature[:-1], good.signature[:5], b"\xff" * len(good.signature)):
        note = signed(LATTICE.line(HEAD, 1), WITNESS.line(HEAD, 1), replace(good, signature=bad))
        with pytest.raises(SignatureError):
            signatures(note, [signer.key])
    other = sign_head("example.com/other", 7, b"r" * 32, LOG)
    with pytest.raises(SignatureError, match="does not verify"):
        signatures(signed(good, head=other), [signer.key])


def test_the_same_key_twice_is_one_signer_and_a_bad_line_beside_a_good_one_still_spoils_it() -> (
    None
):
    first, second = WITNESS.line(HEAD, NOW_S), WITNESS.line(HEAD, NOW_S + 5)
    twice = signed(first) + str(second)
    assert signatures(twice, [WITNESS.key]) == [Signed(WITNESS.key, NOW_S + 5)]
    with pytest.raises(SignatureError):
        signatures(signed(first) + str(replace(second, signature=b"0" * 72)), [WITNESS.key])
    assert read_note(signed(first)).signed_by([second]).of(WITNESS.key) == [second]


def test_ml_dsa_44_does_not_sign_what_it_does_not_cover() -> None:
    text = HEAD.text + "extension\n"
    extended = replace(HEAD, note=f"{text}\n")
    note = f"{text}\n{WITNESS.line(extended, NOW_S)}"
    assert signatures(note, [WITNESS.key]) == [Signed(WITNESS.key, NOW_S)]
    with pytest.raises(SignatureError, match="extension"):
        LATTICE.line(read_head(note), NOW_S)
    smuggled = f"{text}\n{LATTICE.line(HEAD, NOW_S)}"
    with pytest.raises(SignatureError, match="extension"):
        signatures(smuggled, [LATTICE.key])


@pytest.mark.parametrize(
    "note",
    [
        "",
        "text\n",
        "text\n\n",
        f"{PETER_TEXT}\n{PETER_LINE}",
        f"{PETER_TEXT}\n{PETER_LINE} \n",
        f"{PETER_TEXT}\n- PeterNeumann AAAAAAAA\n",
        f"{PETER_TEXT}\n\u2014 Peter+Neumann AAAAAAAA\n",
        f"{PETER_TEXT}\n\u2014 Peter\u00a0Neumann AAAAAAAA\n",
        f"{PETER_TEXT}\n\u2014 PeterNeumann AAAA\n",
        f"{PETER_TEXT}\n\u2014 PeterNeumann AAAAAAB=\n",
        f"tab\there\n\n{PETER_LINE}\n",
        f"{PETER_TEXT}\n" + f"{PETER_LINE}\n" * 65,
    ],
)
def test_what_is_no_note_is_refused(note: str) -> None:
    with pytest.raises(SignatureError):
        read_note(note)


def test_sixteen_signatures_are_read_as_the_specification_demands() -> None:
    lines = [Cosigner(f"w{n}", KeyKind.COSIGNER_ML_DSA_44, bytes([n]) * 32) for n in range(16)]
    note = signed(*(one.line(HEAD, NOW_S) for one in lines))
    assert len(signatures(note, [one.key for one in lines])) == 16
    assert len(read_lines(note.partition("\n\n")[2])) == 17


@pytest.mark.parametrize(
    "text",
    [
        "o\n7\n" + b64encode(b"r" * 31).decode(),
        "o\n07\n" + b64encode(b"r" * 32).decode(),
        "o\n7",
        "\n7\n" + b64encode(b"r" * 32).decode(),
    ],
)
def test_what_is_no_head_is_refused_though_it_is_a_note(text: str) -> None:
    with pytest.raises(SignatureError):
        read_head(f"{text}\n\n{PETER_LINE}\n")


@pytest.mark.parametrize("kind", list(KeyKind))
def test_a_private_key_is_read_as_it_was_written_and_under_its_own_id_alone(kind: KeyKind) -> None:
    signer = Cosigner("w.example/1", kind, bytes(range(32)))
    again = read_secret(signer.secret)
    assert (again.key, read_vkey(str(again.key))) == (signer.key, signer.key)
    with pytest.raises(SignatureError, match=r"id of w\.example/2"):
        read_secret(signer.secret.replace("w.example/1", "w.example/2"))
    with pytest.raises(SignatureError, match=r"id of w\.example/2"):
        read_vkey(str(signer.key).replace("w.example/1", "w.example/2"))
    for broken in ("", "PRIVATE+KEY+", signer.secret[:-4], str(signer.key)):
        with pytest.raises(SignatureError):
            read_secret(broken)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "x" * 256, "a\nb"])
def test_no_key_has_a_name_that_a_line_cannot_carry(name: str) -> None:
    with pytest.raises(SignatureError):
        Cosigner(name, KeyKind.COSIGNER_ML_DSA_44, bytes(32))


# Policies

KEYS = [Cosigner(f"w{n}.example", KeyKind.COSIGNER_ED25519, bytes([n]) * 32).key for n in range(6)]
BOTH_PARTIES = f"""\
# Both parties' witnesses.
log {LOG_KEY} https://log.example/

witness A1 {KEYS[0]}
witness\tA2\t{KEYS[1]} https://a2.example/
  group A 1 A1 A2
witness B1 {KEYS[2]}
witness B2 {KEYS[3]}
group B all B1 B2
group both all A B
quorum both
"""


@pytest.mark.parametrize(
    ("by", "holds"),
    [((0, 2, 3), True), ((1, 2, 3), True), ((0, 1, 2), False), ((2, 3), False), ((0, 1), False)],
)
def test_a_contract_asks_for_witnesses_of_both_parties(by: tuple[int, ...], holds: bool) -> None:
    policy = read_policy(BOTH_PARTIES)
    witnessed = [Signed(KEYS[n], NOW_S) for n in by]
    assert policy.holds([Signed(LOG_KEY, None), *witnessed]) is holds
    assert policy.holds(witnessed) is False


def test_no_quorum_asks_for_the_log_alone() -> None:
    policy = read_policy(f"log {LOG_KEY}\nquorum none\n")
    assert policy.accepts(HEAD.note)
    other = sign_head(ORIGIN, 7, b"r" * 32, Signer(b"k" * 32))
    assert not policy.accepts(other.note)


def test_names_are_octets_and_a_kelvin_sign_is_no_k() -> None:
    text = f"witness K {KEYS[0]}\nwitness \u212a {KEYS[1]}\nquorum \u212a\n"
    policy = read_policy(text)
    assert policy.holds([Signed(KEYS[1], 1)])
    assert not policy.holds([Signed(KEYS[0], 1)])
    assert read_policy(text.encode()) == policy


def test_a_vkey_may_have_a_name_beyond_ascii() -> None:
    key = Cosigner("\u516c\u8bc1\u5904.example", KeyKind.COSIGNER_ML_DSA_44, bytes(32)).key
    assert read_policy(f"witness w {key}\nquorum w\n").witnesses["w"] == key


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no quorum"),
        ("quorum none\nquorum none\n", "line 2: a second quorum"),
        ("quorum a\n", "no witness and no group"),
        (f"witness none {KEYS[0]}\nquorum none\n", "none is taken"),
        (f"witness a {KEYS[0]}\nwitness a {KEYS[1]}\nquorum a\n", "a is taken"),
        (f"witness a {KEYS[0]}\nwitness b {KEYS[0]}\nquorum a\n", "same public key"),
        (f"log {LOG_KEY}\nlog {LOG_KEY}\nquorum none\n", "same public key"),
        (f"witness a {KEYS[0]}\ngroup g 2 a\nquorum g\n", "1 to 1"),
        (f"witness a {KEYS[0]}\ngroup g 0 a\nquorum g\n", "1 to 1"),
        (f"witness a {KEYS[0]}\ngroup g some a\nquorum g\n", "any, all"),
        (f"witness a {KEYS[0]}\ngroup g any\nquorum g\n", "not a line"),
        (f"witness a {KEYS[0]}\ngroup g any a a\nquorum g\n", "in a group already"),
        (f"witness a {KEYS[0]}\ngroup g any a\ngroup h any a\nquorum g\n", "in a group already"),
        (f"group g any a\nwitness a {KEYS[0]}\nquorum g\n", "no witness and no group"),
        ("group g any none\nquorum g\n", "no witness and no group"),
        (f"witness a {LOG_KEY}\nquorum a\n", "not cosignatures"),
        (f"witness a {KEYS[0]} u v\nquorum a\n", "not a line"),
        ("witness a w+00000000+AAAA\nquorum a\n", "kind that is not known"),
        ("quorum none\r\n", "control character"),
        ("logs x\nquorum none\n", "not a line"),
    ],
)
def test_what_is_no_policy_is_refused_and_the_line_named(text: str, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        read_policy(text)


def counted(name: str, groups: Mapping[str, tuple[int, list[str]]], by: set[str]) -> bool:
    """A second reading of what a group is, from the top down."""
    if name not in groups:
        return name in by
    needs, members = groups[name]
    return len([member for member in members if counted(member, groups, by)]) >= needs


@st.composite
def layered(draw: st.DrawFn) -> tuple[dict[str, tuple[int, list[str]]], str, set[str]]:
    free = [f"w{n}" for n in range(len(KEYS))]
    groups: dict[str, tuple[int, list[str]]] = {}
    for number in range(draw(st.integers(1, 4))):
        members = draw(st.lists(st.sampled_from(free), min_size=1, unique=True))
        free = [name for name in free if name not in members] + [f"g{number}"]
        groups[f"g{number}"] = (draw(st.integers(1, len(members))), members)
    by = draw(st.sets(st.sampled_from([f"w{n}" for n in range(len(KEYS))])))
    return groups, draw(st.sampled_from(free)), by


@given(layered())
@settings(max_examples=200)
def test_groups_of_groups_count_as_a_second_reading_counts_them(
    drawn: tuple[dict[str, tuple[int, list[str]]], str, set[str]],
) -> None:
    groups, quorum, by = drawn
    lines = [f"witness w{n} {key}" for n, key in enumerate(KEYS)]
    lines += [f"group {name} {k} {' '.join(members)}" for name, (k, members) in groups.items()]
    policy = read_policy("\n".join([*lines, f"quorum {quorum}", ""]))
    signing = [Signed(KEYS[int(name[1:])], 1) for name in by]
    assert policy.holds(signing) is counted(quorum, groups, by)


# Proofs

LEAVES = [b"entry %d" % n for n in range(11)]


def logged(size: int) -> tuple[Head, dict[tuple[int, int], bytes]]:
    frontier = Frontier()
    nodes = {
        (level, index): subtree
        for leaf in LEAVES[:size]
        for level, index, subtree in frontier.append(leaf_hash(leaf))
    }
    return sign_head(ORIGIN, size, frontier.root(), LOG), nodes


def proven(index: int, size: int = 11, extra: bytes | None = None) -> LogProof:
    head, nodes = logged(size)
    note = signed(LATTICE.line(head, NOW_S), head=head)
    hashes = inclusion_proof(index, size, lambda level, place: nodes[level, place])
    return LogProof(index, tuple(hashes), note, extra)


POLICY = read_policy(f"log {LOG_KEY}\nwitness w {LATTICE.key}\nquorum w\n")


def folded(text: str, leaf: bytes) -> tuple[int, bytes]:
    """A second reader of the file: size and root as the hashes give them, by halving (RFC 6962, section 2.1.1)."""
    said, checkpoint = text.split("\n\n", 1)
    lines = [line for line in said.split("\n")[1:] if not line.startswith("extra ")]
    index, path = int(lines[0].split(" ")[1]), [b64decode(line) for line in lines[1:]]
    size = int(checkpoint.split("\n")[1])

    def climb(index: int, size: int, path: list[bytes]) -> bytes:
        if size == 1:
            return hashlib.sha256(b"\x00" + leaf).digest()
        half = 1
        while half * 2 < size:
            half *= 2
        if index < half:
            below = climb(index, half, path[:-1])
            return hashlib.sha256(b"\x01" + below + path[-1]).digest()
        below = climb(index - half, size - half, path[:-1])
        return hashlib.sha256(b"\x01" + path[-1] + below).digest()

    return size, climb(index, size, path)


@pytest.mark.parametrize("size", [1, 2, 7, 8, 11])
def test_a_proof_is_read_as_it_was_written_and_holds_for_its_entry_alone(size: int) -> None:
    for index in range(size):
        proof = proven(index, size, b"\x00extra" if index % 2 else None)
        text = write_proof(proof)
        assert read_proof(text) == proof
        head = check_proof(read_proof(text), leaf_hash(LEAVES[index]), POLICY)
        assert folded(text, LEAVES[index]) == (size, head.root)
        with pytest.raises(ProofError, match="do not lead"):
            check_proof(proof, leaf_hash(LEAVES[index] + b"!"), POLICY)


def test_a_proof_without_the_signatures_that_the_policy_asks_proves_nothing() -> None:
    head, _ = logged(11)
    with pytest.raises(ProofError, match="not those that the policy asks"):
        check_proof(replace(proven(3), checkpoint=head.note), leaf_hash(LEAVES[3]), POLICY)
    with pytest.raises(ProofError):
        check_proof(replace(proven(3), checkpoint="nothing"), leaf_hash(LEAVES[3]), POLICY)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("@v1", "@v2"),
        ("index 3", "index 03"),
        ("index 3", "index -3"),
        ("index 3\n", ""),
        ("index 3\n", "index 3\nAAAA\n"),
        ("index 3\n", "extra !\nindex 3\n"),
        ("index 3\n", "index 3\n" + (b64encode(bytes(32)).decode() + "\n") * 64),
    ],
)
def test_what_is_no_proof_is_refused(before: str, after: str) -> None:
    text = write_proof(proven(3))
    assert before in text
    with pytest.raises(ProofError):
        read_proof(text.replace(before, after, 1))


def test_a_key_is_equal_to_its_text() -> None:
    assert read_vkey(str(LATTICE.key)) == NoteKey(
        "witness.example.com/w2", KeyKind.COSIGNER_ML_DSA_44, LATTICE.key.public_key
    )
