# SPDX-License-Identifier: Apache-2.0
"""A phone, and devices that are linked to it by `DeviceLink` and `Client.link_device`.

scene = LinkScene(backend, clock)
link = scene.new_link()
pairing = scene.phone.link_device(link.code)
laptop = scene.go_on(link, pairing)
"""

from collections.abc import Callable
from typing import Any, TypeVar

from e2ecross import Address, Client, DeviceLink, LinkState, Pairing, Policy
from e2ecross.client.backend import Backend
from e2ecross.errors import BackendError
from e2ecross.state.witness import Witness
from e2ecross.stores import MemoryStore, Store
from e2ecross.wire.device_list import SignedDeviceList
from tests.support.accounts import account, own_account
from tests.support.devices import ANA, FakeClock, dump, make_device
from tests.support.entropy import SeededEntropy

T = TypeVar("T")


class LinkScene:
    """A phone that is registered, and the stores of devices that may be linked to it."""

    def __init__(
        self,
        backend: Backend,
        clock: FakeClock,
        address: Address = ANA,
        *,
        policy: Policy | None = None,
        store: Store | None = None,
    ) -> None:
        self.backend, self.clock, self.address = backend, clock, address
        device = make_device(address, store, clock=clock, policy=policy)
        self.phone = Client(device, backend)
        self.phone.register()
        self.store: Store = MemoryStore()
        self._links = 0

    def new_link(
        self,
        store: Store | None = None,
        *,
        name: str = "laptop",
        backend: Backend | None = None,
        witness: Witness | None = None,
    ) -> DeviceLink:
        """A new device that shows its code; by default its store is `store`."""
        self._links += 1
        return DeviceLink(
            self.address.app,
            name,
            self.store if store is None else store,
            backend or self.backend,
            clock=self.clock,
            entropy=SeededEntropy(f"link {self.address} {self._links} {name}"),
            witness=witness,
        )

    def begin(self) -> tuple[DeviceLink, Pairing]:
        """A code that was scanned."""
        link = self.new_link()
        return link, self.phone.link_device(link.code)

    def shown(self) -> tuple[DeviceLink, Pairing]:
        """Digits that are shown."""
        link, pairing = self.begin()
        assert link.poll() is LinkState.WANTS_DIGITS
        assert pairing.poll() is LinkState.SHOWS_DIGITS
        return link, pairing

    def typed(self) -> tuple[DeviceLink, Pairing]:
        """Digits that were typed."""
        link, pairing = self.shown()
        link.enter_digits(pairing.digits)
        return link, pairing

    def confirmed(self) -> tuple[DeviceLink, Pairing]:
        """A device that is listed, and has not looked for that."""
        link, pairing = self.typed()
        pairing.confirm()
        return link, pairing

    def link(self) -> Client:
        """A device that is linked."""
        return self.confirmed()[0].finish(pause=never)

    def tick(self, seconds: float) -> None:
        """Pause, by the clock."""
        self.clock.advance(round(seconds * 1000))

    @property
    def held(self) -> SignedDeviceList:
        """The list that the phone holds."""
        signed = account(self.phone.device, self.address.user_id).held
        assert signed is not None
        return signed

    @property
    def numbers(self) -> list[int]:
        """Of the devices that the phone has in its list."""
        return [each.device for each in self.held.list.devices]

    def phone_rows(self) -> object:
        """All that the phone's store holds."""
        return dump(self.phone.device._context.store)

    def check_nothing_is_left(self, rows: object) -> None:
        """The phone's store is as it was, the new device's is empty, and nothing was signed."""
        assert self.phone_rows() == rows
        assert not dump(self.store)
        assert self.held.list.seq == 1
        assert own_account(self.phone.device).new_devices == ()


def never(_: float) -> None:
    """A pause where nothing is to be waited for."""
    raise AssertionError("there is nothing to wait for")


def again(step: Callable[[], T]) -> T:
    """Do something until the back end is reached."""
    for _ in range(3):
        try:
            return step()
        except BackendError:
            continue
    return step()


class Faulty:
    """A back end of which one call is lost, or its answer; they are counted from 0."""

    def __init__(self, inner: Backend, at: int, *, is_late: bool) -> None:
        self._inner, self._at, self._is_late = inner, at, is_late
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        method = getattr(self._inner, name)

        def call(*args: object, **kwargs: object) -> object:
            number = len(self.calls)
            self.calls.append(name)
            if number == self._at and not self._is_late:
                raise BackendError("the call was lost")
            answer = method(*args, **kwargs)
            if number == self._at:
                raise BackendError("the answer was lost")
            return answer

        return call


class Hooked:
    """A back end that does something while a method is called for the first time."""

    def __init__(self, inner: Backend, method: str, hook: Callable[[], object]) -> None:
        self._inner, self._method, self._hook = inner, method, hook
        self._is_done = False

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401
        method = getattr(self._inner, name)

        def call(*args: object, **kwargs: object) -> object:
            answer = method(*args, **kwargs)
            if name == self._method and not self._is_done:
                self._is_done = True
                self._hook()
            return answer

        return call
