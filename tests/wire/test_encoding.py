# SPDX-License-Identifier: Apache-2.0
import pytest

from e2ecross.address import Address
from e2ecross.errors import DecodeError, InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import address_pb2
from e2ecross.wire.encoding import (
    decode_address,
    encode_address,
    parse,
    require_canonical,
    serialize,
)
from tests.support.protobuf import message

DATA = message([(1, b"whatsapp"), (2, b"ana"), (3, 1)])


def test_size_limit_is_inclusive() -> None:
    assert parse(address_pb2.Address, DATA, "it", len(DATA)).user == "ana"
    with pytest.raises(DecodeError, match=f"it has {len(DATA)} bytes, more than the"):
        parse(address_pb2.Address, DATA, "it", len(DATA) - 1)


def test_malformed_bytes_keep_their_cause() -> None:
    with pytest.raises(DecodeError, match="it is not well-formed") as caught:
        parse(address_pb2.Address, b"\xff", "it", 10)
    assert caught.value.__cause__ is not None


def test_text_that_is_not_utf_8_is_malformed() -> None:
    with pytest.raises(DecodeError, match="well-formed"):
        parse(address_pb2.Address, message([(2, b"\xff")]), "it", 10)


def test_bytes_are_required() -> None:
    with pytest.raises(InvalidArgument, match="data must be bytes"):
        parse(address_pb2.Address, None, "it", 10)  # type: ignore[arg-type]


def test_canonical_means_byte_for_byte() -> None:
    for data, canonical in ((DATA, True), (DATA + message([(4, 1)]), False), (DATA * 2, False)):
        parsed = parse(address_pb2.Address, data, "it", 1000)
        if canonical:
            require_canonical(parsed, data, "it")
        else:
            with pytest.raises(DecodeError, match="one encoding"):
                require_canonical(parsed, data, "it")


def test_address_survives_its_encoding() -> None:
    address = Address("instagram", "budi", 2)
    assert decode_address(encode_address(address)) == address
    assert serialize(encode_address(Address("whatsapp", "ana"))) == DATA


def test_malformed_address_names_the_part() -> None:
    with pytest.raises(DecodeError, match="device must be"):
        decode_address(address_pb2.Address(app="whatsapp", user="ana", device=128))
