# SPDX-License-Identifier: Apache-2.0
from dataclasses import FrozenInstanceError, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.address import Address, UserId
from e2ecross.errors import DecodeError, InvalidArgument, RemoteError, UnsupportedVersion
from e2ecross.wire.content import (
    Bytes,
    DeviceHints,
    DeviceRequest,
    Payload,
    PayloadContent,
    Resent,
    RetryRequest,
    Text,
    UnsupportedContent,
    decode_content,
    decode_payload,
    encode_content,
    encode_payload,
    payload_length,
)
from e2ecross.wire.limits import (
    MAX_CONTENT_BODY_BYTES,
    MAX_CONTENT_BYTES,
    MAX_PLAINTEXT_BYTES,
    MAX_SIGNED_DEVICE_LIST_BYTES,
)
from e2ecross.wire.padding import pad, padded_length, unpad
from tests.support.formats import ADDRESS, MESSAGE_ID, PAYLOAD, PEER
from tests.support.protobuf import Field, fields, message
from tests.support.vectors import devices, unhex

PRIVATE = "attack at dawn"
RETRY_REQUEST_KIND = 2**31 + 1
RESENT_KIND = 2**31 + 2
CONTROL_KINDS = (RETRY_REQUEST_KIND, RESENT_KIND, *range(2**31 + 16, 2**31 + 21), 2**31 + 48)
message_ids = st.binary(min_size=16, max_size=16)
reasons = st.from_regex("[a-z_]{1,64}", fullmatch=True)
of_users = st.one_of(
    st.text(max_size=300).map(Text),
    st.binary(max_size=300).map(Bytes),
    st.builds(UnsupportedContent, st.sampled_from([9, 12, 15]), st.binary(max_size=100)),
)
contents = st.one_of(
    of_users,
    st.builds(
        UnsupportedContent,
        st.integers(2**31, 2**32 - 1).filter(lambda kind: kind not in CONTROL_KINDS),
        st.binary(max_size=100),
    ),
    st.builds(
        RetryRequest,
        message_ids,
        st.binary(min_size=33, max_size=33),
        st.integers(0, 2**32 - 1),
        reasons,
    ),
    st.builds(RetryRequest, message_ids, st.none(), st.just(0), reasons),
    st.builds(Resent, message_ids, st.integers(0, 2**64 - 1), of_users),
)


def _changed(number: int, value: int | bytes) -> bytes:
    data = unpad(encode_payload(PAYLOAD))
    return pad(message([(n, value if n == number else v) for n, v in fields(data)]))


def _without(number: int) -> bytes:
    data = unpad(encode_payload(PAYLOAD))
    return pad(message([item for item in fields(data) if item[0] != number]))


# --- Content --------------------------------------------------------------------------------


@given(contents)
def test_content_survives_its_encoding(content: PayloadContent) -> None:
    assert decode_content(*encode_content(content)) == content


def test_content_has_the_documented_encoding() -> None:
    assert encode_content(Text("halo")) == (1, message([(1, b"halo")]))
    assert encode_content(Bytes(b"\0\1")) == (2, message([(1, b"\0\1")]))
    assert encode_content(Text("")) == (1, b"")
    assert encode_content(UnsupportedContent(9, b"x")) == (9, b"x")


