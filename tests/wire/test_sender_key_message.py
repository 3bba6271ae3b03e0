# SPDX-License-Identifier: Apache-2.0
"""Both messages of sender keys in both forms: bytes, what is tolerated, what is refused."""

import contextlib
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.crypto.kdf import ChainKey
from e2ecross.crypto.keys import decode_public_key
from e2ecross.errors import (
    DecodeError,
    InvalidArgument,
    InvalidKey,
    RemoteError,
    UnsupportedVersion,
)
from e2ecross.wire.limits import MAX_DISTRIBUTION_BYTES, MAX_SIGNAL_MESSAGE_BYTES, MAX_UINT32
from e2ecross.wire.sender_key_message import (
    Distribution,
    SenderKeyForm,
    decode_distribution,
    decode_sender_key_message,
    encode_distribution,
    encode_sender_key_message_body,
)
from tests.support.points import BAD_KEYS, GOOD_KEY
from tests.support.protobuf import Field, fields, message, varint
from tests.support.sender_keys import FORMS, forms, vectors_of
from tests.support.vectors import unhex

ID = bytes(range(16))
CHAIN_KEY = ChainKey(b"\x5a" * 32)
CIPHERTEXT = b"c" * 16
SIGNATURE = b"\xaa" * 64
KEY = decode_public_key(GOOD_KEY)
ITEMS: dict[SenderKeyForm, Sequence[Field]] = {
    SenderKeyForm.UUID: ((1, ID), (2, 7), (3, 9), (4, CHAIN_KEY), (5, GOOD_KEY)),
    SenderKeyForm.KEY_ID: ((1, 7), (2, 9), (3, CHAIN_KEY), (4, GOOD_KEY)),
}
MESSAGE_ITEMS: dict[SenderKeyForm, Sequence[Field]] = {
    SenderKeyForm.UUID: ((1, ID), (2, 7), (3, 9), (4, CIPHERTEXT)),
    SenderKeyForm.KEY_ID: ((1, 7), (2, 9), (3, CIPHERTEXT)),
}
both_forms = pytest.mark.parametrize("form", SenderKeyForm)
versions = pytest.mark.parametrize("high", [v for v in range(16) if v != 3])


def _distribution(items: Sequence[Field], version: int = 0x33) -> bytes:
    return bytes((version,)) + message(items)


def _message(items: Sequence[Field], version: int = 0x33) -> bytes:
    return bytes((version,)) + message(items) + SIGNATURE


def _id_of(form: SenderKeyForm) -> bytes | None:
    return ID if form is SenderKeyForm.UUID else None


def _shift(form: SenderKeyForm) -> int:
    """How much higher the numbers of fields are that both forms have."""
    return int(form is SenderKeyForm.UUID)


def _changed(items: Sequence[Field], number: int, value: int | bytes) -> list[Field]:
    return [(n, value if n == number else old) for n, old in items]


# --- What is written --------------------------------------------------------------------------


@both_forms
def test_both_are_the_version_byte_and_all_fields_ascending_also_when_zero(
    form: SenderKeyForm,
) -> None:
    made = encode_distribution(Distribution(_id_of(form), 7, 9, CHAIN_KEY, KEY))
    assert made == _distribution(ITEMS[form])
    body = encode_sender_key_message_body(_id_of(form), 7, 9, CIPHERTEXT)
    assert body + SIGNATURE == _message(MESSAGE_ITEMS[form])
    zeros = encode_sender_key_message_body(_id_of(form), 0, 0, b"")
    assert [value for _, value in fields(zeros[1:])][-3:] == [0, 0, b""]
    zeros = encode_distribution(Distribution(_id_of(form), 0, 0, CHAIN_KEY, KEY))
    assert [value for _, value in fields(zeros[1:])][-4:-2] == [0, 0]


@pytest.mark.parametrize("name", FORMS)
def test_the_distributions_of_the_vectors_come_back_as_they_are(name: str) -> None:
    section = vectors_of(name)
    for key, iteration in (("distribution", 0), ("distribution_at_2", 2)):
        data = unhex(section[key])
        decoded = decode_distribution(forms(name), data)
        assert (decoded.chain_id, decoded.iteration) == (section["chain_id"], iteration)
        assert encode_distribution(decoded) == data


