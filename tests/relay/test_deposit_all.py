# SPDX-License-Identifier: Apache-2.0
"""Several envelopes in one call: each is taken or refused on its own."""

import sqlite3
from collections.abc import Mapping
from pathlib import Path

import pytest

from e2ecross.address import Address
from e2ecross.errors import (
    BackendError,
    BackendRefused,
    InvalidArgument,
    MailboxFull,
    NotRegistered,
    UnknownRecipient,
)
from e2ecross.relay import Relay, RelayLimits
from e2ecross.relay.depositing import DepositCall, read_call
from e2ecross.relay.rows import MAX_NUMBER
from e2ecross.wire.exchange import Deposited, Waiting
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    copies,
    digest,
    envelope,
    envelope_of_size,
    epoch_of,
    register,
    sqlite_of,
    token,
)

MOST = 1_024
MOST_BYTES = 4 * 1024 * 1024
NOBODY = Address("x", "nobody")
GARBAGE = b"no envelope"


def data(number: int, recipient: Address = BUDI, sender: Address = ANA) -> bytes:
    return envelope(sender, recipient, number).encode()


def deposit(relay: Relay, *envelopes: bytes, epoch: int = 0) -> Deposited:
    return relay.deposit_all(token(ANA), envelopes, epochs={0: epoch})


def refused(answer: Deposited) -> dict[int, type[BackendError]]:
    return {place: type(error) for place, error in answer.refused.items()}


def waiting(relay: Relay, address: Address) -> list[bytes]:
    return [item.encode() for item in relay.waiting(address)]


def test_all_are_taken_in_their_order(relay: Relay) -> None:
    register(relay, TOKO)
    answer = deposit(relay, data(3), data(1, TOKO), data(2), data(0, ANA), data(1), epoch=5)
    assert answer == Deposited({}, {user.user_id: 0 for user in (ANA, BUDI, TOKO)}, {0: 0})
    assert waiting(relay, BUDI) == [data(3), data(2), data(1)]
    assert waiting(relay, TOKO) == [data(1, TOKO)]
    assert waiting(relay, ANA) == [data(0, ANA)]


def test_what_waits_is_fetched_with_its_number(relay: Relay) -> None:
    deposit(relay, data(1), data(2))
    items = relay.fetch(BUDI, token(BUDI), 10)
    assert [type(item) for item in items] == [Waiting, Waiting]
    assert [item.envelope for item in items] == [data(1), data(2)]
    assert items[0].number < items[1].number
    assert data(1).hex() not in repr(items)
    assert relay.fetch(BUDI, token(BUDI), 10, wait_ms=10, hold_ms=10, holder=bytes(16)) == items


def test_each_is_refused_on_its_own(path: Path) -> None:
    with Relay(path, limits=RelayLimits(mailbox_messages=3, envelope_bytes=500)) as relay:
        register(relay, ANA, BUDI, TOKO)
        answer = deposit(
            relay,
            data(1),
            GARBAGE,
            data(2, NOBODY),
            data(2),
            data(9, BUDI, TOKO),
            envelope_of_size(ANA, BUDI, 501),
            data(3),
            data(4),
            data(5, TOKO),
            b"",
        )
        assert refused(answer) == {
            1: BackendRefused,
            2: UnknownRecipient,
            4: BackendRefused,
            5: BackendRefused,
            7: MailboxFull,
            9: BackendRefused,
        }
        assert "of messenger:toko-kopi.1, and the token that of whatsapp:ana.1" in str(
            answer.refused[4]
        )
        assert waiting(relay, BUDI) == [data(1), data(2), data(3)]
        assert waiting(relay, TOKO) == [data(5, TOKO)]


def test_a_repetition_changes_nothing(relay: Relay) -> None:
    for _ in range(2):
        assert deposit(relay, data(1), data(2, NOBODY), data(1), data(3)).refused.keys() == {1}
    assert waiting(relay, BUDI) == [data(1), data(3)]
    numbers = [item.number for item in relay.fetch(BUDI, token(BUDI), 10)]
    relay.acknowledge(BUDI, token(BUDI), numbers)
    seqs = {user.user_id: 0 for user in (ANA, BUDI)}
    assert deposit(relay, data(1), data(4), data(3)) == Deposited({}, seqs)
    assert waiting(relay, BUDI) == [data(4)]


def test_what_found_no_room_may_be_repeated(path: Path) -> None:
    with Relay(path, limits=RelayLimits(mailbox_messages=2)) as relay:
        register(relay, ANA, BUDI)
        call = [data(number) for number in range(4)]
        assert refused(deposit(relay, *call)) == {2: MailboxFull, 3: MailboxFull}
        numbers = [item.number for item in relay.fetch(BUDI, token(BUDI), 10)]
        relay.acknowledge(BUDI, token(BUDI), numbers[:1])
        assert refused(deposit(relay, *call)) == {3: MailboxFull}
        assert waiting(relay, BUDI) == call[1:3]