@pytest.mark.parametrize("character", ["a", "é", "漢", "😀"])
def test_text_is_limited_by_its_bytes_not_its_characters(character: str) -> None:
    size = len(character.encode())
    largest = Text(character * (MAX_CONTENT_BYTES // size))
    kind, body = encode_content(largest)
    assert len(body) <= MAX_CONTENT_BODY_BYTES
    assert decode_content(kind, body) == largest
    with pytest.raises(InvalidArgument, match=r"^text has \d+ bytes, more than the 65536 "):
        Text(character * (MAX_CONTENT_BYTES // size + 1))


def test_bytes_are_limited() -> None:
    largest = Bytes(bytes(MAX_CONTENT_BYTES))
    kind, body = encode_content(largest)
    assert len(body) == MAX_CONTENT_BYTES + 4
    assert decode_content(kind, body) == largest
    with pytest.raises(InvalidArgument, match=r"^data has 65537 bytes, more than the 65536 "):
        Bytes(bytes(MAX_CONTENT_BYTES + 1))


def test_unsupported_content_is_limited() -> None:
    largest = UnsupportedContent(9, bytes(MAX_CONTENT_BODY_BYTES))
    assert decode_content(9, largest.body) == largest
    with pytest.raises(InvalidArgument, match="69632"):
        UnsupportedContent(9, bytes(MAX_CONTENT_BODY_BYTES + 1))
    for kind in (1, 2, 9):
        with pytest.raises(DecodeError):
            decode_content(kind, bytes(MAX_CONTENT_BODY_BYTES + 1))


@pytest.mark.parametrize("kind", [1, 2])
def test_content_one_byte_too_long_from_a_peer_is_refused(kind: int) -> None:
    body = message([(1, b"x" * (MAX_CONTENT_BYTES + 1))])
    with pytest.raises(DecodeError):
        decode_content(kind, body)


def test_known_kind_is_not_carried_as_unsupported() -> None:
    for kind in (1, 2):
        with pytest.raises(InvalidArgument, match="own class"):
            UnsupportedContent(kind, b"")
    for bad in (0, -1, 2**32, True, "3"):
        with pytest.raises(InvalidArgument, match=r"^kind "):
            UnsupportedContent(bad, b"")  # type: ignore[arg-type]


def test_kind_0_from_a_peer_is_refused() -> None:
    with pytest.raises(DecodeError, match="kind"):
        decode_content(0, b"")


@pytest.mark.parametrize("kind", [9, 15, 2**32 - 1])
@pytest.mark.parametrize("body", [b"", b"\xff", b"anything"])
def test_unknown_kind_is_carried_as_it_is(kind: int, body: bytes) -> None:
    assert decode_content(kind, body) == UnsupportedContent(kind, body)


@pytest.mark.parametrize("text", ["\ud800", "a\udfff", "\udc80" * 3])
def test_lone_surrogate_is_refused_without_showing_the_text(text: str) -> None:
    with pytest.raises(InvalidArgument, match=r"^text .* UTF-8 ") as caught:
        Text(PRIVATE + text)
    assert PRIVATE not in str(caught.value)
    # The library's error would hold the text; ours must not hang on to it.
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_text_that_is_not_utf_8_is_refused() -> None:
    for raw in (b"\xff", b"\xed\xa0\x80", b"\xc0\x80"):
        with pytest.raises(DecodeError, match="well-formed"):
            decode_content(1, message([(1, raw)]))


@pytest.mark.parametrize("value", [None, b"bytes", 3])
def test_text_is_a_string(value: object) -> None:
    with pytest.raises(InvalidArgument, match="text must be str"):
        Text(value)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [None, "text", bytearray(b"x")])
def test_bytes_are_bytes(value: object) -> None:
    with pytest.raises(InvalidArgument, match="data must be bytes"):
        Bytes(value)  # type: ignore[arg-type]
    with pytest.raises(InvalidArgument, match="body must be bytes"):
        UnsupportedContent(9, value)  # type: ignore[arg-type]


def test_content_does_not_show_itself() -> None:
    shown = {
        repr(Text(PRIVATE)): "<Text of 14 characters>",
        repr(Bytes(PRIVATE.encode())): "<Bytes of 14 bytes>",
        repr(UnsupportedContent(9, PRIVATE.encode())): "<UnsupportedContent of kind 9, 14 bytes>",
        str(Text(PRIVATE)): "<Text of 14 characters>",
    }
    for actual, expected in shown.items():
        assert actual == expected
    assert "attack" not in repr(replace(PAYLOAD, content=Text(PRIVATE)))


def test_content_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        Text("a").text = "b"  # type: ignore[misc]


# --- Payload --------------------------------------------------------------------------------


def test_payload_has_the_documented_encoding() -> None:
    ana = message([(1, b"whatsapp"), (2, b"ana"), (3, 1)])
    budi = message([(1, b"signal-2"), (2, b"budi_+-9"), (3, 127)])
    items: list[Field] = [
        (1, 1),
        (2, ana),
        (3, message([(1, budi)])),
        (4, MESSAGE_ID),
        (5, 16380),
        (6, 1_700_000_000_000),
        (7, 1),
        (8, message([(1, b"halo")])),
    ]
    assert encode_payload(PAYLOAD) == pad(message(items))
    assert decode_payload(pad(message(items))) == PAYLOAD


@given(
    content=contents,
    registration_id=st.integers(0, 2**32 - 1),
    sent_at_ms=st.integers(0, 2**64 - 1),
)
def test_payload_survives_its_encoding(
    content: PayloadContent, registration_id: int, sent_at_ms: int
) -> None:
    payload = Payload(PEER, ADDRESS, MESSAGE_ID, registration_id, sent_at_ms, content)
    padded = encode_payload(payload)
    assert len(padded) == padded_length(len(unpad(padded)))
    assert decode_payload(padded) == payload


def test_largest_payload_fits_into_a_message() -> None:
    content = UnsupportedContent(2**32 - 1, bytes(MAX_CONTENT_BODY_BYTES))
    hints = DeviceHints(2**63 - 1, bytes(16), 2**63 - 1, bytes(16))
    longest = Address("a" * 32, "b" * 64, 127)
    payload = Payload(
        *(longest, longest, MESSAGE_ID, 2**32 - 1, 2**64 - 1, content),
        *(hints, longest.user_id, bytes(MAX_SIGNED_DEVICE_LIST_BYTES)),
    )
    assert len(encode_payload(payload)) <= MAX_PLAINTEXT_BYTES
    assert decode_payload(encode_payload(payload)) == payload


@pytest.mark.parametrize("version", [2, 2**32 - 1])
def test_later_version_is_refused_as_such(version: int) -> None:
    with pytest.raises(UnsupportedVersion, match=str(version)):
        decode_payload(_changed(1, version))


def test_later_version_is_told_before_unknown_fields() -> None:
    data = unpad(_changed(1, 2)) + message([(13, b"new")])
    with pytest.raises(UnsupportedVersion):
        decode_payload(pad(data))


@pytest.mark.parametrize("number", [1, 2, 3, 4, 7])
def test_payload_without_a_field_is_refused(number: int) -> None:
    with pytest.raises(DecodeError):
        decode_payload(_without(number))


def test_fields_that_may_be_zero_are_then_absent() -> None:
    for number in (5, 6, 8):
        decoded = decode_payload(_without(number))
        assert 0 in (decoded.registration_id, decoded.sent_at_ms) or decoded.content == Text("")


@pytest.mark.parametrize("length", [1, 15, 17])
def test_message_id_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(DecodeError, match="lacks a field"):
        decode_payload(_changed(4, bytes(length)))


def test_destination_that_is_no_device_is_refused() -> None:
    for destination in (b"", message([(1, b"")]), message([(2, b"group")])):
        with pytest.raises(DecodeError):
            decode_payload(_changed(3, destination))


def test_unpadded_payload_is_refused() -> None:
    with pytest.raises(DecodeError, match="padded"):
        decode_payload(unpad(encode_payload(PAYLOAD)))


def test_size_is_checked_before_anything_is_parsed() -> None:
    with pytest.raises(DecodeError, match="98304"):
        decode_payload(pad(b"\xff" * (MAX_PLAINTEXT_BYTES + 1)))
    with pytest.raises(DecodeError, match="well-formed"):
        decode_payload(pad(b"\xff" * (MAX_PLAINTEXT_BYTES - 1)))


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_a_payload_or_a_remote_error(data: bytes) -> None:
    for padded in (data, pad(data), _changed(8, data), _changed(3, data)):
        try:
            payload = decode_payload(padded)
        except RemoteError:
            continue
        assert unpad(encode_payload(payload)) == unpad(padded)


# --- Payloads of accounts with a list of devices --------------------------------------------

HINTED = [
    {"hints": DeviceHints(1, bytes(16))},
    {"hints": DeviceHints(peer_seq=2**63 - 1, peer_hash=b"\x01" * 16)},
    {"peer": PEER.user_id},
    {"device_list": b"any bytes"},
    {"device_list": bytes(MAX_SIGNED_DEVICE_LIST_BYTES)},
]


@pytest.mark.parametrize("more", HINTED)
def test_each_field_alone_survives_its_encoding(more: dict[str, Any]) -> None:
    payload = replace(PAYLOAD, **more)
    assert decode_payload(encode_payload(payload)) == payload
    assert payload_length(payload) == len(unpad(encode_payload(payload)))
    assert payload_length(payload) > payload_length(PAYLOAD)


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (9, b""),
        (9, message([(1, 1)])),
        (9, message([(2, bytes(16))])),
        (9, message([(1, 1), (2, bytes(15))])),
        (9, message([(1, 1), (2, bytes(17))])),
        (9, message([(1, 2**63), (2, bytes(16))])),
        (9, message([(1, 1), (2, bytes(16)), (3, 1)])),
        (9, message([(1, 1), (2, bytes(16)), (4, bytes(16))])),
        (10, b""),
        (10, message([(1, b"whatsapp")])),
        (10, message([(1, b"whatsapp"), (2, b"ana"), (3, 1)])),
        (11, b""),
        (11, bytes(MAX_SIGNED_DEVICE_LIST_BYTES + 1)),
    ],
)
def test_malformed_fields_of_devices_are_refused(number: int, value: bytes) -> None:
    data = unpad(encode_payload(PAYLOAD)) + message([(number, value)])
    with pytest.raises(DecodeError):
        decode_payload(pad(data))


def test_the_vectors_of_payloads() -> None:
    vectors = devices("payload")
    for name in ("without_lists", "to_first_device", "to_second_device", "copy_to_own_device"):
        _check_payload(vectors[name])
    _check_payload(vectors["prekey_message"])
    copies = [unhex(vectors[name]["payload"]) for name in COPIES]
    least = max(map(len, copies))
    for data in copies:
        padded = encode_payload(decode_payload(pad(data)), least)
        assert len(padded) == vectors["bucket_of_the_three"]
    assert padded == unhex(vectors["padded_copy"])


COPIES = ("to_first_device", "to_second_device", "copy_to_own_device")


def _check_payload(vector: dict[str, Any]) -> None:
    data = unhex(vector["payload"])
    payload = decode_payload(pad(data))
    assert unpad(encode_payload(payload)) == data
    assert payload_length(payload) == vector["bytes"]
    assert len(encode_payload(payload)) == vector.get("padded", 399)


def test_the_vectors_of_payloads_say_what_they_should() -> None:
    vectors = devices("payload")
    bare, first, _, copy, prekey = (
        decode_payload(pad(unhex(vectors[name]["payload"])))
        for name in ("without_lists", *COPIES, "prekey_message")
    )
    assert (bare.hints, bare.peer, bare.device_list) == (None, None, b"")
    assert first.hints == copy.hints == prekey.hints
    assert first.hints is not None
    assert (first.hints.sender_seq, first.hints.peer_seq) == (3, 9)
    assert (first.peer, copy.peer) == (None, UserId("instagram", "budi"))
    assert prekey.device_list == unhex(devices("lists")[2]["signed"])


@pytest.mark.parametrize("refusal", devices("payload")["refusals"], ids=lambda one: one["name"])
def test_the_vectors_of_payloads_that_are_refused(refusal: dict[str, Any]) -> None:
    padded = unhex(refusal["padded"])
    # What an envelope may carry is compared where there is one: tests/device.
    if refusal["expect"] in ("ok", "envelope_mismatch"):
        assert unpad(encode_payload(decode_payload(padded))) == unpad(padded)
    else:
        with pytest.raises(RemoteError) as caught:
            decode_payload(padded)
        assert caught.value.code == refusal["expect"]


@pytest.mark.parametrize("least", [0, 1, 398, 399, 478, 958, 959, 5000])
def test_copies_of_one_message_have_one_length(least: int) -> None:
    padded = encode_payload(PAYLOAD, least)
    assert len(padded) == max(padded_length(payload_length(PAYLOAD)), padded_length(least))
    assert decode_payload(padded) == PAYLOAD


# --- What clients tell each other -----------------------------------------------------------

REQUEST = RetryRequest(MESSAGE_ID, b"\x05" + bytes(32), 7, "unknown_session")


@pytest.mark.parametrize("kind", [1, 2, *CONTROL_KINDS])
def test_a_known_kind_is_not_unsupported(kind: int) -> None:
    with pytest.raises(InvalidArgument, match=str(kind)):
        UnsupportedContent(kind, b"")
    UnsupportedContent(2**31, b"")
    UnsupportedContent(RESENT_KIND + 1, b"")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("message_id", bytes(15)),
        ("message_id", "x" * 16),
        ("ratchet_key", bytes(32)),
        ("ratchet_key", "x" * 33),
        ("counter", -1),
        ("counter", 2**32),
        ("counter", True),
        ("reason", ""),
        ("reason", "a" * 65),
        ("reason", "Unknown"),
        ("reason", "unknown\n"),
        ("reason", b"unknown"),
    ],
)
def test_a_retry_request_names_what_is_wrong_with_it(name: str, value: object) -> None:
    with pytest.raises(InvalidArgument, match=f"^{name} "):
        replace(REQUEST, **{name: value})  # type: ignore[arg-type]
    RetryRequest(MESSAGE_ID, None, 0, "a" * 64)


