# SPDX-License-Identifier: Apache-2.0
"""Answers of a back end about lists of devices, keys of accounts, deposits and linking: checked."""

import gc
import inspect
import warnings
from collections import UserDict
from collections.abc import Callable
from dataclasses import replace
from types import MappingProxyType
from typing import Any, cast

import pytest

from e2ecross.address import Address, UserId
from e2ecross.client.answers import CheckedBackend
from e2ecross.client.backend import Backend
from e2ecross.device.registering import Token
from e2ecross.errors import (
    BackendError,
    E2ECrossError,
    EnvelopeMismatch,
    MailboxFull,
    RemoteError,
    UnknownRecipient,
)
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.exchange import Deposited, KeysWanted, UserKeys
from tests.support.devices import ANA, BUDI, TOKO, bundle_from, make_device

TOKEN = Token(bytes(range(32)))
BOX = bytes(16)
METHODS = [name for name in vars(Backend) if not name.startswith("_")]
LIST = b"a list that nobody here decodes"


class Answering:
    """A back end that says what it is told to, and notes what it is asked."""

    def __init__(self, answer: object = None) -> None:
        self.answer = answer
        self.asked: tuple[object, ...] = ()

    def __getattr__(self, name: str) -> Callable[..., object]:
        if name not in METHODS:
            raise AttributeError(name)

        def call(*arguments: object, **keywords: object) -> object:
            self.asked = (name, *arguments, keywords)
            return self.answer() if callable(self.answer) else self.answer

        return call


def checked(answer: object = None) -> CheckedBackend:
    return CheckedBackend(cast("Backend", Answering(answer)))


def budi(device: int) -> Address:
    return Address(BUDI.app, BUDI.user, device)


_ONE = bundle_from(make_device(BUDI).publish(1), 0)


def bundle(address: Address) -> PreKeyBundle:
    return replace(_ONE, address=address)


def keys(*addresses: Address, device_list: bytes = LIST) -> UserKeys:
    return UserKeys(device_list, tuple(bundle(address) for address in addresses))


# --- Nothing is due -------------------------------------------------------------------------


def publish_devices(backend: CheckedBackend) -> None:
    backend.publish_devices(TOKEN, LIST, {2: bytes(32)}, 7)


def put_link(backend: CheckedBackend) -> None:
    backend.put_link(BOX, 0, b"offer", address=ANA, token=TOKEN)


def asked(call: Callable[[CheckedBackend], object]) -> tuple[object, ...]:
    """What the back end hears of a call."""
    inner = Answering()
    call(CheckedBackend(cast("Backend", inner)))
    return inner.asked


def test_what_is_passed_on() -> None:
    listed = ("publish_devices", TOKEN.value, LIST, {2: bytes(32)}, {"epoch": 7})
    assert asked(publish_devices) == listed
    opener = {"address": ANA, "token": TOKEN.value}
    assert asked(put_link) == ("put_link", BOX, 0, b"offer", opener)
    nobody = {"address": None, "token": b""}
    answer = ("put_link", BOX, 1, b"answer", nobody)
    assert asked(lambda backend: backend.put_link(BOX, 1, b"answer")) == answer
    assert asked(lambda backend: backend.get_link(BOX, 2)) == ("get_link", BOX, 2, {})


@pytest.mark.parametrize("answer", [True, 0, "ok", b"", {}, Deposited()])
@pytest.mark.parametrize("call", [publish_devices, put_link])
def test_something_where_nothing_is_due(
    call: Callable[[CheckedBackend], None], answer: object
) -> None:
    with pytest.raises(BackendError, match=f"{call.__name__} with something where nothing is due"):
        call(checked(answer))


@pytest.mark.parametrize("call", [publish_devices, put_link, "get_link"])
def test_an_awaitable_in_the_place_of_an_answer(call: object) -> None:
    async def nothing() -> None: ...

    backend = checked(nothing)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # that nobody has waited for it
        with pytest.raises(BackendError, match=r"with an awaitable.*synchronous"):
            call(backend) if callable(call) else backend.get_link(BOX, 0)
        gc.collect()


# --- Link boxes -----------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [None, b"", b"sealed", bytes(10_240)])
def test_what_a_box_may_hold(answer: bytes | None) -> None:
    assert checked(answer).get_link(BOX, 0) == answer


