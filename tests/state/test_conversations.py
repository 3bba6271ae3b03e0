# SPDX-License-Identifier: Apache-2.0
"""How it stands with accounts, and what a process knows of the moment."""

from typing import Any

import pytest

from e2ecross import Notice, NoticeKind, UserId
from e2ecross.errors import RecordCorrupted
from e2ecross.state.conversations import (
    ContactState,
    find_conversation,
    is_blocked,
    put_conversation,
    walk_conversations,
)
from e2ecross.state.live import Live
from e2ecross.wire._pb.e2ecross.v1 import storage_pb2
from e2ecross.wire.conversation_records import ConversationRecord
from e2ecross.wire.record_encoding import encode_record
from tests.support.devices import NOW_MS, Stores

ANA, BUDI = UserId("whatsapp", "ana"), UserId("instagram", "budi")


def test_who_has_no_record_is_a_stranger(stores: Stores) -> None:
    with stores.open("ana").transaction() as tx:
        assert find_conversation(tx, BUDI) == ConversationRecord()
        assert not is_blocked(tx, BUDI)
        assert list(walk_conversations(tx)) == []


def test_what_was_decided_is_found(stores: Stores) -> None:
    blocked = ConversationRecord(ContactState.BLOCKED, number=3)
    accepted = ConversationRecord(ContactState.ACCEPTED, no_receipts=True, no_typing=True)
    with stores.open("ana").transaction() as tx:
        put_conversation(tx, BUDI, blocked)
        put_conversation(tx, ANA, accepted)
    with stores.reopen("ana").transaction() as tx:
        assert is_blocked(tx, BUDI)
        assert dict(walk_conversations(tx)) == {BUDI: blocked, ANA: accepted}


@pytest.mark.parametrize("fields", [{"state": 3}, {"state": 1, "waiting": 1}])
def test_a_record_that_contradicts_itself_is_a_damaged_store(fields: dict[str, Any]) -> None:
    data = encode_record(storage_pb2.ConversationRecord(**fields))
    with pytest.raises(RecordCorrupted):
        ConversationRecord.decode(data)


def test_typing_is_taken_once_and_no_more_than_there_is_room_for() -> None:
    live = Live()
    users = (ANA, BUDI)
    notices = [Notice(NoticeKind.TYPING, user, (1,), code="on") for user in users]
    live.typing = {(user.device(1), None): each for user, each in zip(users, notices, strict=True)}
    assert live.take_typing(1) == notices[:1]
    assert live.take_typing(5) == []


def test_typing_is_told_once_in_three_seconds_also_after_a_clock_that_was_wrong() -> None:
    live = Live()
    assert live.may_tell_typing(ANA, NOW_MS)
    assert live.may_tell_typing(BUDI, NOW_MS)
    assert not live.may_tell_typing(ANA, NOW_MS + 2_999)
    assert live.may_tell_typing(ANA, NOW_MS + 3_000)
    assert live.may_tell_typing(ANA, NOW_MS)


def test_at_most_20_receipts_go_to_an_account_in_a_minute() -> None:
    live = Live()
    assert live.spend_receipts(ANA, 15, NOW_MS) == 15
    assert live.spend_receipts(BUDI, 1, NOW_MS) == 1
    assert live.spend_receipts(ANA, 15, NOW_MS + 59_999) == 5
    assert live.spend_receipts(ANA, 1, NOW_MS + 59_999) == 0
    assert live.spend_receipts(ANA, 30, NOW_MS + 60_000) == 15


def test_the_next_receipt_is_the_earliest() -> None:
    live = Live()
    live.note_receipt(5)
    assert live.receipts_at_ms == {}  # it is to be looked up anyway
    live.receipts_at_ms[0] = 7
    live.note_receipt(9)
    assert live.receipts_at_ms == {0: 7}
    live.note_receipt(5)
    live.note_receipt(8, 3)
    live.note_receipt(9, 3)
    assert live.receipts_at_ms == {0: 5, 3: 8}