@pytest.mark.parametrize("name", FORMS)
def test_the_messages_of_the_vectors_come_back_as_they_are(name: str) -> None:
    section = vectors_of(name)
    for item in section["messages"]:
        data = unhex(item["message"])
        decoded = decode_sender_key_message(forms(name), data)
        assert decoded.signed + decoded.signature == data
        assert len(decoded.signature) == 64
        assert (decoded.chain_id, decoded.iteration) == (section["chain_id"], item["iteration"])
        again = encode_sender_key_message_body(
            decoded.distribution_id, decoded.chain_id, decoded.iteration, decoded.ciphertext
        )
        assert again == decoded.signed


def test_a_distribution_is_not_shown() -> None:
    shown = repr(
        decode_distribution(SenderKeyForm.KEY_ID, _distribution(ITEMS[SenderKeyForm.KEY_ID]))
    )
    assert CHAIN_KEY.hex() not in shown
    assert repr(bytes(CHAIN_KEY)) not in shown


# --- What is tolerated ------------------------------------------------------------------------


@both_forms
@pytest.mark.parametrize("low", range(16))
def test_any_low_half_of_the_version_is_read(form: SenderKeyForm, low: int) -> None:
    assert decode_distribution(form, _distribution(ITEMS[form], 0x30 | low)).iteration == 9
    read = decode_sender_key_message(form, _message(MESSAGE_ITEMS[form], 0x30 | low))
    assert read.signed[0] == 0x30 | low


@both_forms
@given(data=st.data())
def test_any_order_unknown_fields_and_repeated_ones_are_read(
    form: SenderKeyForm, data: st.DataObject
) -> None:
    unknown = data.draw(
        st.lists(st.tuples(st.integers(6, 1000), st.integers(0, 2**64 - 1) | st.binary(max_size=5)))
    )
    for items, decode, wrap in (
        (ITEMS[form], decode_distribution, _distribution),
        (MESSAGE_ITEMS[form], decode_sender_key_message, _message),
    ):
        number = 1 + _shift(form)
        # An earlier one, of the right type, does not count.
        mixed = [(number, 1), *data.draw(st.permutations([*items, *unknown[:4]]))]
        encoded = wrap(mixed)
        if decode is decode_distribution and len(encoded) > MAX_DISTRIBUTION_BYTES:
            continue
        read: Any = decode(form, encoded)
        assert (read.chain_id, read.iteration) == (7, 9)
        assert read.distribution_id == _id_of(form)
        if decode is decode_sender_key_message:
            assert read.signed == encoded[:-64]


@both_forms
def test_numbers_reach_to_32_bits_and_need_not_be_minimal(form: SenderKeyForm) -> None:
    for number in (1 + _shift(form), 2 + _shift(form)):
        for items, decode, wrap in (
            (ITEMS[form], decode_distribution, _distribution),
            (MESSAGE_ITEMS[form], decode_sender_key_message, _message),
        ):
            highest: Any = decode(form, wrap(_changed(items, number, MAX_UINT32)))
            assert MAX_UINT32 in (highest.chain_id, highest.iteration)
            with pytest.raises(DecodeError, match="32 bits"):
                decode(form, wrap(_changed(items, number, MAX_UINT32 + 1)))
    padded = b"\x33" + message(MESSAGE_ITEMS[form][:-1]) + varint((3 + _shift(form)) << 3 | 2, 3)
    padded += varint(16, 3) + CIPHERTEXT + SIGNATURE
    assert decode_sender_key_message(form, padded).ciphertext == CIPHERTEXT


@pytest.mark.parametrize("distribution_id", [bytes(16), b"\xff" * 16])
def test_an_id_needs_no_version_of_a_uuid(distribution_id: bytes) -> None:
    items = _changed(MESSAGE_ITEMS[SenderKeyForm.UUID], 1, distribution_id)
    read = decode_sender_key_message(SenderKeyForm.UUID, _message(items))
    assert read.distribution_id == distribution_id


# --- What is refused --------------------------------------------------------------------------


@both_forms
@versions
def test_another_version_is_refused(form: SenderKeyForm, high: int) -> None:
    with pytest.raises(UnsupportedVersion):
        decode_distribution(form, _distribution(ITEMS[form], high << 4 | 3))
    with pytest.raises(UnsupportedVersion):
        decode_sender_key_message(form, _message(MESSAGE_ITEMS[form], high << 4 | 3))