@pytest.mark.parametrize("answer", [bytes(10_241), bytearray(1), "sealed", 5, False, [b"sealed"]])
def test_what_no_box_holds(answer: object) -> None:
    with pytest.raises(BackendError, match="answered get_link with no message of linking"):
        checked(answer).get_link(BOX, 0)


# --- Keys -----------------------------------------------------------------------------------

WANTED = [KeysWanted(BUDI.user_id, None), KeysWanted(TOKO.user_id, [1])]


def fetch(*answers: object) -> list[UserKeys | E2ECrossError]:
    return checked(list(answers)).fetch_keys(ANA, TOKEN, WANTED)


def test_keys_and_lists_as_they_came() -> None:
    answers = (keys(budi(127), BUDI, budi(2)), keys(device_list=b""))
    assert fetch(*answers) == list(answers)
    most = keys(*(budi(number) for number in range(1, 17)), device_list=bytes(8_264))
    missing = UnknownRecipient("nobody")
    assert fetch(most, missing) == [most, missing]


def test_what_is_asked() -> None:
    inner = Answering([UnknownRecipient("x"), UnknownRecipient("y")])
    CheckedBackend(cast("Backend", inner)).fetch_keys(ANA, TOKEN, WANTED)
    assert inner.asked == ("fetch_keys", ANA, TOKEN.value, WANTED, {})


def test_devices_that_were_not_wanted_are_passed_on() -> None:
    """Who has asked for one of them looks for that one."""
    answer = keys(TOKO, Address(TOKO.app, TOKO.user, 9))
    assert fetch(keys(), answer)[1] == answer


@pytest.mark.parametrize(
    "answer",
    [
        None,
        b"keys",
        (LIST, ()),
        BackendError("no refusal of one user"),
        UserKeys(cast("Any", None), ()),
        UserKeys(cast("Any", bytearray(LIST)), ()),
        UserKeys(cast("Any", "list"), ()),
        UserKeys(bytes(8_265), ()),
        UserKeys(LIST, cast("Any", [bundle(BUDI)])),
        UserKeys(LIST, cast("Any", None)),
        UserKeys(LIST, cast("Any", (bundle(BUDI), None))),
        UserKeys(LIST, cast("Any", (_ONE.encode(),))),
        keys(*(budi(number) for number in range(1, 18))),
        keys(BUDI, budi(2), BUDI),
    ],
)
def test_no_keys_of_one_user_are_an_error_in_its_place(answer: object) -> None:
    good = keys(TOKO)
    error, other = fetch(answer, good)
    assert type(error) is BackendError
    assert "the back end answered fetch_keys with" in str(error)
    assert other == good


@pytest.mark.parametrize(
    "address", [TOKO, Address(TOKO.app, BUDI.user), Address(BUDI.app, "budi-")]
)
def test_keys_of_somebody_else_are_an_error_in_their_place(address: Address) -> None:
    error, other = fetch(keys(BUDI, address), keys(TOKO))
    assert isinstance(error, EnvelopeMismatch)
    assert str(address) in str(error)
    assert other == keys(TOKO)


@pytest.mark.parametrize(
    "answer", [None, 5, {}, [], [keys(BUDI)], [keys(BUDI)] * 3, iter([keys(BUDI), keys(TOKO)])]
)
def test_an_answer_of_another_length_is_none(answer: object) -> None:
    with pytest.raises(BackendError, match="fetch_keys with no keys of the users that were asked"):
        checked(answer).fetch_keys(ANA, TOKEN, WANTED)


# --- Epochs ---------------------------------------------------------------------------------


def epochs(answer: object) -> object:
    return checked(answer).epochs(ANA, TOKEN)


def test_epochs_are_those_that_were_told() -> None:
    inner = Answering({})
    assert CheckedBackend(cast("Backend", inner)).epochs(ANA, TOKEN) == {}
    assert inner.asked == ("epochs", ANA, TOKEN.value, {})
    assert epochs({0: 7, 65_536: 2**70}) == {0: 7, 65_536: 2**70}
    many = dict.fromkeys(range(65_537), 1)
    assert epochs(many) == many


@pytest.mark.parametrize(
    "answer",
    [
        *(None, 5, [], [(0, 1)], {0: -1}, {-1: 1}, {True: 1}, {0: True}, {0: "7"}, {"0": 7}),
        *({0: 1.0}, {0: None}, {0: 1, None: 1}, dict.fromkeys(range(65_538), 1)),
    ],
    ids=lambda answer: str(answer)[:20],
)
def test_what_is_no_epochs_is_no_answer(answer: object) -> None:
    with pytest.raises(BackendError, match="epochs with no epochs"):
        epochs(answer)


