# SPDX-License-Identifier: Apache-2.0
"""Hints alone; in a payload: `test_content.py`."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.errors import DecodeError, InvalidArgument
from e2ecross.wire._pb.e2ecross.v1 import content_pb2
from e2ecross.wire.content import DeviceHints
from e2ecross.wire.content.hints import decode_hints, encode_hints
from tests.support.protobuf import Field, message
from tests.support.vectors import devices, unhex

HASH = b"\x5a" * 16
lists = st.tuples(st.integers(1, 2**63 - 1), st.binary(min_size=16, max_size=16))
none = st.just((0, b""))


@given(st.one_of(st.tuples(lists, lists), st.tuples(lists, none), st.tuples(none, lists)))
def test_hints_survive_their_encoding(both: tuple[tuple[int, bytes], tuple[int, bytes]]) -> None:
    hints = DeviceHints(*both[0], *both[1])
    assert decode_hints(encode_hints(hints)) == hints


def test_hints_have_the_documented_encoding() -> None:
    hints = encode_hints(DeviceHints(1, HASH, 2, bytes(16)))
    items: list[Field] = [(1, 1), (2, HASH), (3, 2), (4, bytes(16))]
    assert hints.SerializeToString() == message(items)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sender_seq", (-1, HASH)),
        ("sender_seq", (2**63, HASH)),
        ("sender_seq", (True, HASH)),
        ("sender_hash", (1, b"")),
        ("sender_hash", (1, HASH[1:])),
        ("sender_hash", (1, HASH + b"\0")),
        ("sender_hash", (0, HASH)),
        ("sender_hash", (1, "x" * 16)),
        ("peer_seq", (1, HASH, 2**63, HASH)),
        ("peer_hash", (1, HASH, 1, b"")),
        ("peer_hash", (1, HASH, 0, HASH)),
        ("hints", (0, b"", 0, b"")),
        ("hints", ()),
    ],
)
def test_hints_name_what_is_wrong_with_them(name: str, values: tuple[Any, ...]) -> None:
    with pytest.raises(InvalidArgument, match=f"^{name} "):
        DeviceHints(*values)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"sender_seq": 1},
        {"sender_hash": HASH},
        {"peer_seq": 2**63, "peer_hash": HASH},
        {"sender_seq": 1, "sender_hash": HASH, "peer_hash": HASH},
    ],
)
def test_malformed_hints_from_a_peer_are_a_decode_error(fields: dict[str, Any]) -> None:
    with pytest.raises(DecodeError, match=r"^hints "):
        decode_hints(content_pb2.DeviceHints(**fields))


@pytest.mark.parametrize("vector", devices("hints")["vectors"], ids=lambda one: one["name"])
def test_the_vectors_of_hints(vector: dict[str, Any]) -> None:
    """Their bytes; what follows from them is for a client: tests/client."""
    hints = DeviceHints(
        vector["sender_seq"],
        unhex(vector["sender_hash"]),
        vector["peer_seq"],
        unhex(vector["peer_hash"]),
    )
    assert decode_hints(encode_hints(hints)) == hints