@both_forms
def test_a_field_that_is_missing_or_of_another_type_is_refused(form: SenderKeyForm) -> None:
    for items, decode, wrap in (
        (ITEMS[form], decode_distribution, _distribution),
        (MESSAGE_ITEMS[form], decode_sender_key_message, _message),
    ):
        filler: list[Field] = [(100, bytes(70))]
        for number, value in items:
            rest = [item for item in items if item[0] != number]
            other: int | bytes = b"\x07" if isinstance(value, int) else 7
            for bad in (rest, [*rest, (number, other)]):
                with pytest.raises(DecodeError):
                    decode(form, wrap([*bad, *filler]))


@pytest.mark.parametrize("name", FORMS)
def test_the_bytes_of_the_other_form_are_refused(name: str) -> None:
    section = vectors_of(name)
    other = SenderKeyForm.KEY_ID if name == "uuid" else SenderKeyForm.UUID
    with pytest.raises(DecodeError):
        decode_distribution(other, unhex(section["distribution"]))
    for item in section["messages"]:
        with pytest.raises(DecodeError):
            decode_sender_key_message(other, unhex(item["message"]))


@pytest.mark.parametrize("length", [0, 1, 15, 17, 32])
def test_an_id_of_another_length_is_refused(length: int) -> None:
    form = SenderKeyForm.UUID
    with pytest.raises(DecodeError):
        decode_distribution(form, _distribution(_changed(ITEMS[form], 1, bytes(length))))
    with pytest.raises(DecodeError):
        decode_sender_key_message(form, _message(_changed(MESSAGE_ITEMS[form], 1, bytes(length))))


@both_forms
@pytest.mark.parametrize("length", [0, 1, 31, 33, 64])
def test_a_chain_key_of_another_length_is_refused(form: SenderKeyForm, length: int) -> None:
    items = [*_changed(ITEMS[form], 3 + _shift(form), bytes(length)), (100, bytes(40))]
    with pytest.raises(DecodeError):
        decode_distribution(form, _distribution(items))


@both_forms
@pytest.mark.parametrize("bad", [*BAD_KEYS])
def test_a_signing_key_that_nobody_honest_has_is_refused(form: SenderKeyForm, bad: str) -> None:
    items = [*_changed(ITEMS[form], 4 + _shift(form), BAD_KEYS[bad]), (100, bytes(40))]
    with pytest.raises(InvalidKey):
        decode_distribution(form, _distribution(items))


@both_forms
def test_lengths_are_checked_before_anything_is_parsed(form: SenderKeyForm) -> None:
    short, long = ITEMS[form], MESSAGE_ITEMS[form]
    room = MAX_DISTRIBUTION_BYTES - len(_distribution(short)) - 3
    assert decode_distribution(form, _distribution([*short, (100, bytes(room - 1))])).chain_id == 7
    with pytest.raises(DecodeError, match="257 bytes"):
        decode_distribution(form, _distribution([*short, (100, bytes(room))]))
    room = MAX_SIGNAL_MESSAGE_BYTES - len(_message(long)) - 5
    assert decode_sender_key_message(form, _message([*long, (100, bytes(room))])).chain_id == 7
    with pytest.raises(DecodeError, match="100865 bytes"):
        decode_sender_key_message(form, _message([*long, (100, bytes(room + 1))]))
    for length in (0, 1, 63, 64):
        with pytest.raises(DecodeError, match=f"{length} bytes"):
            decode_distribution(form, _distribution(short)[:length])
        with pytest.raises(DecodeError, match=f"{length} bytes"):
            decode_sender_key_message(form, _message(long)[:length])
    with pytest.raises(DecodeError, match="lacks"):  # 65 bytes, and nothing in them
        decode_sender_key_message(form, _message(()))


@both_forms
@given(data=st.binary(max_size=300))
def test_any_bytes_give_a_value_or_a_remote_error(form: SenderKeyForm, data: bytes) -> None:
    for decode in (decode_distribution, decode_sender_key_message):
        for given_bytes in (data, b"\x33" + data):
            with contextlib.suppress(RemoteError):
                decode(form, given_bytes)


@both_forms
@pytest.mark.parametrize("wrong", [None, "33", bytearray(100), memoryview(bytes(100))])
def test_what_is_not_bytes_is_an_argument_error(form: SenderKeyForm, wrong: Any) -> None:  # noqa: ANN401
    with pytest.raises(InvalidArgument):
        decode_distribution(form, wrong)
    with pytest.raises(InvalidArgument):
        decode_sender_key_message(form, wrong)
