# SPDX-License-Identifier: Apache-2.0
"""What is done about the own account is done or not, wherever the process is killed meanwhile.

The attacker: who kills the process, at each write to the store, at each end of a transaction, and
before and after each call of the back end. Then the app starts again, and does its upkeep.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from itertools import count
from typing import Any

import pytest

from e2ecross import Client, Device, Policy, Text
from e2ecross.errors import DevicesConflict
from e2ecross.stores import MemoryStore, Store, Transaction
from e2ecross.stores.base import ValuesAsBytes, WholeStore
from e2ecross.wire.device_list import SignedDeviceList
from tests.support.accounts import own_account
from tests.support.around import AroundStore
from tests.support.devices import (
    ANA,
    BUDI,
    BackendSimulator,
    Dump,
    FakeClock,
    dump,
    make_client,
    make_device,
)
from tests.support.entropy import SeededEntropy
from tests.support.linked import held, link

OWN = ANA.user_id
POLICY = Policy(one_time_prekeys_low=1, one_time_prekeys_target=2)
"""Each prekey is a step."""


class Killed(BaseException):
    """The process is gone."""


class Countdown:
    """Kills at a step of those that are counted."""

    def __init__(self) -> None:
        self.left: int | None = None

    def step(self) -> None:
        if self.left is not None:
            self.left -= 1
            if self.left < 0:
                raise Killed


class MortalStore(AroundStore):
    """A store whose process may be killed at each write, and right before or after a commit."""

    def __init__(self, inner: Store, countdown: Countdown) -> None:
        super().__init__(inner)
        self._countdown = countdown

    @contextmanager
    def transaction(self, stripe: int = 0, *, moved: bool = False) -> Iterator[Transaction]:
        with self.inner.transaction(stripe, moved=moved) as tx:
            mortal: Any = _MortalTransaction(tx, self._countdown)
            yield mortal
            self._countdown.step()
        self._countdown.step()


class _MortalTransaction(WholeStore, ValuesAsBytes):
    def __init__(self, inner: Transaction, countdown: Countdown) -> None:
        self._inner, self._countdown = inner, countdown

    def put(self, *where: Any) -> None:  # noqa: ANN401
        self._countdown.step()
        self._inner.put(*where)

    def delete(self, *where: Any) -> bool:  # noqa: ANN401
        self._countdown.step()
        return self._inner.delete(*where)

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        return getattr(self._inner, name)


class MortalBackend:
    """The way to a back end; it notes which lists were published."""

    def __init__(self, inner: BackendSimulator, countdown: Countdown) -> None:
        self._inner, self._countdown = inner, countdown
        self.lists: dict[int, bytes] = {}

    def publish_devices(self, token: bytes, signed_list: bytes, *rest: Any, **more: Any) -> None:  # noqa: ANN401
        seq = SignedDeviceList.decode(signed_list).list.seq
        assert self.lists.setdefault(seq, signed_list) == signed_list, "two lists of one number"
        self._inner.publish_devices(token, signed_list, *rest, **more)

    def __getattribute__(self, name: str) -> Any:  # noqa: ANN401
        if name.startswith("_") or name == "lists":
            return object.__getattribute__(self, name)
        inner = (
            object.__getattribute__(self, name)
            if name == "publish_devices"
            else getattr(self._inner, name)
        )

        def call(*arguments: Any, **more: Any) -> Any:  # noqa: ANN401
            self._countdown.step()
            answer = inner(*arguments, **more)
            self._countdown.step()
            return answer

        return call

    # For the check that a back end has all methods, which looks at the class.
    register = publish = epochs = one_time_prekey_count = fetch_keys = deposit_all = fetch = None
    deposit_copies = acknowledge = put_link = get_link = None


@dataclass
class Scene:
    """A phone whose process is killed.

    Attributes:
        countdown: until then.
        inner: the back end.
        backend: the phone's way to it.
        store: the phone's.
        phone: the phone's client.
    """

    countdown: Countdown
    inner: BackendSimulator
    backend: MortalBackend
    store: Store
    phone: Client

    def start_again(self) -> Client:
        """Start the phone's app: nothing is left but its store."""
        self.countdown.left = None
        self.phone = Client(opened(self.store, "again"), self.backend)  # type: ignore[arg-type]
        return self.phone


