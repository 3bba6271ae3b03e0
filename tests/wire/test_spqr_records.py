# SPDX-License-Identifier: Apache-2.0
import pickle
from dataclasses import fields, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.errors import RecordCorrupted, StoreTooNew
from e2ecross.wire.spqr_records import (
    StoredSpqr,
    StoredSpqrChain,
    StoredSpqrMaterial,
    decode_chunks,
    encode_chunks,
)
from tests.support.formats import STORED_SPQR, STORED_SPQR_MATERIAL
from tests.support.values import with_fields

KEY = b"\xa5" * 32


def _describe(stored: StoredSpqr | StoredSpqrMaterial | StoredSpqrChain) -> list[object]:
    if isinstance(stored, StoredSpqrMaterial):
        return [getattr(stored, field.name) for field in fields(stored)]
    return [
        [_describe(chain) for chain in value] if name == "chains" else value
        for name, value in ((name, getattr(stored, name)) for name in stored._fields)
    ]


def test_a_record_survives_its_encoding() -> None:
    for stored in (
        STORED_SPQR,
        with_fields(STORED_SPQR, chains=STORED_SPQR.chains[:1], is_initiator=False),
        with_fields(STORED_SPQR, chains=(*STORED_SPQR.chains, STORED_SPQR.chains[1])),
    ):
        assert _describe(StoredSpqr.decode(stored.encode())) == _describe(stored)
    for material in (STORED_SPQR_MATERIAL, replace(STORED_SPQR_MATERIAL, seed=b"", vector=b"")):
        assert _describe(StoredSpqrMaterial.decode(material.encode())) == _describe(material)


@pytest.mark.parametrize("count", [0, 4])
def test_a_record_has_one_to_three_chains(count: int) -> None:
    stored = with_fields(STORED_SPQR, chains=(STORED_SPQR.chains[0],) * count)
    with pytest.raises(RecordCorrupted, match="chains"):
        StoredSpqr.decode(stored.encode())


@pytest.mark.parametrize("bad", [b"x", KEY[1:], KEY + b"\0"])
def test_a_key_of_another_length_is_corrupted(bad: bytes) -> None:
    chain = STORED_SPQR.chains[1]
    for changed in (with_fields(chain, sending_key=bad), with_fields(chain, receiving_key=bad)):
        with pytest.raises(RecordCorrupted, match="length"):
            StoredSpqr.decode(with_fields(STORED_SPQR, chains=(changed,)).encode())
    for material in (
        replace(STORED_SPQR_MATERIAL, chain_root=bad),
        replace(STORED_SPQR_MATERIAL, authenticator_root=bad),
        replace(STORED_SPQR_MATERIAL, authenticator_mac_key=bad),
    ):
        with pytest.raises(RecordCorrupted, match="length"):
            StoredSpqrMaterial.decode(material.encode())


def test_a_chain_may_be_without_a_sending_key_only() -> None:
    chain = STORED_SPQR.chains[1]
    stored = with_fields(STORED_SPQR, chains=(with_fields(chain, sending_key=b""),))
    assert StoredSpqr.decode(stored.encode()).chains[0].sending_key == b""
    with pytest.raises(RecordCorrupted):
        StoredSpqr.decode(
            with_fields(STORED_SPQR, chains=(with_fields(chain, receiving_key=b""),)).encode()
        )


@given(
    st.dictionaries(
        st.integers(0, 65_535), st.binary(min_size=32, max_size=32), min_size=1, max_size=8
    )
)
def test_chunks_survive_their_encoding_in_their_order(chunks: dict[int, bytes]) -> None:
    assert list(decode_chunks(encode_chunks(chunks)).items()) == list(chunks.items())


def test_chunks_that_contradict_themselves_are_corrupted() -> None:
    for bad in (
        encode_chunks({}),
        encode_chunks({index: bytes(32) for index in range(9)}),
        encode_chunks({65_536: bytes(32)}),
        encode_chunks({1: bytes(31)}),
        encode_chunks({1: bytes(64)}),
        encode_chunks({1: bytes(32), 2: bytes(32)}).replace(b"\x01\x02", b"\x01\x01"),
        b"",
    ):
        with pytest.raises(RecordCorrupted):
            decode_chunks(bad)


def test_a_later_version_is_too_new() -> None:
    for decode, data in (
        (StoredSpqr.decode, STORED_SPQR.encode()),
        (StoredSpqrMaterial.decode, STORED_SPQR_MATERIAL.encode()),
        (decode_chunks, encode_chunks({1: bytes(32)})),
    ):
        with pytest.raises(StoreTooNew):
            decode(b"\x02" + data[1:])


def test_records_show_no_secret() -> None:
    for stored in (STORED_SPQR, STORED_SPQR.chains[0], STORED_SPQR_MATERIAL):
        assert repr(stored) == f"<{type(stored).__name__}: secret>"
        with pytest.raises(TypeError):
            pickle.dumps(stored)