def test_a_retry_request_without_ratchet_key_has_no_counter() -> None:
    with pytest.raises(InvalidArgument, match=r"^counter .* ratchet_key$"):
        RetryRequest(MESSAGE_ID, None, 1, "decode_error")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("message_id", bytes(17)),
        ("sent_at_ms", -1),
        ("sent_at_ms", 2**64),
        ("content", "halo"),
        ("content", Resent(MESSAGE_ID, 1, Text("halo"))),
        ("content", REQUEST),
        ("content", UnsupportedContent(2**31, b"")),
    ],
)
def test_a_copy_names_what_is_wrong_with_it(name: str, value: object) -> None:
    with pytest.raises(InvalidArgument, match=f"^{name} "):
        replace(Resent(MESSAGE_ID, 1, Text("halo")), **{name: value})  # type: ignore[arg-type]


def test_a_copy_within_a_copy_is_refused_at_once() -> None:
    _, body = encode_content(Resent(MESSAGE_ID, 1, Text("halo")))
    for _ in range(1_000):  # as deep as the size allows
        nested = message([(1, MESSAGE_ID), (3, RESENT_KIND), (4, body)])
        if len(nested) > MAX_CONTENT_BODY_BYTES:
            break
        body = nested
        with pytest.raises(DecodeError, match="not acceptable"):
            decode_content(RESENT_KIND, body)


