# SPDX-License-Identifier: Apache-2.0
"""What `Client.maintain` does about groups beside telling of changes."""

from e2ecross.state.groups import list_groups, put_group
from e2ecross.wire.group import GroupId
from e2ecross.wire.group_records import GroupRecord
from tests.support.devices import ANA, DAY_MS, NOW_MS, BackendSimulator, make_client


def test_a_group_that_the_own_account_never_was_in_is_forgotten() -> None:
    client = make_client(ANA, BackendSimulator())
    joined, fresh, over = (GroupId(bytes((number,)) * 32) for number in range(3))
    store = client.device._context.store
    with store.transaction() as tx:
        put_group(tx, joined, GroupRecord(joined_at_ms=1))
        put_group(tx, fresh, GroupRecord(heard_at_ms=NOW_MS))
        put_group(tx, over, GroupRecord(heard_at_ms=NOW_MS - DAY_MS))
    client.maintain()
    with store.transaction() as tx:
        assert sorted(list_groups(tx)) == [joined, fresh]
