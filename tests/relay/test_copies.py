# SPDX-License-Identifier: Apache-2.0
"""Copies of a message for several devices of two accounts, in one call; and seqs of their lists."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2ecross.address import Address
from e2ecross.errors import BackendError, BackendRefused, MailboxFull, UnknownRecipient
from e2ecross.relay import Relay, RelayLimits
from e2ecross.wire.exchange import Deposited
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    device_list,
    envelope,
    envelope_of_size,
    register,
    token,
    token_sha256,
)

LAPTOP = Address(ANA.app, ANA.user, 2)
WATCH = Address(ANA.app, ANA.user, 3)
TABLET = Address(BUDI.app, BUDI.user, 2)
NOBODY = Address("x", "nobody")


@pytest.fixture
def home(path: Path) -> Iterator[Relay]:
    """A relay where ana and budi have several devices, toko one without a list; few may wait."""
    limits = RelayLimits(mailbox_messages=4, envelope_bytes=500)
    with Relay(path, limits=limits) as relay:
        register(relay, ANA, BUDI, TOKO)
        for primary, seq, companions in ((ANA, 7, (LAPTOP, WATCH)), (BUDI, 1_007, (TABLET,))):
            data = device_list(primary, seq, (1, *(each.device for each in companions))).encode()
            tokens = {each.device: token_sha256(token(each)) for each in companions}
            relay.publish_devices(token(primary), data, tokens)
        yield relay


def copies(number: int, *recipients: Address) -> list[bytes]:
    """Copies of one message of ana."""
    return [envelope(ANA, recipient, number).encode() for recipient in recipients]


def send(relay: Relay, *call: bytes) -> Deposited:
    return relay.deposit_all(token(ANA), call)


def refused(answer: Deposited) -> dict[int, type[BackendError]]:
    return {place: type(error) for place, error in answer.refused.items()}


def waiting(relay: Relay, *devices: Address) -> list[list[bytes]]:
    return [[each.encode() for each in relay.waiting(device)] for device in devices]


def fill(relay: Relay, *recipients: Address) -> None:
    for recipient in recipients:
        call = [envelope(TOKO, recipient, number).encode() for number in range(4)]
        assert relay.deposit_all(token(TOKO), call).refused == {}


# --- Seqs -----------------------------------------------------------------------------------


def test_a_sender_hears_of_the_lists_of_everybody_in_the_call(home: Relay) -> None:
    answer = send(home, *copies(1, BUDI, TABLET, LAPTOP), *copies(2, TOKO), *copies(3, NOBODY))
    assert answer.seqs == {
        ANA.user_id: 7,
        BUDI.user_id: 1_007,
        TOKO.user_id: 0,
        NOBODY.user_id: 0,
    }
    assert send(home, *copies(1, TOKO)).seqs == {ANA.user_id: 7, TOKO.user_id: 0}


def test_also_whose_envelopes_are_refused(home: Relay) -> None:
    fill(home, BUDI)
    assert refused(answer := send(home, *copies(1, BUDI))) == {0: MailboxFull}
    assert answer.seqs == {ANA.user_id: 7, BUDI.user_id: 1_007}


def test_nothing_is_told_of_recipients_of_others(home: Relay) -> None:
    other = envelope(TOKO, BUDI).encode()
    assert send(home, *copies(1, ANA), other).seqs == {ANA.user_id: 7}
    assert (answer := send(home, b"garbage")) == Deposited(answer.refused)


def test_a_list_that_is_damaged_in_the_file_is_left_out(home: Relay, path: Path) -> None:
    operator = sqlite3.connect(path)
    with operator:
        operator.execute("UPDATE device_lists SET seq = 'x' WHERE user = 'instagram:budi'")
    operator.close()
    answer = send(home, *copies(1, BUDI, LAPTOP))
    assert (refused(answer), answer.seqs) == ({}, {ANA.user_id: 7})


# --- Own copies -----------------------------------------------------------------------------


def test_all_copies_are_in(home: Relay) -> None:
    call = copies(1, BUDI, LAPTOP, TABLET, WATCH)
    for _ in range(2):
        assert send(home, *call).refused == {}
    assert waiting(home, BUDI, TABLET, LAPTOP, WATCH) == [
        [call[0]],
        [call[2]],
        [call[1]],
        [call[3]],
    ]


@pytest.mark.parametrize("own_first", [True, False])
def test_a_message_that_nobody_gets_has_no_own_copies(home: Relay, own_first: bool) -> None:
    call = copies(1, LAPTOP, WATCH)
    others = [
        *copies(1, NOBODY),
        *copies(1, Address(BUDI.app, BUDI.user, 9)),
        envelope_of_size(ANA, BUDI, 501).replace(envelope(ANA, BUDI, 0).message_id, call_id(1)),
    ]
    call = [*call, *others] if own_first else [*others, *call]
    own = (0, 1) if own_first else (3, 4)
    answer = send(home, *call)
    assert sorted(answer.refused) == [0, 1, 2, 3, 4]
    for place in own:
        error = answer.refused[place]
        assert type(error) is BackendRefused
        assert "no copy of this message for the account that it is for was taken (unknown" in str(
            error
        )
        assert (error.__traceback__, error.__context__, error.__cause__) == (None,) * 3
    assert waiting(home, LAPTOP, WATCH) == [[], []]


def call_id(number: int) -> bytes:
    return envelope(ANA, BUDI, number).message_id


def test_a_full_mailbox_is_nobody_too(home: Relay) -> None:
    fill(home, BUDI, TABLET)
    answer = send(home, *copies(1, BUDI, TABLET, LAPTOP))
    assert refused(answer) == {0: MailboxFull, 1: MailboxFull, 2: BackendRefused}
    assert "(mailbox_full)" in str(answer.refused[2])
    assert waiting(home, LAPTOP) == [[]]


def test_one_copy_that_is_taken_is_enough(home: Relay) -> None:
    fill(home, BUDI)
    answer = send(home, *copies(1, LAPTOP, BUDI, TABLET, WATCH))
    assert refused(answer) == {1: MailboxFull}
    assert list(map(len, waiting(home, LAPTOP, WATCH, TABLET))) == [1, 1, 1]


def test_one_that_was_taken_before_is_enough(home: Relay) -> None:
    """The call is repeated, and has room for nothing new."""
    send(home, *copies(1, BUDI))
    (item,) = home.fetch(BUDI, token(BUDI), 1)
    home.acknowledge(BUDI, token(BUDI), [item.number])
    fill(home, BUDI)
    assert send(home, *copies(1, BUDI, LAPTOP)).refused == {}
    assert len(home.waiting(LAPTOP)) == 1


def test_messages_are_told_apart_by_their_ids(home: Relay) -> None:
    fill(home, TOKO)
    call = [
        *copies(1, TOKO, LAPTOP),
        *copies(2, BUDI, LAPTOP),
        *copies(3, NOBODY, LAPTOP),
        *copies(4, LAPTOP),
    ]
    assert refused(send(home, *call)) == {
        0: MailboxFull,
        1: BackendRefused,
        4: UnknownRecipient,
        5: BackendRefused,
    }
    assert waiting(home, LAPTOP) == [[call[3], call[6]]]


def test_a_note_to_self_and_a_repetition_have_own_copies_alone(home: Relay) -> None:
    call = copies(1, LAPTOP, WATCH, Address(ANA.app, ANA.user, 9))
    assert refused(send(home, *call)) == {2: UnknownRecipient}
    assert waiting(home, LAPTOP, WATCH) == [call[:1], call[1:2]]


def test_envelopes_of_others_and_garbage_are_no_copies(home: Relay) -> None:
    """They are refused, and say nothing of a message with the same id."""
    other = envelope(TOKO, BUDI, 1).encode()
    answer = send(home, other, *copies(1, LAPTOP), b"garbage")
    assert refused(answer) == {0: BackendRefused, 2: BackendRefused}
    assert len(home.waiting(LAPTOP)) == 1


def test_what_may_pass_passes_for_own_copies_too(home: Relay, path: Path) -> None:
    """The file is damaged: neither is refused for good, and both go with the next call."""
    operator = sqlite3.connect(path)
    with operator:
        operator.execute("UPDATE mailboxes SET waiting = 'x' WHERE recipient = ?", (str(BUDI),))
    call = copies(1, BUDI, Address(BUDI.app, BUDI.user, 9), LAPTOP)
    assert refused(send(home, *call)) == {
        0: BackendError,
        1: UnknownRecipient,
        2: BackendError,
    }
    with operator:
        operator.execute("UPDATE mailboxes SET waiting = 0 WHERE recipient = ?", (str(BUDI),))
    operator.close()
    assert refused(send(home, *call)) == {1: UnknownRecipient}
    assert len(home.waiting(LAPTOP)) == 1


# --- Order ----------------------------------------------------------------------------------


def test_what_comes_after_a_full_mailbox_is_refused_likewise(home: Relay) -> None:
    """Even what is there already: the sender, which tries again, keeps the order of both."""
    send(home, *copies(9, BUDI))
    home.deposit_all(token(TOKO), [envelope(TOKO, BUDI, number).encode() for number in range(3)])
    call = [*copies(1, BUDI, TABLET), *copies(9, BUDI), *copies(2, BUDI, TABLET)]
    answer = send(home, *call)
    assert refused(answer) == {0: MailboxFull, 2: MailboxFull, 3: MailboxFull}
    assert str(answer.refused[2]) == str(answer.refused[0])
    assert waiting(home, TABLET) == [[call[1], call[4]]]  # of each device on its own
    assert send(home, *copies(9, BUDI)).refused == {}


def test_other_refusals_hold_up_nothing(home: Relay) -> None:
    large = envelope_of_size(ANA, BUDI, 501)
    assert refused(send(home, large, *copies(1, BUDI), b"", *copies(2, BUDI))) == {
        0: BackendRefused,
        2: BackendRefused,
    }
    assert len(home.waiting(BUDI)) == 2


def test_each_device_gets_its_copies_in_their_order(home: Relay) -> None:
    call = [
        *copies(3, LAPTOP, BUDI),
        *copies(1, BUDI, LAPTOP),
        *copies(2, LAPTOP),
        *copies(4, LAPTOP, BUDI),
    ]
    assert send(home, *call).refused == {}
    assert waiting(home, LAPTOP, BUDI) == [
        [call[0], call[3], call[4], call[5]],
        [call[1], call[2], call[6]],
    ]