@pytest.mark.parametrize(
    "content",
    [REQUEST, DeviceRequest(unlink=True, capabilities=b""), UnsupportedContent(2**31, b"x")],
)
def test_a_copy_of_what_no_user_sends_is_refused(
    content: RetryRequest | DeviceRequest | UnsupportedContent,
) -> None:
    kind, body = encode_content(content)
    with pytest.raises(DecodeError, match="no user sends"):
        decode_content(RESENT_KIND, message([(1, MESSAGE_ID), (3, kind), (4, body)]))
    lower = UnsupportedContent(15, b"x")
    kind, body = encode_content(Resent(MESSAGE_ID, 0, lower))
    assert decode_content(kind, body) == Resent(MESSAGE_ID, 0, lower)


def test_the_largest_content_can_be_sent_again() -> None:
    largest = Resent(MESSAGE_ID, 2**64 - 1, UnsupportedContent(15, bytes(MAX_CONTENT_BODY_BYTES)))
    kind, body = encode_content(largest)
    assert decode_content(kind, body) == largest
    payload = Payload(ADDRESS, PEER, MESSAGE_ID, 2**32 - 1, 2**64 - 1, largest)
    assert decode_payload(encode_payload(payload)) == payload
    assert len(encode_payload(payload)) <= MAX_PLAINTEXT_BYTES
    with pytest.raises(DecodeError, match="more than"):
        decode_content(RESENT_KIND, body + bytes(65))


