# SPDX-License-Identifier: Apache-2.0
"""Sender keys as records: what is read back is what was stored, and its seeds are kept apart."""

import pytest

from e2ecross.errors import RecordCorrupted
from e2ecross.protocol.sender_key import (
    OwnSenderKey,
    SenderKeyState,
    add_distribution,
    distribute,
    generate_sender_key,
    group_decrypt,
    group_encrypt,
)
from e2ecross.protocol.sender_key_storage import (
    find_seed_bucket,
    own_sender_key_from_record,
    own_sender_key_to_record,
    sender_key_from_record,
    sender_key_to_record,
    with_seeds,
    without_seeds,
)
from e2ecross.protocol.skipped_keys import SkippedKeys
from e2ecross.wire.sender_key_message import (
    decode_distribution,
    decode_sender_key_message,
    encode_distribution,
)
from e2ecross.wire.sender_key_records import SenderKeyRecord
from tests.support.entropy import SeededEntropy
from tests.support.sender_keys import UUID, forms
from tests.support.values import with_fields


def _pair() -> tuple[OwnSenderKey, SenderKeyState]:
    key = generate_sender_key(SeededEntropy("stored"))
    data = encode_distribution(distribute(key, UUID.distribution_id))
    (state,) = add_distribution((), decode_distribution(forms("uuid"), data))
    return key, state


def _send(key: OwnSenderKey, text: bytes) -> tuple[OwnSenderKey, bytes]:
    return group_encrypt(key, UUID.distribution_id, text, SeededEntropy(text.decode()))


def _read(state: SenderKeyState, data: bytes) -> tuple[SenderKeyState, bytes]:
    return group_decrypt(state, decode_sender_key_message(forms("uuid"), data))


def test_an_own_key_that_was_stored_goes_on() -> None:
    key, state = _pair()
    for number in range(3):
        record = own_sender_key_to_record(key)
        assert (record.chain_id, record.iteration) == (key.chain_id, number)
        key, data = _send(own_sender_key_from_record(record), b"%d" % number)
        state, text = _read(state, data)
        assert text == b"%d" % number


def test_a_key_of_another_that_was_stored_reads_on_with_its_seeds_alone() -> None:
    key, state = _pair()
    sent = []
    for number in range(4):
        key, data = _send(key, b"%d" % number)
        sent.append(data)
    assert find_seed_bucket(state, 2) is None
    state, _ = _read(state, sent[2])
    record = sender_key_to_record(state, 7, judged=b"judged")
    assert (record.number, record.seeds, record.iteration, record.judged) == (7, 2, 3, b"judged")
    stored = sender_key_from_record(state.chain_id, record)
    assert len(stored.chain.skipped) == 2
    assert find_seed_bucket(stored, 1) == find_seed_bucket(stored, 3) == SkippedKeys.bucket_of(1)
    at_hand = with_seeds(stored, state.chain.skipped.buckets)
    for late in (1, 0):
        at_hand, text = _read(at_hand, sent[late])
        assert text == b"%d" % late
    assert len(at_hand.chain.skipped) == 0
    assert _read(at_hand, sent[3])[1] == b"3"
    assert len(without_seeds(stored).chain.skipped) == 0
    assert _read(without_seeds(stored), sent[3])[1] == b"3"


def test_an_impossible_key_is_damage() -> None:
    _, state = _pair()
    record = sender_key_to_record(state, 1)
    assert isinstance(record, SenderKeyRecord)
    with pytest.raises(RecordCorrupted):
        sender_key_from_record(state.chain_id, with_fields(record, signing_key=bytes(33)))
