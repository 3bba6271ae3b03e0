# SPDX-License-Identifier: Apache-2.0
"""What we send into our groups with, and which devices have it."""

import pytest

from e2ecross.crypto.keys import PublicKey
from e2ecross.errors import RecordCorrupted
from e2ecross.protocol.sender_key import generate_sender_key
from e2ecross.state.group_keys import (
    NEVER_CHECKED,
    Checked,
    GroupKey,
    drop_all_grants,
    drop_group_key,
    find_group_key,
    forget_grant,
    group_key_from_bytes,
    list_granted,
    put_grant,
    put_group_key,
    put_new_group_key,
    read_grants,
)
from e2ecross.state.sender_keys import drop_own_sender_keys
from e2ecross.stores import MemoryStore, Table
from e2ecross.wire.group import GroupId
from e2ecross.wire.sender_key_records import OwnSenderKeyRecord
from tests.support.devices import ANA, BUDI
from tests.support.entropy import SeededEntropy
from tests.support.points import GOOD_KEY

GROUP, OTHER = GroupId(bytes(32)), GroupId(b"\1" * 32)
CHECKED = Checked(bytes(32), 7, 8)


def make_key(seed: str = "key") -> GroupKey:
    key = generate_sender_key(SeededEntropy(seed))
    return GroupKey(key, bytes(16), (bytes(32), b"\1" * 32), 5, NEVER_CHECKED)


def test_a_key_is_kept_as_it_is() -> None:
    key = make_key().with_checked(CHECKED)
    store = MemoryStore()
    with store.transaction() as tx:
        assert find_group_key(tx, GROUP) is None
        put_group_key(tx, GROUP, key)
        assert find_group_key(tx, OTHER) is None
        data = tx.get(Table.OWN_SENDER_KEYS, b"\0" + GROUP.value)
    assert data is not None
    read = group_key_from_bytes(data)
    assert read.checked == CHECKED
    assert (read.distribution_id, read.heads, read.created_at_ms) == (
        key.distribution_id,
        key.heads,
        5,
    )
    assert read.key.chain_id == key.key.chain_id
    assert read.key.chain.chain_key == key.key.chain.chain_key
    assert "secret" in repr(read)


def test_a_damaged_key_is_none() -> None:
    foreign = OwnSenderKeyRecord(1, 2, bytes(32), bytes(32)).encode()
    with MemoryStore().transaction() as tx:
        for data in (b"\x01\xff", foreign):
            tx.put(Table.OWN_SENDER_KEYS, b"\0" + GROUP.value, b"", data)
            assert find_group_key(tx, GROUP) is None
    with pytest.raises(RecordCorrupted):
        group_key_from_bytes(foreign)


def test_who_has_it_goes_with_it() -> None:
    with MemoryStore().transaction() as tx:
        put_new_group_key(tx, GROUP, make_key())
        put_grant(tx, GROUP, ANA, PublicKey(GOOD_KEY))
        put_grant(tx, OTHER, ANA, PublicKey(GOOD_KEY))
        assert read_grants(tx, GROUP) == {ANA: GOOD_KEY}
        assert list_granted(tx, GROUP) == [ANA]
        put_new_group_key(tx, GROUP, make_key("another"))
        assert list_granted(tx, GROUP) == []
        put_grant(tx, GROUP, BUDI, PublicKey(GOOD_KEY))
        drop_group_key(tx, GROUP)
        assert list_granted(tx, GROUP) == []
        assert find_group_key(tx, GROUP) is None
        assert list_granted(tx, OTHER) == [ANA]
        put_group_key(tx, OTHER, make_key())
        drop_own_sender_keys(tx)
        drop_all_grants(tx)
        assert list_granted(tx, OTHER) == []
        assert find_group_key(tx, OTHER) is None


def test_who_lost_it_is_found_when_all_are_gone_through() -> None:
    with MemoryStore().transaction() as tx:
        forget_grant(tx, GROUP, ANA)  # there is no key
        put_group_key(tx, GROUP, make_key().with_checked(CHECKED))
        put_grant(tx, GROUP, ANA, PublicKey(GOOD_KEY))
        put_grant(tx, GROUP, BUDI, PublicKey(GOOD_KEY))
        for _ in range(2):
            forget_grant(tx, GROUP, ANA)
            key = find_group_key(tx, GROUP)
            assert key is not None
            assert key.checked == NEVER_CHECKED
            assert list_granted(tx, GROUP) == [BUDI]


def test_grants_that_cannot_be_read_are_not_known() -> None:
    with MemoryStore().transaction() as tx:
        put_grant(tx, GROUP, ANA, PublicKey(GOOD_KEY))
        tx.put(Table.GROUP_GRANTS, GROUP.value, b"nobody", b"\x01")
        assert read_grants(tx, GROUP) is None
        with pytest.raises(RecordCorrupted):
            list_granted(tx, GROUP)