def test_one_more_than_there_is_room_for(path: Path) -> None:
    limits = RelayLimits(mailbox_messages=10, mailbox_reserve_per_sender=1)
    with Relay(path, limits=limits) as relay:
        register(relay, ANA, BUDI, TOKO)
        call = [data(number) for number in range(11)]
        assert refused(deposit(relay, *call)) == {10: MailboxFull}
        more = [data(number, BUDI, TOKO) for number in range(2)]
        assert refused(relay.deposit_all(token(TOKO), more)) == {1: MailboxFull}


def test_nobody_deposits_for_somebody_else(relay: Relay) -> None:
    """Without an envelope of the token's holder nothing is done."""
    register(relay, TOKO)
    for other in (data(1, BUDI, TOKO), data(1, BUDI, NOBODY), data(1, TOKO, BUDI)):
        for call in ([other], [GARBAGE, other], [other, data(2, BUDI, NOBODY)]):
            with pytest.raises(NotRegistered):
                deposit(relay, *call, epoch=9)
    assert waiting(relay, BUDI) == waiting(relay, TOKO) == []
    assert [epoch_of(relay, who, token(who)) for who in (ANA, BUDI, TOKO)] == [0, 0, 0]


def test_an_envelope_of_another_decides_over_no_other(relay: Relay) -> None:
    """Wherever it stands, also in front."""
    register(relay, TOKO)
    strangers = [data(1, BUDI, TOKO), data(1, BUDI, NOBODY)]
    answer = deposit(relay, *strangers, data(2), *strangers, data(3), epoch=4)
    assert refused(answer) == dict.fromkeys((0, 1, 3, 4), BackendRefused)
    assert list(answer.refused) == [0, 1, 3, 4]
    assert waiting(relay, BUDI) == [data(2), data(3)]
    assert answer.epochs == {0: 0}
    assert epoch_of(relay, ANA, token(ANA)) == 4
    assert epoch_of(relay, TOKO, token(TOKO)) == 0


def test_one_device_of_an_account_does_not_deposit_for_another(relay: Relay) -> None:
    second = Address(ANA.app, ANA.user, 2)
    answer = deposit(relay, data(1, BUDI, second), data(2))
    assert refused(answer) == {0: BackendRefused}
    assert waiting(relay, BUDI) == [data(2)]


def test_each_stripe_has_an_epoch_of_its_own(relay: Relay) -> None:
    """Of each that was told the answer has what it had told before, and of no other."""

    def tell(epochs: dict[int, int]) -> Mapping[int, int]:
        return relay.deposit_all(token(ANA), [data(1)], epochs=epochs).epochs

    assert tell({0: 3, 65_536: 2}) == {0: 0, 65_536: 0}
    assert tell({65_536: 1, 7: 5, 8: 0}) == {65_536: 2, 7: 0}
    assert tell({65_536: 9, 0: 4}) == {65_536: 2, 0: 3}
    assert tell({}) == {}
    assert relay.epochs(ANA, token(ANA)) == {0: 4, 7: 5, 65_536: 9}
    assert relay.epochs(BUDI, token(BUDI)) == {0: 0}


def test_a_send_to_many_tells_a_thousand_stripes(relay: Relay) -> None:
    told = {stripe: stripe for stripe in range(1, 1_025)}
    assert set(relay.deposit_all(token(ANA), [data(1)], epochs=told).epochs.values()) == {0}
    assert relay.epochs(ANA, token(ANA)) == {0: 0, **told}
    with pytest.raises(BackendRefused, match="at most 1,024 stripes"):
        relay.deposit_all(token(ANA), [data(2)], epochs={**told, 1_025: 1})
    assert waiting(relay, BUDI) == [data(1)]


def test_a_device_tells_of_so_many_stripes_and_of_one_more_nothing_is_kept(path: Path) -> None:
    with Relay(path, limits=RelayLimits(stripes=3)) as relay:
        register(relay, ANA, BUDI)
        relay.deposit_all(token(ANA), [data(1)], epochs={5: 1, 6: 1, 7: 1})
        relay.deposit_all(token(ANA), [data(1)], epochs={5: 2, 7: 2})
        for more in ({8: 1}, {0: 1}, {5: 3, 9: 1}):
            with pytest.raises(BackendRefused, match="4 stripes, this back end keeps 3"):
                relay.deposit_all(token(ANA), [data(2)], epochs=more)
            with pytest.raises(BackendRefused):
                relay.deposit_copies(token(ANA), copies(ANA, 4, BUDI).encode(), epochs=more)
        assert waiting(relay, BUDI) == [data(1)]
        assert relay.epochs(ANA, token(ANA)) == {0: 0, 5: 2, 6: 1, 7: 2}
        deposit(relay, data(3), epoch=0)
        assert waiting(relay, BUDI) == [data(1), data(3)]


def test_what_is_too_large_says_too_whose_call_it_is(path: Path) -> None:
    with Relay(path, limits=RelayLimits(envelope_bytes=500)) as relay:
        register(relay, ANA, BUDI)
        with pytest.raises(NotRegistered):
            relay.deposit_all(token(BUDI), [envelope_of_size(ANA, BUDI, 501)])
        answer = deposit(relay, envelope_of_size(ANA, BUDI, 501), epoch=3)
        assert refused(answer) == {0: BackendRefused}
        assert epoch_of(relay, ANA, token(ANA)) == 3