@pytest.mark.parametrize(
    "fields_",
    [
        [(1, bytes(15)), (4, b"reason")],
        [(1, MESSAGE_ID), (2, bytes(32)), (4, b"reason")],
        [(1, MESSAGE_ID), (3, 1), (4, b"reason")],
        [(1, MESSAGE_ID), (4, b"Reason")],
        [(1, MESSAGE_ID)],
        [(1, MESSAGE_ID), (4, b"reason"), (5, 1)],
        [(4, b"reason"), (1, MESSAGE_ID)],
    ],
)
def test_a_bad_retry_request_is_a_decode_error(fields_: list[Field]) -> None:
    with pytest.raises(DecodeError):
        decode_content(RETRY_REQUEST_KIND, message(fields_))


@pytest.mark.parametrize(
    "fields_",
    [
        [(1, bytes(15)), (3, 1)],
        [(3, 1)],
        [(1, MESSAGE_ID)],
        [(1, MESSAGE_ID), (3, 1), (4, b"\xff")],
        [(1, MESSAGE_ID), (3, 1), (5, 1)],
        [(3, 1), (1, MESSAGE_ID)],
    ],
)
def test_a_bad_copy_is_a_decode_error(fields_: list[Field]) -> None:
    with pytest.raises(DecodeError):
        decode_content(RESENT_KIND, message(fields_))
    assert decode_content(RESENT_KIND, message([(1, MESSAGE_ID), (3, 1)])) == Resent(
        MESSAGE_ID, 0, Text("")
    )
