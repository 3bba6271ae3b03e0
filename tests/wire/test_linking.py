# SPDX-License-Identifier: Apache-2.0
from base64 import urlsafe_b64encode
from typing import Any

import pytest

from e2ecross.address import Address, App
from e2ecross.crypto.keys import PublicKey
from e2ecross.errors import DecodeError, InvalidArgument, InvalidKey, UnsupportedVersion
from e2ecross.wire.linking import (
    LinkAnswer,
    LinkCode,
    LinkMessage,
    LinkOffer,
    LinkResult,
    require_device_name,
)
from tests.support.points import BAD_KEYS, GOOD_KEY
from tests.support.protobuf import Field, message
from tests.support.vectors import devices, unhex

LINKING = devices("linking")
KEY = PublicKey(GOOD_KEY)
SECRET = b"\x5a" * 32
SIGNATURE = b"\x6b" * 64
ADDRESS: Field = (1, message([(1, b"whatsapp"), (2, b"ana"), (3, 2)]))
SIGNED_LIST = unhex(devices("lists")[0]["signed"])


def text_of(data: bytes) -> str:
    return "e2x1:" + urlsafe_b64encode(data).rstrip(b"=").decode()


# --- The code -------------------------------------------------------------------------------


def test_the_vector_of_a_code() -> None:
    code = LinkCode.from_text(LINKING["text"])
    assert code.encode() == unhex(LINKING["code"])
    assert code.to_text() == LINKING["text"]
    assert len(code.to_text()) == LINKING["text_characters"] == 113
    assert code.app is App.WHATSAPP
    assert code.secret == unhex(LINKING["companion_draws"][1])


@pytest.mark.parametrize(
    "vector", devices("link_code_refusals")["vectors"], ids=lambda one: one["name"]
)
def test_the_vectors_of_codes_that_are_refused(vector: dict[str, Any]) -> None:
    error = {
        "decode_error": DecodeError,
        "unsupported_version": UnsupportedVersion,
        "invalid_key": InvalidKey,
    }[vector["expect"]]
    with pytest.raises(error):
        LinkCode.from_text(vector["text"])


def test_a_code_has_the_documented_encoding() -> None:
    for app in (App.WHATSAPP, "signal-2", "a" * 32):
        code = LinkCode(app, KEY, SECRET)
        data = message([(1, 1), (2, app.encode()), (3, GOOD_KEY), (4, SECRET)])
        assert code.encode() == data
        assert code.to_text() == text_of(data)
        read = LinkCode.from_text(code.to_text())
        assert (read.app, read.ephemeral_key, read.secret) == (app, KEY, SECRET)
        assert len(code.to_text()) <= 256


@pytest.mark.parametrize(
    "fields",
    [
        [(2, b"whatsapp"), (3, GOOD_KEY), (4, SECRET)],
        [(1, 1), (3, GOOD_KEY), (4, SECRET)],
        [(1, 1), (2, b"WhatsApp"), (3, GOOD_KEY), (4, SECRET)],
        [(1, 1), (2, b"a" * 33), (3, GOOD_KEY), (4, SECRET)],
        [(1, 1), (2, b"whatsapp"), (3, GOOD_KEY)],
        [(1, 1), (2, b"whatsapp"), (3, GOOD_KEY), (4, SECRET + b"\0")],
        [(1, 1), (2, b"whatsapp"), (3, GOOD_KEY), (4, SECRET), (5, 1)],
        [(2, b"whatsapp"), (1, 1), (3, GOOD_KEY), (4, SECRET)],
    ],
)
def test_a_malformed_code_is_refused(fields: list[Field]) -> None:
    with pytest.raises(DecodeError, match=r"^a link code "):
        LinkCode.decode(message(fields))
    with pytest.raises(DecodeError):
        LinkCode.from_text(text_of(message(fields)))


@pytest.mark.parametrize("key", BAD_KEYS.values())
def test_a_code_with_a_bad_key_is_refused(key: bytes) -> None:
    with pytest.raises(InvalidKey):
        LinkCode.decode(
            message(
                [(1, 1), (2, b"whatsapp"), *([(3, key)] if key else []), (4, SECRET)],
            )
        )


def test_the_version_of_a_code_is_told_before_what_a_later_one_may_have() -> None:
    later = message([(1, 2), (9, b"new")])
    with pytest.raises(UnsupportedVersion, match="version 2"):
        LinkCode.decode(later)


@pytest.mark.parametrize(
    "text",
    [
        LINKING["text"] + "\n",
        " " + LINKING["text"],
        LINKING["text"].upper(),
        "E2X1:" + LINKING["text"][5:],
        LINKING["text"][5:],
        LINKING["text"] + "A" * (257 - 113),
        "e2x1:" + "A" * 10_000_000,
        "e2x1:",
        "e2x1:A",
        "e2x1:\u00e9\u00e9\u00e9\u00e9",
        "e2x1:\ud800\ud800\ud800\ud800",
        "https://example.org/",
    ],
)
def test_a_text_that_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(DecodeError, match=r"^a link code ") as caught:
        LinkCode.from_text(text)
    assert text[:40] not in str(caught.value) or not text.startswith("e2x1:CA")
    assert caught.value.__context__ is None or not isinstance(
        caught.value.__context__, UnicodeError
    )


def test_the_length_of_a_text_is_told_before_anything_is_read() -> None:
    with pytest.raises(DecodeError, match="256 characters"):
        LinkCode.from_text("e2x1:" + "A" * 252)
    with pytest.raises(DecodeError, match="well-formed"):
        LinkCode.from_text("e2x1:" + "A" * 251)


@pytest.mark.parametrize("text", [None, b"e2x1:", 7])
def test_a_code_is_text(text: object) -> None:
    with pytest.raises(InvalidArgument, match=r"^code must be str"):
        LinkCode.from_text(text)  # type: ignore[arg-type]


