# SPDX-License-Identifier: Apache-2.0
"""`ConsentGrant` and `ConsentRevoke`, and the record that is kept of them: every bound."""

import copy
import pickle
from typing import Any

import pytest

from e2ecross import ConsentGrant, ConsentRevoke
from e2ecross.errors import DecodeError, InvalidArgument, RecordCorrupted
from e2ecross.wire._pb.e2ecross.v1 import content_pb2, storage_pb2
from e2ecross.wire.consent_records import ConsentRecord
from e2ecross.wire.content import decode_content, encode_content
from e2ecross.wire.content.kinds import is_of_users, is_sendable
from e2ecross.wire.encoding import serialize
from e2ecross.wire.queue_records import OutboxRecord
from e2ecross.wire.record_encoding import encode_record

ID, TOKEN = bytes(range(16)), bytes(range(32))
FIELDS: dict[str, Any] = {
    "grant_id": ID,
    "purposes": (1, 3),
    "max_per_day": 5,
    "expires_at_ms": 2**64 - 1,
    "number": 7,
    "token": TOKEN,
}
GRANT = ConsentGrant(**FIELDS)
REVOKE = ConsentRevoke(ID, 8)


def test_a_grant_has_the_encoding_of_the_document() -> None:
    body = (
        b"\x0a\x10" + ID + b"\x12\x02\x01\x03" + b"\x18\x05"
        b"\x20" + b"\xff" * 9 + b"\x01" + b"\x28\x07" + b"\x32\x20" + TOKEN
    )
    assert encode_content(GRANT) == (10, body)
    assert decode_content(10, body) == GRANT


def test_a_revoke_has_the_encoding_of_the_document() -> None:
    body = b"\x0a\x10" + ID + b"\x10\x08"
    assert encode_content(REVOKE) == (11, body)
    assert decode_content(11, body) == REVOKE


@pytest.mark.parametrize("content", [GRANT, REVOKE])
def test_an_app_sends_and_receives_it(content: object) -> None:
    assert is_of_users(content)
    assert is_sendable(content)


def test_the_names_of_purposes_are_their_numbers() -> None:
    names = (ConsentGrant.SERVICE, ConsentGrant.UTILITY)
    assert (*names, ConsentGrant.MARKETING, ConsentGrant.AUTHENTICATION) == (1, 2, 3, 4)


def test_grants_that_say_the_same_are_equal() -> None:
    again = ConsentGrant(**FIELDS)
    assert (again, hash(again)) == (GRANT, hash(GRANT))
    changes: dict[str, Any] = {
        "grant_id": TOKEN[:16][::-1],
        "purposes": (1, 2),
        "max_per_day": 6,
        "expires_at_ms": 0,
        "number": 8,
        "token": TOKEN[::-1],
    }
    assert set(changes) == set(FIELDS)
    for name, value in changes.items():
        assert ConsentGrant(**FIELDS | {name: value}) != GRANT, name
    assert GRANT != REVOKE


def test_a_grant_is_not_pickled_or_copied() -> None:
    for take in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError, match="ConsentGrant holds secrets"):
            take(GRANT)


def test_no_repr_shows_what_was_granted() -> None:
    assert repr(GRANT) == f"ConsentGrant(grant_id={ID!r}, number=7)"


@pytest.mark.parametrize(
    "changed",
    [
        {"purposes": (1,)},
        {"purposes": (1, 2, 3, 4)},
        {"max_per_day": 1},
        {"max_per_day": 1_000},
        {"expires_at_ms": 0},
        {"number": 0},
        {"number": 2**32 - 1},
    ],
)
def test_every_bound_is_allowed(changed: dict[str, Any]) -> None:
    grant = ConsentGrant(**(FIELDS | changed))
    assert decode_content(*encode_content(grant)) == grant


@pytest.mark.parametrize(
    "changed",
    [
        {"grant_id": bytes(15)},
        {"grant_id": bytes(17)},
        {"grant_id": b""},
        {"grant_id": bytearray(16)},
        {"purposes": ()},
        {"purposes": [1, 3]},
        {"purposes": (0,)},
        {"purposes": (5,)},
        {"purposes": (True,)},
        {"purposes": (3, 1)},
        {"purposes": (1, 1)},
        {"purposes": (1, 2, 3, 4, 4)},
        {"max_per_day": 0},
        {"max_per_day": 1_001},
        {"max_per_day": True},
        {"expires_at_ms": -1},
        {"expires_at_ms": 2**64},
        {"number": -1},
        {"number": 2**32},
        {"token": bytes(31)},
        {"token": bytes(33)},
        {"token": b""},
    ],
)
def test_what_is_out_of_range_is_refused_when_it_is_made(changed: dict[str, Any]) -> None:
    (name,) = changed
    with pytest.raises(InvalidArgument, match=f"^{name} "):
        ConsentGrant(**(FIELDS | changed))


@pytest.mark.parametrize(
    "changed",
    [
        {"grant_id": bytes(15)},
        {"grant_id": b""},
        {"purposes": []},
        {"purposes": [0]},
        {"purposes": [5]},
        {"purposes": [2, 1]},
        {"purposes": [2, 2]},
        {"purposes": [1, 2, 3, 4, 4]},
        {"max_per_day": 0},
        {"max_per_day": 1_001},
        {"token": bytes(31)},
        {"token": b""},
    ],
)
def test_what_is_out_of_range_is_refused_when_it_comes(changed: dict[str, Any]) -> None:
    body = serialize(content_pb2.ConsentGrant(**(FIELDS | changed)))
    with pytest.raises(DecodeError):
        decode_content(10, body)
    if "token" not in changed:  # nor is it read at rest
        grant = content_pb2.ConsentGrant(**(FIELDS | changed))
        with pytest.raises(RecordCorrupted):
            ConsentRecord.decode(encode_record(storage_pb2.ConsentRecord(grant=grant, number=7)))


@pytest.mark.parametrize(
    "fields", [{"grant_id": bytes(15)}, {"grant_id": bytes(17)}, {"number": -1}, {"number": 2**32}]
)
def test_a_revoke_that_is_out_of_range_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        ConsentRevoke(**{"grant_id": ID, "number": 8, **fields})


@pytest.mark.parametrize("grant_id", [b"", bytes(15), bytes(17)])
def test_a_revoke_of_what_is_no_id_is_refused_when_it_comes(grant_id: bytes) -> None:
    with pytest.raises(DecodeError):
        decode_content(11, serialize(content_pb2.ConsentRevoke(grant_id=grant_id, number=1)))


@pytest.mark.parametrize(
    "record",
    [
        ConsentRecord(GRANT, 7),
        ConsentRecord(GRANT, 7, 20_000, 5),
        ConsentRecord(None, 8, 20_000, 5),
        ConsentRecord(None, 0),
    ],
)
def test_a_record_is_read_as_it_was_written(record: ConsentRecord) -> None:
    assert ConsentRecord.decode(record.encode()) == record


def test_a_record_whose_grant_has_another_number_is_damage() -> None:
    with pytest.raises(RecordCorrupted):
        ConsentRecord.decode(ConsentRecord(GRANT, 8).encode())


def test_the_purpose_of_what_waits_is_one_of_four() -> None:
    record = OutboxRecord(b"", ID, purpose=4)
    assert OutboxRecord.decode(record.encode()).purpose == 4
    with pytest.raises(RecordCorrupted):
        OutboxRecord.decode(OutboxRecord(b"", ID, purpose=5).encode())
