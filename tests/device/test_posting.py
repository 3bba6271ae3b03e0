# SPDX-License-Identifier: Apache-2.0
"""What waits to be encrypted, when somebody else was faster or the user has to decide first."""

import pytest

from e2ecross import Device, Envelope, MessageKind, Policy, RetryRequest, Text
from e2ecross.device.composing import draft_of
from e2ecross.device.copy_ids import Outgoing
from e2ecross.device.leftovers import Leftovers
from e2ecross.device.posted import KeysAsked
from e2ecross.device.posting import post_messages
from e2ecross.device.settling import hold_for_decision, settle
from e2ecross.device.waiting import encrypt_waiting
from e2ecross.errors import UntrustedIdentity
from e2ecross.state.inbox import walk_inbox
from e2ecross.state.notice import Notice
from e2ecross.state.outbox import (
    Backlog,
    BacklogName,
    Waiting,
    list_backlog,
    put_control,
    put_envelope,
    put_resend,
    read_backlog,
    replace_waiting,
)
from e2ecross.state.transactions import peer_transaction
from e2ecross.stores import Table
from tests.support.devices import (
    ANA,
    BUDI,
    MESSAGE_ID,
    NOW_MS,
    TOKO,
    dump,
    introduce,
    make_device,
    start,
)
from tests.support.kept import keep_sent

REQUESTS = Backlog(BacklogName.REQUESTS, BUDI)
ASKED = KeysAsked({BUDI.user_id})

HALO = draft_of(Text("halo"))


def asked_for() -> tuple[Device, Waiting]:
    """Ana, whom Budi has asked for a message, and what waits because of that."""
    ana = make_device(ANA)
    introduce(ana, make_device(BUDI))
    with peer_transaction(ana._context, BUDI.user_id) as tx:
        keep_sent(tx, Policy(), BUDI, MESSAGE_ID, Text("halo"), NOW_MS)
        put_resend(tx, BUDI, MESSAGE_ID)
        (waiting,) = list_backlog(tx, REQUESTS)
    return ana, waiting


def test_what_another_thread_has_encrypted_is_not_encrypted_again() -> None:
    ana, waiting = asked_for()
    first = encrypt_waiting(ana._context, waiting, None)
    before = dump(ana._context.store)
    second = encrypt_waiting(ana._context, waiting, None)
    assert first is not None
    assert second is not None
    assert second.encode() == first.encode()
    assert dump(ana._context.store) == before


def test_a_key_that_came_up_after_a_request_is_decided_about_first() -> None:
    ana, waiting = asked_for()
    new = make_device(BUDI, seed="reinstalled")
    start(new, ana)
    ana.decrypt(new.encrypt(ANA, Text("new phone")))
    before = dump(ana._context.store)
    with pytest.raises(UntrustedIdentity) as caught:
        encrypt_waiting(ana._context, waiting, None)
    assert (caught.value.address, caught.value.identity_key) == (BUDI, new.identity_key)
    assert dump(ana._context.store) == before  # it is not given up


@pytest.mark.parametrize("count", [999, 1_000, 1_001])
def test_a_notice_names_a_thousand_messages_at_most(count: int) -> None:
    context = make_device(ANA)._context
    backlog = Backlog(BacklogName.MESSAGES, BUDI)
    with context.store.transaction() as tx:
        for number in range(count):
            message_id = number.to_bytes(16)
            put_envelope(tx, Envelope(message_id, ANA, BUDI, MessageKind.SIGNAL, b"data"))
    hold_for_decision(context, backlog, make_device(BUDI).identity_key)
    with context.store.transaction() as tx:
        ((_, notice),) = walk_inbox(context, tx)
    assert isinstance(notice, Notice)
    assert notice.messages == tuple(n.to_bytes(16) for n in range(min(count, 1_000)))


def test_no_message_goes_into_a_backlog_that_waits_for_the_user() -> None:
    """A bundle has brought another key: it is known only because the backlog waits for it."""
    ana, key = make_device(ANA), make_device(BUDI, seed="another").identity_key
    introduce(ana, make_device(BUDI))
    with ana._context.store.transaction() as tx:
        put_envelope(tx, Envelope(MESSAGE_ID, ANA, BUDI, MessageKind.SIGNAL, b"data"))
    hold_for_decision(ana._context, Backlog(BacklogName.MESSAGES, BUDI), key)
    before = dump(ana._context.store)
    message = Outgoing(BUDI, bytes(16), is_new=True)
    _, (error,) = post_messages(ana._context, Leftovers(), [message], HALO, set(), ASKED)
    assert isinstance(error, UntrustedIdentity)
    assert (error.address, error.identity_key) == (BUDI, key)
    assert dump(ana._context.store) == before


def test_a_backlog_that_is_damaged_itself_hinders_none_that_is_settled_with_it() -> None:
    context = make_device(ANA)._context
    damaged, other = (Backlog(BacklogName.MESSAGES, address) for address in (BUDI, TOKO))
    with context.store.transaction() as tx:
        for backlog in (damaged, other):
            put_envelope(
                tx, Envelope(MESSAGE_ID, ANA, backlog.recipient, MessageKind.SIGNAL, b"data")
            )
        tx.put(Table.OUTBOX, damaged.partition, b"", b"\x01\xff")
    settle(context, [], blocked=[(damaged, "backend_error"), (other, "backend_error")])
    with context.store.transaction() as tx:
        record = read_backlog(tx, other)
    assert record is not None
    assert record.code == "backend_error"


def test_after_a_restore_all_that_waits_is_encrypted_anew() -> None:
    """Whatever stands before it: what is to be encrypted in any case, or a request."""
    ana, _ = asked_for()
    store, envelope = ana._context.store, Envelope(bytes(16), ANA, BUDI, MessageKind.SIGNAL, b"old")
    request = RetryRequest(MESSAGE_ID, None, 0, "decode_error")
    with peer_transaction(ana._context, BUDI.user_id) as tx:
        for number in range(2):
            put_control(tx, BUDI, number.to_bytes(16), request, fresh_session=True)
        for waiting in list_backlog(tx, REQUESTS)[1:]:
            replace_waiting(tx, waiting, envelope)
        assert [item.envelope is None for item in list_backlog(tx, REQUESTS)] == [
            True,
            False,
            False,
        ]
    Device.open(store, restored=True).restore_stripes()
    with store.transaction() as tx:
        assert [item.envelope for item in list_backlog(tx, REQUESTS)] == [None] * 3