def test_a_code_is_secret() -> None:
    code = LinkCode.from_text(LINKING["text"])
    assert repr(code) == "<LinkCode: secret>"


# --- Messages -------------------------------------------------------------------------------


def test_the_vectors_of_messages() -> None:
    offer = LinkMessage.decode(unhex(LINKING["offer"]))
    assert offer.ephemeral_key is not None
    for name in ("answer", "result"):
        data = unhex(LINKING[name])
        assert LinkMessage.decode(data).ephemeral_key is None
        assert LinkMessage.decode(data).encode() == data
    assert offer.encode() == unhex(LINKING["offer"])


def test_messages_have_the_documented_encoding() -> None:
    address = Address("whatsapp", "ana", 2)
    assert LinkMessage(KEY, b"sealed").encode() == message([(1, 1), (2, GOOD_KEY), (3, b"sealed")])
    assert LinkMessage(None, b"sealed").encode() == message([(1, 1), (3, b"sealed")])
    assert LinkOffer(address, KEY).encode() == message([ADDRESS, (2, GOOD_KEY)])
    answer = LinkAnswer(KEY, SIGNATURE, SECRET, "laptop", b"capable")
    assert answer.encode() == message(
        [(1, GOOD_KEY), (2, SIGNATURE), (3, SECRET), (4, b"laptop"), (5, b"capable")]
    )
    result = LinkResult.decode(message([(1, SIGNED_LIST)]))
    assert result.device_list.encode() == SIGNED_LIST
    assert result.encode() == message([(1, SIGNED_LIST)])


@pytest.mark.parametrize(
    "fields",
    [
        [(3, b"sealed")],
        [(1, 1)],
        [(1, 1), (2, GOOD_KEY)],
        [(1, 1), (3, b"sealed"), (4, 1)],
        [(1, 1), (3, bytes(10_240))],
    ],
)
def test_a_malformed_message_is_refused(fields: list[Field]) -> None:
    with pytest.raises(DecodeError, match=r"^a link message "):
        LinkMessage.decode(message(fields))
    assert len(message([(1, 1), (3, bytes(10_235))])) == 10_240
    LinkMessage.decode(message([(1, 1), (3, bytes(10_235))]))


def test_a_message_of_a_later_version_is_told_as_such() -> None:
    with pytest.raises(UnsupportedVersion, match="version 3"):
        LinkMessage.decode(message([(1, 3), (9, b"new")]))


@pytest.mark.parametrize("key", [key for key in BAD_KEYS.values() if key])
def test_a_message_with_a_bad_key_is_refused(key: bytes) -> None:
    with pytest.raises(InvalidKey):
        LinkMessage.decode(message([(1, 1), (2, key), (3, b"sealed")]))
    with pytest.raises(InvalidKey):
        LinkOffer.decode(message([ADDRESS, (2, key)]))
    with pytest.raises(InvalidKey):
        LinkAnswer.decode(message([(1, key), (2, SIGNATURE), (3, SECRET)]))


@pytest.mark.parametrize(
    "fields",
    [
        [(2, GOOD_KEY)],
        [(1, message([(1, b"whatsapp"), (2, b"ana"), (3, 1)])), (2, GOOD_KEY)],
        [(1, message([(1, b"whatsapp"), (2, b"ana"), (3, 128)])), (2, GOOD_KEY)],
        [(1, message([(1, b"whatsapp"), (3, 2)])), (2, GOOD_KEY)],
        [ADDRESS, (2, GOOD_KEY), (3, 1)],
    ],
)
def test_a_malformed_offer_is_refused(fields: list[Field]) -> None:
    with pytest.raises(DecodeError):
        LinkOffer.decode(message(fields))
    LinkOffer.decode(message([ADDRESS, (2, GOOD_KEY)]))


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (2, SIGNATURE[1:]),
        (2, SIGNATURE + b"\0"),
        (3, SECRET[1:]),
        (3, SECRET + b"\0"),
        (4, b"a" * 65),
        (4, "é".encode() * 33),
        (4, b"\xff"),
        (5, bytes(257)),
        (6, 1),
    ],
)
def test_a_malformed_answer_is_refused(number: int, value: bytes | int) -> None:
    good: dict[int, bytes | int] = {1: GOOD_KEY, 2: SIGNATURE, 3: SECRET, 4: b"n", 5: b"c"}
    LinkAnswer.decode(message([*good.items()]))
    with pytest.raises(DecodeError):
        LinkAnswer.decode(message(sorted((good | {number: value}).items())))


def test_the_least_and_the_largest_answer_are_read() -> None:
    least = LinkAnswer(KEY, SIGNATURE, SECRET, "")
    assert LinkAnswer.decode(least.encode()).encode() == least.encode()
    largest = LinkAnswer(KEY, SIGNATURE, SECRET, "é" * 32, bytes(256))
    read = LinkAnswer.decode(largest.encode())
    assert (read.name, read.capabilities) == ("é" * 32, bytes(256))


def test_a_malformed_result_is_refused() -> None:
    for data in (b"", message([(1, SIGNED_LIST[:-1])]), message([(1, SIGNED_LIST), (2, 1)])):
        with pytest.raises(DecodeError):
            LinkResult.decode(data)


# --- Names ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["", "Ana's laptop", "a" * 64, "é" * 32])
def test_names_of_devices(name: str) -> None:
    require_device_name(name)


@pytest.mark.parametrize("name", [None, b"laptop", "a" * 65, "é" * 33, "laptop\ud800"])
def test_what_is_no_name_of_a_device(name: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument, match=r"^name ") as caught:
        require_device_name(name)
    assert caught.value.__context__ is None