def test_nonsense_alone_is_refused_in_its_place(relay: Relay) -> None:
    """It is of nobody, so nobody's epoch is told, and no token can be wrong."""
    for key in (token(ANA), token(ANA, 1)):
        answer = relay.deposit_all(key, [GARBAGE, b""], epochs={0: 9})
        assert refused(answer) == {0: BackendRefused, 1: BackendRefused}
        assert answer.epochs == {}
    assert epoch_of(relay, ANA, token(ANA)) == 0


def test_the_epoch_counts_whatever_is_refused(relay: Relay) -> None:
    assert deposit(relay, data(1, NOBODY), GARBAGE, epoch=7).epochs == {0: 0}
    assert epoch_of(relay, ANA, token(ANA)) == 7
    assert deposit(relay, data(1, NOBODY), epoch=6).epochs == {0: 7}  # the highest is told
    assert relay.deposit_all(token(ANA), [data(1)]).epochs == {}
    assert deposit(relay, data(1), epoch=MAX_NUMBER).epochs == {0: 7}
    assert epoch_of(relay, ANA, token(ANA)) == MAX_NUMBER
    assert epoch_of(relay, BUDI, token(BUDI)) == 0


def test_the_bounds_of_a_call(relay: Relay) -> None:
    call = [data(number) for number in range(MOST + 1)]
    for too_many in (call, []):
        with pytest.raises(BackendRefused, match=f"^{len(too_many)} envelopes .* 1 to 1024$"):
            deposit(relay, *too_many)
    assert waiting(relay, BUDI) == []
    assert deposit(relay, *call[:MOST]).refused == {}
    assert len(relay.waiting(BUDI)) == MOST


def test_the_bound_of_all_bytes_together(relay: Relay) -> None:
    sizes = [100_000] * 41 + [MOST_BYTES - 41 * 100_000]
    call = [
        envelope_of_size(ANA, BUDI, size).replace(digest("message 0")[:16], digest(f"{place}")[:16])
        for place, size in enumerate(sizes)
    ]
    assert sum(map(len, call)) == MOST_BYTES
    with pytest.raises(BackendRefused, match=r"4194305 bytes together, .* up to 4194304 "):
        deposit(relay, *call, b"\0")
    assert waiting(relay, BUDI) == []
    assert deposit(relay, *call).refused == {}
    assert len(relay.waiting(BUDI)) == 42


def test_one_call_is_one_transaction(relay: Relay) -> None:
    register(relay, TOKO)
    statements: list[str] = []
    sqlite_of(relay).read(lambda connection: connection.set_trace_callback(statements.append))
    statements.clear()
    deposit(relay, data(1), GARBAGE, data(2, NOBODY), data(3, TOKO))
    ends = [text for text in statements if text.startswith(("BEGIN", "COMMIT", "ROLLBACK"))]
    assert ends == ["BEGIN IMMEDIATE", "COMMIT"]


def test_a_damaged_row_of_one_recipient_decides_over_no_other(relay: Relay, path: Path) -> None:
    """It is refused for now: the operator may mend the file."""
    register(relay, TOKO)
    operator = sqlite3.connect(path)
    with operator:
        operator.execute("UPDATE mailboxes SET waiting = 'x' WHERE recipient = ?", (str(TOKO),))
    operator.close()
    answer = deposit(relay, data(1, TOKO), data(2), data(3, TOKO), data(4), epoch=3)
    assert refused(answer) == {0: BackendError, 2: BackendError}
    assert waiting(relay, BUDI) == [data(2), data(4)]
    assert (waiting(relay, TOKO), epoch_of(relay, ANA, token(ANA))) == ([], 3)


@pytest.mark.parametrize("epoch", [-1, 2**63, True, 1.0, "1", None])
def test_an_epoch_that_is_none_changes_nothing(relay: Relay, epoch: int) -> None:
    with pytest.raises(InvalidArgument, match="epochs must be a whole number"):
        deposit(relay, data(1), epoch=epoch)
    assert waiting(relay, BUDI) == []


def test_what_is_refused_shows_no_token(path: Path) -> None:
    """Neither in its frames nor in what it came from, when it is raised later."""
    with Relay(path, limits=RelayLimits(mailbox_messages=1)) as relay:
        register(relay, ANA, BUDI)
        answer = deposit(relay, data(1), data(2), data(3, NOBODY), GARBAGE, data(4, BUDI, TOKO))
        assert len(answer.refused) == 4
        for error in answer.refused.values():
            assert (error.__traceback__, error.__context__, error.__cause__) == (None,) * 3


def test_a_batch_does_not_show_what_is_in_it() -> None:
    call = DepositCall(token(ANA), [data(1), GARBAGE])
    assert "<e2ecross.relay.depositing.DepositCall object" in repr(call)
    assert repr(read_call(call)) == "<Batch of 2>"
