# SPDX-License-Identifier: Apache-2.0
"""What becomes of an envelope that cannot be read."""

import pytest

from e2ecross import FailedMessage, Message, Policy, Text
from e2ecross.device.arriving import read_sender
from e2ecross.device.collecting import (
    HandedOver,
    hand_over,
    is_taken_in,
    keep_failure,
    take_in,
)
from e2ecross.errors import DecodeError, RecordCorrupted
from e2ecross.state.queue import number_row
from e2ecross.stores import Table
from e2ecross.wire.content import DeviceHints
from tests.support.accounts import (
    account,
    change_account,
    craft,
    hold_list,
    receive,
    sign_devices,
    told,
)
from tests.support.devices import ANA, BUDI, dump, introduce, make_device, new_bundle, start
from tests.support.inboxes import walk_items


def test_a_failure_that_another_process_has_kept_meanwhile_is_told_once() -> None:
    context = make_device(ANA)._context
    for number, data in ((1, b"garbage"), (1, b"garbage"), (1, b"other"), (2, b"other")):
        keep_failure(context, number, data, DecodeError("what?"))
    with context.store.transaction() as tx:
        assert len(list(walk_items(context, tx))) == 3


def test_damage_that_no_session_has_leaves_the_envelope_for_later() -> None:
    """Nothing of the message is lost: when the record is there again, it is read."""
    ana, budi = make_device(ANA), make_device(BUDI)
    budi.start_session(new_bundle(ana, kyber=True))
    data = budi.encrypt(ANA, Text("halo")).encode()
    context = ana._context
    with context.store.transaction() as tx:
        ((row, record),) = tx.list(Table.SIGNED_PREKEYS)
        tx.put(Table.SIGNED_PREKEYS, b"", row, b"\x01\xff")
    before = dump(context.store)
    with pytest.raises(RecordCorrupted):
        take_in(context, 1, data)
    assert dump(context.store) == before
    assert not is_taken_in(context, 1, data)
    with context.store.transaction() as tx:
        tx.put(Table.SIGNED_PREKEYS, b"", row, record)
    take_in(context, 1, data)
    with context.store.transaction() as tx:
        ((_, item),) = walk_items(context, tx)
    assert isinstance(item, Message)
    assert item.content == Text("halo")


def test_what_is_no_envelope_names_no_sender() -> None:
    assert read_sender(b"garbage") is None


def test_damaged_rows_of_the_inbox_hide_none_behind_them_and_the_first_is_told() -> None:
    context = make_device(ANA)._context
    for number in range(1, 5):
        keep_failure(context, number, b"garbage", DecodeError(f"what? {number}"))
    with context.store.transaction() as tx:
        for number, record in ((1, b"\x01\xff"), (2, b"\x01\xfe"), (4, b"\x01\xff")):
            tx.put(Table.INBOX, b"", number_row(number), record)
    handed = HandedOver()
    (item,) = hand_over(context, handed, 10)
    assert isinstance(item, FailedMessage)
    assert str(item.error) == "what? 3"
    assert handed.last == 4
    assert isinstance(handed.damaged, RecordCorrupted)
    assert hand_over(context, handed, 10) == []


@pytest.mark.parametrize("accepts", [False, True])
def test_hints_under_another_key_are_followed_if_the_policy_has_accepted_that(
    *, accepts: bool
) -> None:
    ana = make_device(ANA, policy=Policy(accept_changed_identity=accepts))
    introduce(make_device(BUDI), ana, kyber=True)
    change_account(ana, BUDI.user_id, written=True)
    hold_list(ana, sign_devices(ana, seq=9))
    budi = make_device(BUDI, seed="other")
    start(budi, ana, kyber=True)
    for _ in range(2):
        receive(ana, craft(budi, ANA, Text("halo"), hints=DeviceHints(7, bytes(16), 9, bytes(16))))
    assert account(ana, BUDI.user_id).check_wanted is accepts
    assert [address for address, _ in told(ana)] == [BUDI] * accepts
    assert len(ana._context.heard_of) == 2 * accepts
