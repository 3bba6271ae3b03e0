# SPDX-License-Identifier: Apache-2.0
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.errors import InvalidArgument
from e2ecross.wire.capabilities import (
    Capability,
    announced_by,
    check_capabilities,
    decode_capabilities,
    encode_capabilities,
)
from tests.support.protobuf import message
from tests.support.vectors import content, unhex

REFUSED = content("capabilities_refused_as_floor")
ids = st.frozensets(st.integers(1, 2**32 - 1) | st.sampled_from(Capability), max_size=40)


@pytest.mark.parametrize("vector", content("capabilities"))
def test_capabilities_have_the_encoding_of_the_vectors(vector: dict[str, Any]) -> None:
    assert encode_capabilities(vector["ids"]).hex() == vector["encoded"]
    assert decode_capabilities(unhex(vector["encoded"])) == frozenset(vector["ids"])


@pytest.mark.parametrize("vector", REFUSED, ids=[vector["why"] for vector in REFUSED])
def test_what_is_not_well_formed_announces_nothing(vector: dict[str, Any]) -> None:
    assert decode_capabilities(unhex(vector["encoded"])) == frozenset()


@given(ids)
def test_capabilities_survive_their_encoding(chosen: frozenset[int]) -> None:
    announced = chosen | {Capability.POST}
    assert decode_capabilities(encode_capabilities(announced)) == announced


@given(st.binary(max_size=300))
def test_any_bytes_announce_something_in_its_one_encoding_or_nothing(data: bytes) -> None:
    for encoded in (data, message([(1, 1), (2, data)])):
        found = decode_capabilities(encoded)
        assert not found or encode_capabilities(found) == encoded


def test_nothing_is_announced_by_no_bytes() -> None:
    assert encode_capabilities(frozenset()) == b""
    assert decode_capabilities(b"") == frozenset()
    assert decode_capabilities(message([(1, 1)])) == frozenset()
    with pytest.raises(InvalidArgument, match="bytes"):
        decode_capabilities(None)  # type: ignore[arg-type]


def test_at_most_64_are_announced_in_at_most_256_bytes() -> None:
    most = range(10, 74)
    assert decode_capabilities(encode_capabilities(most)) == frozenset(most)
    with pytest.raises(InvalidArgument, match=r"^capabilities .* 64, not 65$"):
        encode_capabilities(range(10, 75))
    one_more = message([(1, 1), (2, bytes(range(10, 75)))])
    assert decode_capabilities(one_more) == frozenset()
    # 50 of 5 bytes and one of 1, with 3 + 2 bytes of headers: 256
    long = range(2**32 - 50, 2**32)
    assert len(encode_capabilities([10, *long])) == 256
    with pytest.raises(InvalidArgument, match=r"^capabilities .* 256 bytes"):
        encode_capabilities([10, 11, *long])
    assert decode_capabilities(bytes(257)) == frozenset()


@pytest.mark.parametrize("id_", [0, -1, 2**32])
def test_an_id_is_a_number_from_1_on(id_: int) -> None:
    with pytest.raises(InvalidArgument, match=r"^capabilities "):
        encode_capabilities([10, id_])


def test_what_protects_needs_frames() -> None:
    protecting = [id_ for id_ in Capability if id_.protects]
    assert protecting == [32, 33, 34, 35]
    for id_ in protecting:
        with pytest.raises(InvalidArgument, match="need 10"):
            encode_capabilities([id_])
        assert decode_capabilities(encode_capabilities([10, id_])) == {10, id_}
    assert decode_capabilities(encode_capabilities([13, 31, 36])) == {13, 31, 36}


def test_an_app_says_what_it_shows_and_obeys() -> None:
    every = frozenset({10, *range(13, 21), 32, 33})
    for fine in (frozenset(), frozenset({10}), every):
        check_capabilities(fine)
    for id_ in (0, 1, 9, 11, 12, 21, 31, 34, 35, 36):
        with pytest.raises(InvalidArgument, match="10, 13 to 20, 32, 33"):
            check_capabilities(frozenset({10, id_}))
    for bad in ({10}, [10], 10, None):
        with pytest.raises(InvalidArgument, match="frozenset"):
            check_capabilities(bad)
    with pytest.raises(InvalidArgument, match="must hold 10"):
        check_capabilities(frozenset({13}))


def test_groups_are_announced_by_whoever_reads_frames() -> None:
    assert decode_capabilities(announced_by(frozenset({10, 13}))) == {10, 13, Capability.GROUPS}
    assert announced_by(frozenset()) == b""
    assert decode_capabilities(announced_by(frozenset({10, 13}), groups=False)) == {10, 13}
