"""A signature covers exact bytes, and an envelope has one spelling."""

import json
from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from hypothesis import given
from hypothesis import strategies as st

from weighbridge.wire import signing

SIGNER = signing.Signer(bytes(range(32)))
KIND = "application/vnd.weighbridge.report+json"


def test_an_envelope_is_plain_dsse_that_any_reader_opens() -> None:
    document = json.loads(SIGNER.seal(KIND, b"payload"))
    assert b64decode(document["payload"]) == b"payload"
    assert document["payloadType"] == KIND
    assert document["signatures"][0]["keyid"] == SIGNER.key_id


def test_the_pre_authentication_encoding_is_that_of_the_dsse_specification() -> None:
    """The example of protocol.md in the DSSE repository."""
    encoded = signing.pre_authentication_encoding("http://example.com/HelloWorld", b"hello world")
    assert encoded == b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


@given(st.binary(max_size=300))
def test_what_is_sealed_opens_and_verifies(payload: bytes) -> None:
    envelope = signing.open_envelope(SIGNER.seal(KIND, payload))
    signing.verify(envelope, SIGNER.public_key)
    assert (envelope.payload, envelope.payload_type) == (payload, KIND)


def is_signed_by_the_key_it_names(sealed: bytes) -> bool:
    try:
        envelope = signing.open_envelope(sealed)
        signing.verify(envelope, SIGNER.public_key)
    except signing.SignatureError:
        return False
    return envelope.key_id == SIGNER.key_id


@given(st.data())
def test_an_envelope_with_a_changed_byte_never_verifies(data: st.DataObject) -> None:
    sealed = bytearray(SIGNER.seal(KIND, b"some payload"))
    assert is_signed_by_the_key_it_names(bytes(sealed))
    place = data.draw(st.integers(0, len(sealed) - 1))
    sealed[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != sealed[place]))
    assert not is_signed_by_the_key_it_names(bytes(sealed))


@given(st.binary(max_size=9), st.data())
def test_base64_opens_only_in_its_one_spelling(payload: bytes, data: st.DataObject) -> None:
    text = bytearray(b64encode(payload))
    for _ in range(data.draw(st.integers(0, 2))):
        place = data.draw(st.integers(0, len(text)))
        text[place : place + data.draw(st.integers(0, 1))] = data.draw(
            st.sampled_from([b"", b"A", b"B", b"Q", b"/", b"=", b"\n", b"-", b"AAAA", b"QQ=="])
        )
    before, after = SIGNER.seal(KIND, b"").split(b'""', 1)
    sealed = b'%s"%s"%s' % (before, text, after)
    try:
        known = b64encode(b64decode(text)) == text
    except ValueError:
        known = False
    try:
        opened = b64encode(signing.open_envelope(sealed).payload) == text
    except signing.SignatureError:
        opened = False
    assert opened == known


@given(st.binary(max_size=300))
def test_any_bytes_are_an_envelope_or_a_signature_error(data: bytes) -> None:
    with pytest.raises(signing.SignatureError):
        signing.open_envelope(data)


def test_another_key_does_not_verify() -> None:
    envelope = signing.open_envelope(SIGNER.seal(KIND, b"payload"))
    with pytest.raises(signing.SignatureError, match="does not verify"):
        signing.verify(envelope, signing.Signer(b"k" * 32).public_key)


def test_new_keys_differ() -> None:
    assert signing.generate_private_key() != signing.generate_private_key()


P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P
Point = tuple[int, int]
BASE_POINT = bytes.fromhex("58" + "66" * 31)


def add(one: Point, two: Point) -> Point:
    """Of the curve of RFC 8032, in its own words: section 5.1, with fractions."""
    (x1, y1), (x2, y2) = one, two
    product = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P
    return x, y


def double(point: Point) -> Point:
    return add(point, point)


def points(y: int) -> list[Point]:
    """The points with this y: none, one or two."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    return [(x, y), (P - x, y)] if x * x % P == square else []


WEAK_YS = [y % P for y in (0, 1, -1)] + [
    int.from_bytes(bytes.fromhex(text), "little")
    for text in (
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    )
]


def test_the_keys_that_are_refused_are_the_points_that_eight_times_come_to_nothing() -> None:
    found = {point for y in WEAK_YS for point in points(y)}
    assert all(double(double(double(point))) == (0, 1) for point in found)
    assert len({(x % P, y) for x, y in found}) == 8, "all of the torsion group, and nothing else"


def spellings() -> list[bytes]:
    """Each y as it is and, where it fits, with the prime added, under both signs of x."""
    numbers = [y + more for y in WEAK_YS for more in (0, P) if y + more < 1 << 255]
    return [(number | sign << 255).to_bytes(32, "little") for number in numbers for sign in (0, 1)]


@pytest.mark.parametrize("key", spellings())
def test_a_key_under_which_anybody_can_sign_verifies_nothing(key: bytes) -> None:
    """The base point and 1 are a signature under the neutral key of any message: S·B = R + h·A."""
    assert signing.has_small_order(key)
    with pytest.raises(signing.SignatureError, match="small order"):
        signing.verify_bytes(b"any message", BASE_POINT + (1).to_bytes(32, "little"), key)


def test_the_library_itself_takes_a_forgery_under_the_neutral_key() -> None:
    key = Ed25519PublicKey.from_public_bytes((1).to_bytes(32, "little"))
    key.verify(BASE_POINT + (1).to_bytes(32, "little"), b"any message")
    assert not signing.has_small_order(SIGNER.public_key)
