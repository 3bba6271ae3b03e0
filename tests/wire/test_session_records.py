# SPDX-License-Identifier: Apache-2.0
import pickle
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from e2ecross.errors import RecordCorrupted, StoreTooNew
from e2ecross.wire.session_records import (
    SessionListRecord,
    StoredChain,
    StoredPending,
    StoredSession,
    StoredUsedPrekeys,
    decode_skipped_keys,
    encode_skipped_keys,
)
from tests.support.formats import STORED_SESSION, STORED_SPQR
from tests.support.points import GOOD_KEY
from tests.support.protobuf import Field, fields, message
from tests.support.values import with_fields

KEY = b"\xa5" * 32


def _key(number: int) -> bytes:
    return b"\x05" + number.to_bytes(32, "little")


@pytest.mark.parametrize(
    "record",
    [
        SessionListRecord(None, (), None, 0),
        SessionListRecord(_key(9), (), None, 0),
        SessionListRecord(None, (_key(9),), None, 0),
        SessionListRecord(_key(9), (_key(10), _key(11)), _key(11), 8),
        SessionListRecord(_key(9), tuple(map(_key, range(10, 50))), _key(49), 2**32 - 1),
    ],
)
def test_session_list_survives_its_encoding(record: SessionListRecord) -> None:
    assert SessionListRecord.decode(record.encode()) == record


def test_session_list_has_at_most_40_archived() -> None:
    record = SessionListRecord(None, tuple(map(_key, range(10, 51))), None, 0)
    assert len(record.archived) == 41
    with pytest.raises(RecordCorrupted, match="contradicts itself"):
        SessionListRecord.decode(record.encode())


def test_held_session_is_one_of_the_archived() -> None:
    for archived in ((), (_key(10),)):
        record = SessionListRecord(_key(9), archived, _key(9), 1)
        with pytest.raises(RecordCorrupted, match="contradicts itself"):
            SessionListRecord.decode(record.encode())


@pytest.mark.parametrize("bad", [b"", b"x", GOOD_KEY[1:], GOOD_KEY + b"\0"])
def test_base_key_of_another_length_is_refused(bad: bytes) -> None:
    for record in (
        SessionListRecord(bad, (), None, 0),
        SessionListRecord(None, (GOOD_KEY, bad), None, 0),
        SessionListRecord(None, (GOOD_KEY, bad), bad, 0),
    ):
        if record.current == b"":
            continue
        with pytest.raises(RecordCorrupted, match="wrong length"):
            SessionListRecord.decode(record.encode())


def _describe(stored: StoredSession) -> list[object]:
    values: list[object] = []
    for name in StoredSession._fields:
        if name == "receiving_chains":
            for chain in stored.receiving_chains:
                values += [chain.ratchet_key, chain.chain_key]
                values += [chain.message_number, chain.skipped_count, chain.may_have_no_pq_key]
        else:
            values.append(getattr(stored, name))
    return values


@pytest.mark.parametrize(
    "pending",
    [
        None,
        StoredPending(None, 0, 0),
        StoredPending(1, 2, 3),
        StoredPending(None, 2**32 - 1, 9),
        StoredPending(1, 2, 3, 0),  # an id like any other
        StoredPending(1, 2, 3, 2**32 - 1),
    ],
)
@pytest.mark.parametrize(
    "used",
    [
        None,
        StoredUsedPrekeys(None, 0),
        StoredUsedPrekeys(1, 2),
        StoredUsedPrekeys(1, 2, 3, b"\7" * 16),
    ],
)
@pytest.mark.parametrize("chains", [0, 1, 5])
def test_session_survives_its_encoding(
    pending: StoredPending | None, used: StoredUsedPrekeys | None, chains: int
) -> None:
    stored = with_fields(
        STORED_SESSION,
        pending=pending,
        used_prekeys=used,
        receiving_chains=tuple(
            StoredChain(_key(9 + i), None if i % 2 else KEY, 2**32 - i, i, i == 0)
            for i in range(chains)
        ),
    )
    assert _describe(StoredSession.decode(stored.encode())) == _describe(stored)


def test_session_of_a_later_version_is_refused_with_both_numbers() -> None:
    body = STORED_SESSION.encode()[1:]
    with pytest.raises(StoreTooNew, match=r"^a stored session has version 5") as caught:
        StoredSession.decode(b"\x01" + message([(1, 5), *fields(body)[1:]]))
    assert (caught.value.found, caught.value.supported) == (5, 4)


@pytest.mark.parametrize("version", [0, 1, 2])
def test_session_of_an_earlier_version_is_refused(version: int) -> None:
    body = fields(STORED_SESSION.encode()[1:])[1:]
    items: list[Field] = [(1, version), *body] if version else body
    with pytest.raises(RecordCorrupted):
        StoredSession.decode(b"\x01" + message(items))


def test_session_of_version_3_has_no_spqr_ratchet() -> None:
    stored = with_fields(STORED_SESSION, version=4, spqr=STORED_SPQR)
    assert StoredSession.decode(stored.encode()).spqr is not None
    with pytest.raises(RecordCorrupted, match="impossible version"):
        StoredSession.decode(with_fields(stored, version=3).encode())


