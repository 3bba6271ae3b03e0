# SPDX-License-Identifier: Apache-2.0
"""`Relay(admit=...)`: the service around a relay decides who may send to whom."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from e2ecross.address import Address
from e2ecross.errors import BackendError, BackendRefused, InvalidArgument, NotRegistered
from e2ecross.relay import Relay
from e2ecross.relay.depositing import DepositCall, admitted, deposit_each, read_call
from e2ecross.relay.relay_file import DEFAULT_LIMITS
from e2ecross.wire.exchange import Deposited
from tests.relay.support import ANA, BUDI, TOKO, copies, envelope, register, token

NOBODY = Address("x", "nobody")
TOKENS = {BUDI: bytes([2]) * 32, TOKO: bytes([3]) * 32}


class Asked:
    """Lets in what shows the token of its recipient; remembers what it was asked."""

    def __init__(self) -> None:
        self.calls: list[tuple[Address, Address, bytes]] = []

    def __call__(self, sender: Address, recipient: Address, consent: bytes) -> bool:
        self.calls.append((sender, recipient, consent))
        return TOKENS.get(recipient) == consent


@pytest.fixture
def asked() -> Asked:
    return Asked()


@pytest.fixture
def strict(path: Path, asked: Asked) -> Iterator[Relay]:
    with Relay(path, admit=asked) as relay:
        register(relay, ANA, BUDI, TOKO)
        yield relay


def data(number: int, recipient: Address = BUDI, sender: Address = ANA) -> bytes:
    return envelope(sender, recipient, number).encode()


def deposit(relay: Relay, envelopes: list[bytes], consents: list[bytes] | None = None) -> Deposited:
    return relay.deposit_all(token(ANA), envelopes, epochs={0: 9}, consents=consents or [])


def refused(answer: Deposited) -> dict[int, type[BackendError]]:
    return {place: type(error) for place, error in answer.refused.items()}


def waiting(relay: Relay, address: Address) -> list[bytes]:
    return [item.encode() for item in relay.waiting(address)]


def answering(answer: object) -> Callable[..., Any]:
    return lambda *_: answer


async def _async(*_: object) -> bool:
    return True


def test_each_is_let_in_or_not_on_its_own(strict: Relay, asked: Asked) -> None:
    envelopes = [data(1), data(2, TOKO), data(3), data(4, TOKO)]
    consents = [TOKENS[BUDI], TOKENS[BUDI], b"", TOKENS[TOKO]]
    answer = deposit(strict, envelopes, consents)
    assert refused(answer) == {1: BackendRefused, 2: BackendRefused}
    assert waiting(strict, BUDI) == [data(1)]
    assert waiting(strict, TOKO) == [data(4, TOKO)]
    assert asked.calls == [
        (ANA, recipient, consent)
        for recipient, consent in zip((BUDI, TOKO, BUDI, TOKO), consents, strict=True)
    ]
    for error in answer.refused.values():
        assert all(each.hex() not in str(error) for each in TOKENS.values())


def test_what_is_not_let_in_still_tells_the_epoch_and_learns_of_lists(strict: Relay) -> None:
    answer = deposit(strict, [data(1)])
    assert refused(answer) == {0: BackendRefused}
    assert (answer.epochs, set(answer.seqs)) == ({0: 0}, {ANA.user_id, BUDI.user_id})
    assert strict.epochs(ANA, token(ANA)) == {0: 9}


def test_without_consents_it_is_asked_with_none(strict: Relay, asked: Asked) -> None:
    deposit(strict, [data(1), data(2)])
    assert asked.calls == [(ANA, BUDI, b"")] * 2


def test_tokens_may_come_in_any_list(path: Path, asked: Asked) -> None:
    with Relay(path, admit=asked) as relay:
        register(relay, ANA, BUDI)
        tokens = (each for each in [TOKENS[BUDI]])
        answer = relay.deposit_all(token(ANA), [data(1)], consents=tokens)  # type: ignore[arg-type]
        assert answer.refused == {}
    assert TOKENS[BUDI].hex() not in repr(read_call(DepositCall(token(ANA), [data(1)])))


def test_devices_of_one_account_are_not_asked_for(strict: Relay, asked: Asked) -> None:
    answer = deposit(strict, [data(1, ANA)])
    assert (answer.refused, asked.calls) == ({}, [])
    assert waiting(strict, ANA) == [data(1, ANA)]


def test_an_own_copy_of_what_nobody_gets_is_not_taken(strict: Relay) -> None:
    """No device shows as sent what has reached nobody."""
    answer = deposit(strict, [data(1), data(1, ANA)])
    assert refused(answer) == {0: BackendRefused, 1: BackendRefused}
    assert waiting(strict, ANA) == []


def test_a_repetition_is_taken_whatever_was_decided_since(strict: Relay) -> None:
    deposit(strict, [data(1)], [TOKENS[BUDI]])
    assert refused(deposit(strict, [data(1), data(2)])) == {1: BackendRefused}
    assert waiting(strict, BUDI) == [data(1)]


def test_nobody_is_asked_for_a_sender_whose_token_was_not_shown(
    strict: Relay, asked: Asked
) -> None:
    with pytest.raises(NotRegistered):
        strict.deposit_all(bytes(32), [data(1)])
    answer = deposit(strict, [data(1, TOKO, BUDI), b"no envelope", data(2, NOBODY)])
    assert refused(answer) == dict.fromkeys(range(3), BackendRefused)
    assert asked.calls == [(ANA, NOBODY, b"")]
    assert refused(strict.deposit_all(token(ANA), [b"no envelope"])) == {0: BackendRefused}


@pytest.mark.parametrize("answer", [False, None, 1, "yes", _async(), object()])
def test_only_true_lets_in(path: Path, answer: object) -> None:
    with Relay(path, admit=answering(answer)) as relay:
        register(relay, ANA, BUDI)
        assert refused(deposit(relay, [data(1)])) == {0: BackendRefused}
        assert relay.deposit_copies(token(ANA), copies(ANA, 2, BUDI).encode()).refused.keys() == {0}
        assert waiting(relay, BUDI) == []
    if hasattr(answer, "close"):
        answer.close()


def test_who_raises_lets_nothing_in_and_is_asked_again(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    consent = TOKENS[BUDI]
    is_over: list[bool] = []

    def admit(sender: Address, recipient: Address, consent: bytes) -> bool:
        if is_over or recipient == TOKO:
            return True
        raise RuntimeError(f"{consent.hex()} is of {recipient}")

    with Relay(path, admit=admit) as relay, caplog.at_level(logging.DEBUG):
        register(relay, ANA, BUDI, TOKO)
        answer = deposit(relay, [data(1), data(2, TOKO), data(3)], [consent, b"", consent])
        assert refused(answer) == {0: BackendError, 2: BackendError}
        assert waiting(relay, TOKO) == [data(2, TOKO)]
        [record] = [each for each in caplog.records if each.name == "e2ecross.relay"]
        assert record.getMessage() == (
            "Relay(admit=...) has raised RuntimeError: nothing was let in by that"
        )
        assert record.exc_info is None
        assert consent.hex() not in caplog.text
        for error in answer.refused.values():
            assert consent.hex() not in str(error)
            assert (error.__cause__, error.__context__, error.__traceback__) == (None, None, None)
        is_over.append(True)
        assert deposit(relay, [data(1)], [consent]).refused == {}


def test_an_interrupt_passes(path: Path) -> None:
    def admit(*_: object) -> bool:
        raise KeyboardInterrupt

    with Relay(path, admit=admit) as relay:
        register(relay, ANA, BUDI)
        with pytest.raises(KeyboardInterrupt):
            deposit(relay, [data(1)])


def test_copies_of_a_message_into_a_group_come_without_tokens(path: Path) -> None:
    asked: list[tuple[Address, Address, bytes]] = []

    def admit(sender: Address, recipient: Address, consent: bytes) -> bool:
        asked.append((sender, recipient, consent))
        return recipient == TOKO

    with Relay(path, admit=admit) as relay:
        register(relay, ANA, BUDI, TOKO)
        message = copies(ANA, 1, BUDI, TOKO)
        answer = relay.deposit_copies(token(ANA), message.encode(), epochs={0: 4})
        places = {recipient: place for place, recipient in enumerate(message.recipients)}
        assert refused(answer) == {places[BUDI]: BackendRefused}
        assert asked == [(ANA, recipient, b"") for recipient in message.recipients]
        assert (waiting(relay, BUDI), len(waiting(relay, TOKO))) == ([], 1)
        assert relay.epochs(ANA, token(ANA)) == {0: 4}
        asked.clear()
        with pytest.raises(NotRegistered):
            relay.deposit_copies(token(BUDI), message.encode())
        assert asked == []


def test_copies_that_were_taken_are_taken_again(path: Path) -> None:
    let_in = [True]
    with Relay(path, admit=lambda *_: let_in[0]) as relay:
        register(relay, ANA, BUDI)
        message = copies(ANA, 1, BUDI).encode()
        assert relay.deposit_copies(token(ANA), message).refused == {}
        let_in[0] = False
        assert relay.deposit_copies(token(ANA), message).refused == {}
        other = copies(ANA, 2, BUDI).encode()
        assert refused(relay.deposit_copies(token(ANA), other)) == {0: BackendRefused}
        assert len(waiting(relay, BUDI)) == 1


def test_several_callers_are_asked_for_each(strict: Relay, asked: Asked) -> None:
    calls = [
        DepositCall(token(ANA), [data(1)], None, [TOKENS[BUDI]]),
        DepositCall(token(BUDI), [data(2, TOKO, BUDI)], None, [b""]),
    ]
    first, second = strict.deposit_together(calls)
    assert isinstance(first, Deposited)
    assert isinstance(second, Deposited)
    assert (first.refused, refused(second)) == ({}, {0: BackendRefused})
    assert asked.calls == [(ANA, BUDI, TOKENS[BUDI]), (BUDI, TOKO, b"")]


def test_a_token_that_is_of_another_sender_by_now_lets_in_nothing_unasked(
    relay: Relay, asked: Asked
) -> None:
    """One token may be that of two addresses, and the first may be reset meanwhile."""
    key = token(ANA)
    relay.register(NOBODY, key)
    call = DepositCall(key, [data(1), data(2, TOKO, NOBODY)])
    batch = admitted(asked, NOBODY, read_call(call))
    assert asked.calls == [(NOBODY, TOKO, b"")]
    with pytest.raises(NotRegistered):
        relay._database.write(
            lambda connection: deposit_each(connection, key, batch, DEFAULT_LIMITS, 1)
        )
    assert waiting(relay, BUDI) == []


def test_by_default_everybody_may(relay: Relay) -> None:
    assert deposit(relay, [data(1)], [bytes(32)]).refused == {}


def test_it_has_to_be_a_function(path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"^admit"):
        Relay(path, admit=b"no function")  # type: ignore[arg-type]
