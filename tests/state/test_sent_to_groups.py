# SPDX-License-Identifier: Apache-2.0
"""Messages that were sent into groups, kept because somebody may ask for them again."""

import pytest

from e2ecross import Policy, Text
from e2ecross.crypto.keys import PublicKey
from e2ecross.errors import InvalidArgument, RecordCorrupted
from e2ecross.state.sent import GROUP_MARK, forget_over, list_sent_to, sent_shelf
from e2ecross.state.sent_to_groups import (
    find_sent_to_group,
    is_group_id,
    keep_group_id,
    keep_sent_to_group,
    was_sent_to_group,
)
from e2ecross.state.trust import put_listed_identity
from e2ecross.stores import MemoryStore
from e2ecross.wire.content import DeviceListPush, Expiry, Framed, encode_content
from e2ecross.wire.group import GroupDestination, GroupId
from e2ecross.wire.shelf_records import SentRecord
from tests.support.devices import BUDI, MESSAGE_ID, NOW_MS
from tests.support.kept import keep_sent
from tests.support.points import GOOD_KEY

GROUP, OTHER = GroupId(bytes(32)), GroupId(b"\1" * 32)
WHERE = GroupDestination(GROUP, (bytes(32), b"\1" * 32))
POLICY = Policy()
CONTROL = DeviceListPush((b"list",))
TEXT = Framed(Text("halo"), bytes(32))


def test_a_message_is_found_by_its_id() -> None:
    with MemoryStore().transaction() as tx:
        assert find_sent_to_group(tx, POLICY, MESSAGE_ID, NOW_MS) is None
        keep_sent_to_group(tx, POLICY, WHERE, MESSAGE_ID, TEXT, NOW_MS - 1, NOW_MS)
        kept = find_sent_to_group(tx, POLICY, MESSAGE_ID, NOW_MS)
        assert kept is not None
        assert (kept.destination, kept.sent_at_ms) == (WHERE, NOW_MS - 1)
        assert encode_content(kept.content) == encode_content(TEXT)
        assert "secret" in repr(kept)
        later = NOW_MS + 2 * POLICY.resend_kept_ms
        assert find_sent_to_group(tx, POLICY, MESSAGE_ID, later) is None
        # It is of no account.
        put_listed_identity(tx, BUDI, PublicKey(GOOD_KEY), NOW_MS)
        keep_sent(tx, POLICY, BUDI, MESSAGE_ID, Text("halo"), NOW_MS)
        assert list_sent_to(tx, POLICY, NOW_MS, 10) == [BUDI.user_id]


def test_what_is_over_is_not_found_and_forgotten() -> None:
    short = Framed(Text("halo"), bytes(32), Expiry(60))
    with MemoryStore().transaction() as tx:
        keep_sent_to_group(tx, POLICY, WHERE, MESSAGE_ID, short, NOW_MS, NOW_MS)
        assert find_sent_to_group(tx, POLICY, MESSAGE_ID, NOW_MS + 59_999) is not None
        assert find_sent_to_group(tx, POLICY, MESSAGE_ID, NOW_MS + 60_000) is None
        forget_over(tx, POLICY, NOW_MS + 60_001, 10)
        assert find_sent_to_group(tx, POLICY, MESSAGE_ID, NOW_MS) is None


def test_an_id_is_of_one_message_in_one_group() -> None:
    content, another = encode_content(TEXT), encode_content(Framed(Text("no"), bytes(32)))
    with MemoryStore().transaction() as tx:
        assert not was_sent_to_group(tx, GROUP, MESSAGE_ID, content, NOW_MS)
        assert not is_group_id(tx, MESSAGE_ID, NOW_MS)
        keep_group_id(tx, GROUP, MESSAGE_ID, content, NOW_MS)
        assert was_sent_to_group(tx, GROUP, MESSAGE_ID, content, NOW_MS)
        assert is_group_id(tx, MESSAGE_ID, NOW_MS)
        for where, what in ((GROUP, another), (OTHER, content)):
            with pytest.raises(InvalidArgument, match="message_id"):
                was_sent_to_group(tx, where, MESSAGE_ID, what, NOW_MS)


@pytest.mark.parametrize(
    "record",
    [
        SentRecord(content_kind=1, content_body=b"\xff", group_id=bytes(32), heads=(bytes(32),)),
        SentRecord(content_kind=1, content_body=b"halo"),
        SentRecord(
            content_kind=1,
            content_body=b"halo",
            group_id=bytes(32),
            heads=tuple(bytes((number,)) * 32 for number in range(17)),
        ),
        SentRecord(
            content_kind=encode_content(CONTROL).kind,
            content_body=encode_content(CONTROL).body,
            group_id=bytes(32),
            heads=(bytes(32),),
        ),
    ],
)
def test_a_record_that_holds_no_message_is_damaged(record: SentRecord) -> None:
    with MemoryStore().transaction() as tx:
        sent_shelf(POLICY).add(tx, GROUP_MARK + MESSAGE_ID, record.encode(), NOW_MS)
        with pytest.raises(RecordCorrupted):
            find_sent_to_group(tx, POLICY, MESSAGE_ID, NOW_MS)
