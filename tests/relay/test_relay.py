# SPDX-License-Identifier: Apache-2.0
"""Who may do what: tokens, claims and resets."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from e2ecross.address import Address
from e2ecross.client.backend import Backend
from e2ecross.errors import (
    BackendRefused,
    InvalidArgument,
    MailboxFull,
    NotRegistered,
    UnknownRecipient,
)
from e2ecross.relay import Relay, RelayLimits
from e2ecross.relay.rows import MAX_NUMBER
from tests.relay.support import (
    ANA,
    BUDI,
    TOKO,
    FakeClock,
    deposit,
    envelope,
    epoch_of,
    fetch_bundle,
    file_bytes,
    published,
    register,
    take,
    token,
)

WRONG = token(ANA, 99)
SECOND = Address(ANA.app, ANA.user, 2)


def test_a_relay_is_a_backend(relay: Relay) -> None:
    backend: Backend = relay  # mypy holds the signatures together
    assert backend is relay


def test_the_same_token_again_is_a_no_op(relay: Relay) -> None:
    relay.publish(token(ANA), published(ANA, range(1, 3)))
    deposit(relay, token(BUDI), envelope(BUDI, ANA).encode())
    relay.register(ANA, token(ANA))
    assert relay.one_time_prekey_count(ANA, token(ANA)) == 2
    assert relay.waiting(ANA) == [envelope(BUDI, ANA)]


def test_another_token_for_a_taken_address_is_refused(relay: Relay) -> None:
    with pytest.raises(BackendRefused, match=r"whatsapp:ana\.1 may not be claimed"):
        relay.register(ANA, WRONG)
    assert relay.fetch(ANA, token(ANA), 1) == []
    with pytest.raises(NotRegistered):
        relay.fetch(ANA, WRONG, 1)


def test_devices_of_one_user_are_registered_apart(relay: Relay) -> None:
    with pytest.raises(NotRegistered):
        relay.fetch(SECOND, token(ANA), 1)
    relay.register(SECOND, token(SECOND))
    assert relay.fetch(SECOND, token(SECOND), 1) == []


CALLS: list[Callable[[Relay, Address, bytes], object]] = [
    lambda relay, who, key: relay.publish(key, published(who, range(1, 3), "another")),
    lambda relay, who, key: relay.publish(key, published(who), epoch=9, replace=True),
    lambda relay, who, key: epoch_of(relay, who, key),
    lambda relay, who, key: relay.one_time_prekey_count(who, key),
    lambda relay, who, key: fetch_bundle(relay, who, key, BUDI),
    lambda relay, who, key: deposit(relay, key, envelope(who, BUDI).encode()),
    lambda relay, who, key: deposit(relay, key, envelope(who, BUDI, 2).encode(), epoch=9),
    lambda relay, who, key: relay.fetch(who, key, 1),
    lambda relay, who, key: relay.acknowledge(who, key, [1]),
    lambda relay, who, key: relay.acknowledge(who, key, []),
]


@pytest.mark.parametrize("call", CALLS)
def test_every_call_needs_the_token_of_the_address(
    relay: Relay, path: Path, call: Callable[[Relay, Address, bytes], object]
) -> None:
    relay.publish(token(BUDI), published(BUDI, range(1, 3)))
    relay.publish(token(ANA), published(ANA, range(1, 3)))
    deposit(relay, token(BUDI), envelope(BUDI, ANA).encode())
    before = dump(path)
    texts = []
    # A wrong token, another device's token, and an address that nobody has.
    for who, key in ((ANA, WRONG), (ANA, token(BUDI)), (TOKO, WRONG)):
        with pytest.raises(NotRegistered) as caught:
            call(relay, who, key)
        texts.append(str(caught.value).replace(str(who), "…"))
    assert len(set(texts)) == 1
    assert dump(path) == before
    call(relay, ANA, token(ANA))


def test_an_unpublished_or_unknown_recipient_has_no_bundle(relay: Relay) -> None:
    for address in (BUDI, TOKO):
        with pytest.raises(UnknownRecipient, match=str(address.user_id)):
            fetch_bundle(relay, ANA, token(ANA), address)


def test_the_app_decides_who_may_claim_an_address(path: Path) -> None:
    asked: list[tuple[Address, bool]] = []

    def authorise(address: Address, taken: bool, credential: bytes) -> bool:
        asked.append((address, taken))
        return address.app == "whatsapp"

    with Relay(path, authorise=authorise) as relay:
        register(relay, ANA)
        with pytest.raises(BackendRefused):
            register(relay, BUDI)
        register(relay, ANA)  # the token is already that of the address: not asked
        assert asked == [(ANA, False), (BUDI, False)]
        with pytest.raises(NotRegistered):
            relay.fetch(BUDI, token(BUDI), 1)


def test_only_true_lets_a_claim_go_ahead(path: Path) -> None:
    async def authorise(address: Address, taken: bool, credential: bytes) -> bool:
        raise AssertionError

    answers: list[object] = [1, "yes", None, False]
    with Relay(path, authorise=lambda *_: answers.pop()) as relay:  # type: ignore[arg-type]
        while answers:
            with pytest.raises(BackendRefused):
                register(relay, ANA)


def test_a_reset_drops_keys_and_mailbox_of_the_former_holder(path: Path, clock: FakeClock) -> None:
    with Relay(path, authorise=lambda address, taken, credential: True, clock=clock) as relay:
        register(relay, ANA, BUDI)
        relay.publish(token(ANA), published(ANA, range(1, 4)))
        relay.publish(token(BUDI), published(BUDI, range(1, 4)))
        assert take(relay, BUDI, ANA) == 1
        for number in range(3):
            deposit(relay, token(BUDI), envelope(BUDI, ANA, number).encode())
        deposit(relay, token(ANA), envelope(ANA, BUDI).encode())

        relay.register(ANA, token(ANA, 1))

        with pytest.raises(NotRegistered):
            relay.fetch(ANA, token(ANA), 1)
        assert relay.fetch(ANA, token(ANA, 1), 10) == []
        assert relay.one_time_prekey_count(ANA, token(ANA, 1)) == 0
        with pytest.raises(UnknownRecipient):
            fetch_bundle(relay, BUDI, token(BUDI), ANA)
        # Others are untouched: their keys, and what the old holder had sent them.
        assert relay.one_time_prekey_count(BUDI, token(BUDI)) == 3
        assert relay.waiting(BUDI) == [envelope(ANA, BUDI)]
        # The new holder starts afresh, with ids of their own.
        relay.publish(token(ANA, 1), published(ANA, range(1, 4), "second"))
        assert take(relay, BUDI, ANA) == 1
        # What was dropped does not come back when its sender repeats it.
        deposit(relay, token(BUDI), envelope(BUDI, ANA, 0).encode())
        assert relay.waiting(ANA) == []
        deposit(relay, token(BUDI), envelope(BUDI, ANA, 3).encode())
        assert relay.waiting(ANA) == [envelope(BUDI, ANA, 3)]


def test_a_reset_begins_with_epoch_0_again(path: Path) -> None:
    with Relay(path, authorise=lambda address, taken, credential: True) as relay:
        register(relay, ANA, BUDI)
        relay.publish(token(ANA), published(ANA, range(1, 3), signed_id=9), epoch=50, replace=True)
        relay.register(ANA, token(ANA))  # the same token: no reset
        assert epoch_of(relay, ANA, token(ANA)) == 50
        relay.register(ANA, token(ANA, 1))
        with pytest.raises(NotRegistered):
            epoch_of(relay, ANA, token(ANA))
        assert epoch_of(relay, ANA, token(ANA, 1)) == 0
        # Neither the order nor the withdrawal of the former holder counts, also under its identity.
        relay.publish(token(ANA, 1), published(ANA, range(1, 3), signed_id=1), epoch=2)
        assert fetch_bundle(relay, BUDI, token(BUDI), ANA).signed_prekey_id == 1
        assert take(relay, BUDI, ANA) == 2


def test_the_highest_epoch_is_kept(relay: Relay) -> None:
    assert epoch_of(relay, ANA, token(ANA)) == 0
    deposit(relay, token(ANA), envelope(ANA, BUDI, 1).encode(), epoch=3)
    deposit(relay, token(ANA), envelope(ANA, BUDI, 2).encode(), epoch=2)
    deposit(relay, token(ANA), envelope(ANA, BUDI, 3).encode())
    assert epoch_of(relay, ANA, token(ANA)) == 3
    relay.publish(token(ANA), published(ANA), epoch=4)
    relay.publish(token(ANA), published(ANA), epoch=1)
    relay.publish(token(ANA), published(ANA))
    assert epoch_of(relay, ANA, token(ANA)) == 4
    deposit(relay, token(ANA), envelope(ANA, BUDI, 4).encode(), epoch=MAX_NUMBER)
    assert epoch_of(relay, ANA, token(ANA)) == MAX_NUMBER
    assert epoch_of(relay, BUDI, token(BUDI)) == 0  # of each device apart
    relay.register(SECOND, token(SECOND))
    assert epoch_of(relay, SECOND, token(SECOND)) == 0


def test_a_repeated_deposit_tells_its_epoch(relay: Relay) -> None:
    data = envelope(ANA, BUDI).encode()
    deposit(relay, token(ANA), data)
    deposit(relay, token(ANA), data, epoch=7)
    assert epoch_of(relay, ANA, token(ANA)) == 7
    assert len(relay.waiting(BUDI)) == 1


def test_a_deposit_that_finds_no_place_tells_its_epoch(path: Path) -> None:
    limits = RelayLimits(mailbox_messages=1)
    with Relay(path, limits=limits) as relay:
        register(relay, ANA, BUDI)
        with pytest.raises(UnknownRecipient):
            deposit(relay, token(ANA), envelope(ANA, TOKO).encode(), epoch=1)
        assert epoch_of(relay, ANA, token(ANA)) == 1
        deposit(relay, token(ANA), envelope(ANA, BUDI, 1).encode(), epoch=2)
        with pytest.raises(MailboxFull):
            deposit(relay, token(ANA), envelope(ANA, BUDI, 2).encode(), epoch=3)
        assert epoch_of(relay, ANA, token(ANA)) == 3
    with Relay(path, limits=limits) as relay:
        assert epoch_of(relay, ANA, token(ANA)) == 3


def test_a_deposit_that_the_reserve_is_not_for_tells_its_epoch(path: Path) -> None:
    with Relay(path, limits=RelayLimits(mailbox_messages=10)) as relay:
        register(relay, ANA, BUDI, TOKO)
        for number in range(10):
            deposit(relay, token(ANA), envelope(ANA, BUDI, number).encode(), epoch=number)
        with pytest.raises(MailboxFull, match="not for whatsapp:ana"):
            deposit(relay, token(ANA), envelope(ANA, BUDI, 10).encode(), epoch=10)
        assert epoch_of(relay, ANA, token(ANA)) == 10
        deposit(relay, token(TOKO), envelope(TOKO, BUDI, 0).encode(), epoch=7)
        assert epoch_of(relay, TOKO, token(TOKO)) == 7
        with pytest.raises(MailboxFull):
            deposit(relay, token(TOKO), envelope(TOKO, BUDI, 1).encode(), epoch=8)
        assert epoch_of(relay, TOKO, token(TOKO)) == 8


def test_a_refused_deposit_of_a_stranger_tells_nothing(relay: Relay) -> None:
    with pytest.raises(NotRegistered):
        deposit(relay, WRONG, envelope(ANA, TOKO).encode(), epoch=9)
    assert epoch_of(relay, ANA, token(ANA)) == 0


def test_a_refused_publication_changes_nothing_and_tells_nothing(path: Path) -> None:
    limits = RelayLimits(one_time_prekeys=2)
    with Relay(path, limits=limits) as relay:
        register(relay, ANA, BUDI)
        relay.publish(token(ANA), published(ANA, range(1, 3)), epoch=1)
        before = dump(path)
        keys = published(ANA, range(3, 6), signed_id=8)
        for replace in (False, True):
            with pytest.raises(BackendRefused):
                relay.publish(token(ANA), keys, epoch=2, replace=replace)
        assert dump(path) == before
        assert epoch_of(relay, ANA, token(ANA)) == 1


@pytest.mark.parametrize("epoch", [-1, 2**63, True, 1.0, "1", None])
def test_an_epoch_that_is_none_is_refused(relay: Relay, epoch: int) -> None:
    with pytest.raises(InvalidArgument, match="epochs must be a whole number from 0"):
        deposit(relay, token(ANA), envelope(ANA, BUDI).encode(), epoch=epoch)
    with pytest.raises(InvalidArgument, match="epoch must be a whole number from 0"):
        relay.publish(token(ANA), published(ANA), epoch=epoch)
    assert relay.waiting(BUDI) == []


@pytest.mark.parametrize("replace", [1, None, "yes"])
def test_a_replace_that_is_no_bool_is_refused(relay: Relay, replace: bool) -> None:
    with pytest.raises(InvalidArgument, match="replace must be bool"):
        relay.publish(token(ANA), published(ANA), replace=replace)


def test_a_claim_that_is_overtaken_is_asked_again(path: Path) -> None:
    """Another process claims the address while the app thinks about this claim."""
    asked: list[bool] = []

    with Relay(path) as other:

        def authorise(address: Address, taken: bool, credential: bytes) -> bool:
            asked.append(taken)
            if len(asked) == 1:
                other.register(address, token(address, 1))
            return not taken

        with Relay(path, authorise=authorise) as relay, pytest.raises(BackendRefused):
            relay.register(ANA, token(ANA))
        assert asked == [False, True]
        assert other.fetch(ANA, token(ANA, 1), 1) == []


def test_an_error_of_the_app_comes_out_and_holds_nothing(path: Path) -> None:
    def authorise(address: Address, taken: bool, credential: bytes) -> bool:
        if address == ANA:
            raise LookupError("the account service is down")
        return True

    with Relay(path, authorise=authorise) as relay:
        with pytest.raises(LookupError):
            register(relay, ANA)
        register(relay, BUDI)


def test_the_file_holds_no_token_and_no_list_of_who_wrote_to_whom(relay: Relay, path: Path) -> None:
    relay.publish(token(ANA), published(ANA, range(1, 4)))
    deposit(relay, token(BUDI), envelope(BUDI, ANA).encode())
    ((number, _),) = relay.fetch(ANA, token(ANA), 1)
    for secret in (token(ANA), token(BUDI)):
        assert secret not in file_bytes(path)
        assert secret.hex().encode() not in file_bytes(path)
        assert secret.hex() not in repr(relay) + str(vars(relay))
    relay.acknowledge(ANA, token(ANA), [number])
    relay.close()
    # secure_delete: after delivery neither the envelope nor the pair is left in the file.
    assert envelope(BUDI, ANA).ciphertext not in file_bytes(path)
    assert envelope(BUDI, ANA).message_id not in file_bytes(path)
    deposits = [line for line in dump(path) if "deposits" in line and "INSERT" in line]
    assert len(deposits) == 1
    assert str(BUDI) not in deposits[0]


def dump(path: Path) -> list[str]:
    connection = sqlite3.connect(path)
    lines = list(connection.iterdump())
    connection.close()
    return lines