def opened(store: Store, seed: str, *, restored: bool = False) -> Device:
    entropy = SeededEntropy(seed)
    return Device.open(store, policy=POLICY, clock=FakeClock(), entropy=entropy, restored=restored)


@cache
def prepared(what: str) -> tuple[Dump, object]:
    """What the phone's store and the back end hold before an operation."""
    inner, store = BackendSimulator(), MemoryStore()
    if what == "register":
        make_device(ANA, store, policy=POLICY)
        return dump(store), inner.backup()
    phone = make_client(ANA, inner, store, policy=POLICY)
    budi = make_client(BUDI, inner, policy=POLICY)
    laptop = link(phone, inner)
    link(phone, inner)
    phone.maintain()
    phone.send(BUDI, Text("halo"))
    for client in (phone, budi, laptop):
        client.confirm(client.receive())
    if what == "leave":
        laptop.leave()
    if what == "restore":
        Client(opened(store, "restored", restored=True), inner).register()
    return dump(store), inner.backup()


def scene(what: str) -> Scene:
    rows, backup = prepared(what)
    inner, store, countdown = BackendSimulator(), MemoryStore(), Countdown()
    inner.go_back_to(backup)
    with store.transaction() as tx:
        for where, record in rows.items():
            tx.put(*where, record)
    backend = MortalBackend(inner, countdown)
    device = opened(MortalStore(store, countdown), "mortal")
    phone = Client(device, backend)  # type: ignore[arg-type]
    return Scene(countdown, inner, backend, store, phone)


def numbers(client: Client) -> list[int]:
    return [each.device for each in held(client).list.devices]


def check(here: Scene, *expected: list[int]) -> None:
    """After the upkeep everybody says the same: that it was done, or that it was not."""
    phone = here.start_again()
    phone.maintain()
    assert here.inner.lists[OWN] == held(phone).encode()
    assert own_account(phone.device).published
    assert numbers(phone) in expected


def every_step(what: str, call: Callable[[Client], object]) -> Iterator[tuple[Scene, bool]]:
    """Do something anew for each step at which it can be killed, and once to its end."""
    for steps in count():
        here = scene(what)
        here.countdown.left = steps
        is_killed = False
        try:
            call(here.phone)
        except Killed:
            is_killed = True
        here.countdown.left = None
        yield here, is_killed
        if not is_killed:
            assert steps > 20
            return


@pytest.mark.parametrize("what", ["unlink", "leave"])
def test_a_device_is_taken_out_or_not(what: str) -> None:
    def take_in(phone: Client) -> None:
        phone.receive()
        phone.maintain()

    call = take_in if what == "leave" else partial(Client.unlink, device=2)
    for here, is_killed in every_step(what, call):
        if is_killed:
            check(here, [1, 2, 3], [1, 3])
            if numbers(here.phone) == [1, 2, 3]:
                call(here.phone)
        check(here, [1, 3])


def test_a_list_is_made_or_not() -> None:
    for here, is_killed in every_step("register", Client.register):
        if is_killed:
            here.start_again().register()
        check(here, [1])
        assert held(here.phone).list.seq == 1


def test_a_restored_phone_goes_on_or_asks_again() -> None:
    before = held(scene("restore").phone).list.seq
    for here, is_killed in every_step("restore", partial(Client.restore_devices, keep=[3])):
        if is_killed:
            phone = here.start_again()
            if own_account(phone.device).must_reset:
                assert held(phone).list.seq == before
                with pytest.raises(DevicesConflict):
                    phone.unlink(2)
                phone.restore_devices([3])
        check(here, [1, 3])
        assert held(here.phone).list.seq == before + 1_000
