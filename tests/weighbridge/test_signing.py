"""A signature covers exact bytes, and an envelope has one spelling."""

import json
from base64 import b64decode, b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from weighbridge import signing

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