def test_session_has_at_most_5_chains() -> None:
    stored = with_fields(STORED_SESSION, receiving_chains=(StoredChain(GOOD_KEY, KEY, 1, 0),) * 6)
    with pytest.raises(RecordCorrupted, match="too many chains"):
        StoredSession.decode(stored.encode())


@pytest.mark.parametrize(
    "name",
    [
        "local_identity_key",
        "remote_identity_key",
        "base_key",
        "ratchet_public_key",
        "root_key",
        "sending_chain_key",
        "ratchet_private_key",
    ],
)
def test_session_key_of_another_length_is_refused(name: str) -> None:
    good: bytes = getattr(STORED_SESSION, name)
    # What that one's absence says of the others is the test below.
    empty = [] if name == "sending_chain_key" else [b""]
    for bad in (*empty, good[:-1], good + b"\0"):
        with pytest.raises(RecordCorrupted, match="wrong length"):
            StoredSession.decode(with_fields(STORED_SESSION, **{name: bad}).encode())


_NO_PAIR: dict[str, Any] = {"ratchet_private_key": None, "ratchet_public_key": None}
_NO_CHAIN: dict[str, Any] = {"sending_chain_key": None, "sending_message_number": 0}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {**_NO_PAIR, **_NO_CHAIN},
        {**_NO_CHAIN, "stopped": True},
        {**_NO_PAIR, **_NO_CHAIN, "stopped": True},
    ],
    ids=["sends", "has to answer", "stopped", "stopped and answered"],
)
def test_the_four_states_of_sending_survive_their_encoding(changes: dict[str, Any]) -> None:
    stored = with_fields(STORED_SESSION, **changes)
    assert _describe(StoredSession.decode(stored.encode())) == _describe(stored)


@pytest.mark.parametrize(
    "changes",
    [
        _NO_PAIR,
        _NO_CHAIN,
        {"stopped": True},
        {**_NO_PAIR, "stopped": True},
        {**_NO_PAIR, **_NO_CHAIN, "receiving_chains": ()},
        {**_NO_PAIR, **_NO_CHAIN, "receiving_chains": (), "stopped": True},
        {**_NO_PAIR, "sending_chain_key": None},  # with a number, of no chain
        {"sending_chain_key": None, "stopped": True},
    ],
)
def test_a_session_that_contradicts_itself_about_sending_is_damaged(
    changes: dict[str, Any],
) -> None:
    with pytest.raises(RecordCorrupted, match="contradicts itself"):
        StoredSession.decode(with_fields(STORED_SESSION, **changes).encode())


@pytest.mark.parametrize("bad", [None, bytes(15), bytes(17)])
def test_kyber_prekey_id_comes_with_a_hash_of_16_bytes(bad: bytes | None) -> None:
    used = StoredUsedPrekeys(1, 2, 3, bad)
    with pytest.raises(RecordCorrupted, match="wrong length"):
        StoredSession.decode(with_fields(STORED_SESSION, used_prekeys=used).encode())


@pytest.mark.parametrize(
    "chain",
    [
        StoredChain(b"", KEY, 1, 0),
        StoredChain(GOOD_KEY[1:], KEY, 1, 0),
        StoredChain(GOOD_KEY, KEY[1:], 1, 0),
        StoredChain(GOOD_KEY, KEY + b"\0", 1, 0),
    ],
)
def test_chain_key_of_another_length_is_refused(chain: StoredChain) -> None:
    stored = with_fields(STORED_SESSION, receiving_chains=(chain,))
    with pytest.raises(RecordCorrupted, match="wrong length"):
        StoredSession.decode(stored.encode())


@given(st.dictionaries(st.integers(0, 2**32 - 1), st.binary(min_size=32, max_size=32), max_size=64))
def test_skipped_keys_survive_their_encoding(keys: dict[int, bytes]) -> None:
    assert decode_skipped_keys(encode_skipped_keys(keys)) == keys
    shuffled = dict(sorted(keys.items(), reverse=True))
    assert encode_skipped_keys(shuffled) == encode_skipped_keys(keys)


@pytest.mark.parametrize("numbers", [b"\x02\x01", b"\x01\x01", b"\x05\x05"])
def test_skipped_keys_are_ascending_and_not_repeated(numbers: bytes) -> None:
    with pytest.raises(RecordCorrupted, match="ascending"):
        decode_skipped_keys(b"\x01" + message([(1, numbers), (2, bytes(64))]))


@pytest.mark.parametrize("length", [0, 31, 33, 63, 65])
def test_skipped_keys_of_another_length_than_numbers_are_refused(length: int) -> None:
    for numbers in (b"\x01", b"\x01\x02"):
        items: list[Field] = [(1, numbers), (2, bytes(length))]
        with pytest.raises(RecordCorrupted, match="wrong length"):
            decode_skipped_keys(b"\x01" + message(items if length else items[:1]))


def test_records_with_secrets_do_not_show_them() -> None:
    for record in (STORED_SESSION, STORED_SESSION.receiving_chains[0]):
        assert repr(record) == f"<{type(record).__name__}: secret>"
        with pytest.raises(TypeError, match="not pickled"):
            pickle.dumps(record)
