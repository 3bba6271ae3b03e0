# SPDX-License-Identifier: Apache-2.0
"""What is left in flight, or was filed by somebody else, when a row of it is damaged."""

from e2ecross import Notice, NoticeKind, Text
from e2ecross.device.composing import draft_of
from e2ecross.device.copy_ids import Outgoing
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked, Posted
from e2ecross.device.posting import post_messages
from e2ecross.device.waiting import Pending, list_pending
from e2ecross.state.in_flight import IN_FLIGHT, file_all
from e2ecross.state.inbox import walk_inbox
from e2ecross.state.queue import number_row
from e2ecross.state.transactions import peer_transaction
from e2ecross.stores import Table
from tests.support.devices import ANA, BUDI, MESSAGE_ID, TOKO, introduce, make_device

ASKED = KeysAsked({BUDI.user_id, TOKO.user_id})

HALO = draft_of(Text("halo"))


def test_one_that_is_damaged_keeps_no_other() -> None:
    """Both were filed by others before they were forgotten; the backlog of one is damaged."""
    ana, left = make_device(ANA), Leftovers()
    context = ana._context
    for address in (BUDI, TOKO):
        introduce(ana, make_device(address))
        message = Outgoing(address, MESSAGE_ID, is_new=True)
        _, (posted,) = post_messages(context, left, [message], HALO, set(), ASKED)
        assert isinstance(posted, Posted)
        (copy,) = posted.copies
        waiting = copy.waiting
        with peer_transaction(context, address.user_id) as tx:
            file_all(tx)  # in a store with stripes it stands in its backlog already
            if address == BUDI:
                tx.put(Table.OUTBOX, waiting.backlog.partition, b"", b"\x01\xff")
        left.note_sent(waiting, context.stripe_of(address.user_id))
    assert list_pending(context, left) == [Pending(MESSAGE_ID, BUDI, "record_corrupted")]


def test_a_damaged_row_in_flight_is_told_and_keeps_no_other() -> None:
    ana = make_device(ANA)
    context = ana._context
    messages = []
    for address in (BUDI, TOKO):
        introduce(ana, make_device(address))
        messages.append(Outgoing(address, MESSAGE_ID, is_new=True))
    _, (first, _) = post_messages(context, Leftovers(), messages, HALO, set(), ASKED)
    assert isinstance(first, Posted)
    with context.store.transaction() as tx:
        row = number_row(first.copies[0].waiting.number)
        tx.put(Table.OUTBOX, IN_FLIGHT, row, b"\x01\xff")
    assert [each.recipient for each in list_pending(context, Leftovers())] == [TOKO]
    with context.store.transaction() as tx:
        ((_, notice),) = walk_inbox(context, tx)
    assert isinstance(notice, Notice)
    assert notice.kind is NoticeKind.NOT_DELIVERED
    assert (notice.user, notice.messages) == (ANA.user_id, ())
    assert notice.code == "record_corrupted"