# --- Deposits -------------------------------------------------------------------------------


def deposit(answer: object) -> object:
    return checked(answer).deposit_all(TOKEN, [b"envelope"], {0: 3})


def deposit_copies(answer: object) -> object:
    return checked(answer).deposit_copies(TOKEN, b"copies", {0: 3})


def test_what_is_said_of_copies() -> None:
    inner = Answering(Deposited())
    CheckedBackend(cast("Backend", inner)).deposit_copies(TOKEN, b"copies", {0: 3})
    assert inner.asked == ("deposit_copies", TOKEN.value, b"copies", {"epochs": {0: 3}})
    full, seqs = MailboxFull("full"), {ANA.user_id: 7, BUDI.user_id: 0}
    assert deposit_copies(Deposited({9: full}, seqs, {0: 5})) == ({9: full}, {0: 5}, seqs)
    for no_answer, what in (
        (None, "nothing that says what was refused"),
        (Deposited({0: "full"}), "nothing that says what was refused"),  # type: ignore[dict-item]
        (Deposited({}, {ANA.user_id: "7"}), "no numbers of lists"),  # type: ignore[dict-item]
        (Deposited({}, {}, {0: -1}), "no epochs"),
    ):
        with pytest.raises(BackendError, match=f"deposit_copies with {what}"):
            deposit_copies(no_answer)


def test_what_is_said_of_a_deposit() -> None:
    inner = Answering(Deposited())
    CheckedBackend(cast("Backend", inner)).deposit_all(TOKEN, [b"envelope"], {0: 3})
    told = {"epochs": {0: 3}, "consents": ()}
    assert inner.asked == ("deposit_all", TOKEN.value, [b"envelope"], told)
    full = MailboxFull("full")
    seqs = {ANA.user_id: 7, BUDI.user_id: 0}
    assert deposit(Deposited({0: full}, seqs, {0: 5})) == ({0: full}, {0: 5}, seqs)
    assert deposit(Deposited()) == ({}, {0: 0}, {})
    read_only = Deposited(MappingProxyType({}), MappingProxyType(seqs), MappingProxyType({0: 5}))
    assert deposit(read_only) == ({}, {0: 5}, seqs)


def test_numbers_of_lists_that_there_are_not_are_those_next_to_them() -> None:
    for told, seq in ((-1, 0), (-(2**70), 0), (2**63 - 1, 2**63 - 1), (2**63, 2**63 - 1)):
        assert deposit(Deposited({}, {ANA.user_id: told})) == ({}, {0: 0}, {ANA.user_id: seq})


def test_seqs_are_a_copy() -> None:
    """What is looked at twice is the same twice."""
    told: UserDict[UserId, int] = UserDict({ANA.user_id: 7})
    answer = checked(Deposited({}, told)).deposit_all(TOKEN, [b"envelope"], {0: 3})
    told[ANA.user_id] = cast("Any", "changed")
    assert answer.seqs == {ANA.user_id: 7}


def test_epochs_that_are_waited_for_are_no_answer() -> None:
    async def epochs() -> dict[int, int]:
        return {0: 5}

    told = epochs()
    with pytest.raises(BackendError, match="deposit_all with an awaitable"):
        deposit(Deposited({}, {}, cast("Any", told)))
    assert inspect.getcoroutinestate(told) == inspect.CORO_CLOSED


@pytest.mark.parametrize(
    "seqs",
    [
        None,
        5,
        [(ANA.user_id, 7)],
        {"whatsapp:ana": 7},
        {ANA: 7},
        {ANA.user_id: "7"},
        {ANA.user_id: True},
        {ANA.user_id: 7.0},
        {ANA.user_id: None},
        {ANA.user_id: 7, BUDI.user_id: b"7"},
    ],
)
def test_no_numbers_of_lists_are_no_answer(seqs: Any) -> None:  # noqa: ANN401
    with pytest.raises(BackendError, match="deposit_all with no numbers of lists of devices"):
        deposit(Deposited({}, seqs, {0: 5}))


def test_errors_of_the_back_end_pass() -> None:
    def fail() -> None:
        raise error

    for error in (BackendError("down"), RemoteError("what?"), MailboxFull("x")):
        for call in (publish_devices, put_link, lambda backend: backend.get_link(BOX, 0)):
            with pytest.raises(type(error)) as caught:
                call(checked(fail))
            assert caught.value is error
