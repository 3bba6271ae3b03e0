# SPDX-License-Identifier: Apache-2.0
"""An account with a phone and linked devices: devices come and go, and so do phones."""

from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from e2ecross import Address, Client, DeviceLink, LinkState, Policy
from e2ecross.address import UserId
from e2ecross.errors import DevicesConflict, InvalidArgument
from tests.simulation.long_life.interrupting import Interrupt
from tests.simulation.long_life.seat import Seat, Surroundings
from tests.support.devices import EVERYTHING, STORE_KEY

__all__ = ["Household"]


_BOX_MS: Final = 10 * 60 * 1000


def _no_pause(_: float) -> None:
    raise AssertionError("there is nothing to wait for")


@dataclass(eq=False)
class Household:
    """One account.

    Attributes:
        around: what all have in common.
        address: of its phone.
        linked: how many devices it wants beside the phone.
        phone: device 1.
        companions: the others, the oldest first.
        links: how many were linked.
    """

    around: Surroundings
    address: Address
    linked: int
    phone: Seat = field(init=False)
    companions: list[Seat] = field(default_factory=list)
    links: int = 0

    def __post_init__(self) -> None:
        self.phone = self._seat(1)
        self.phone.create()

    @property
    def user(self) -> UserId:
        """Its name."""
        return self.address.user_id

    @property
    def seats(self) -> list[Seat]:
        """All of its devices."""
        return [self.phone, *self.companions]

    @property
    def online(self) -> list[Seat]:
        """Those whose apps work just now."""
        return [seat for seat in self.seats if seat.is_online]

    def _seat(self, device: int) -> Seat:
        """A place for a device: the phone's store is in the clear, that of every second other not.

        The second place keeps few of the messages that it has sent.
        """
        kept = 300 if device > 1 and self.links % 2 else 20_000
        policy = Policy(
            capabilities=EVERYTHING,
            resend_kept_messages=kept,
            send_delivered_receipts=self.address.user == "ana",  # half of them: they cost most
        )
        key = STORE_KEY if device > 1 and self.links % 2 == 0 else None
        return Seat(self.around, Address(self.address.app, self.address.user, device), policy, key)

    def link(self) -> None:
        """Link one more device, as its user does: who was interrupted begins anew."""
        while True:
            self.links += 1
            seat = self._seat(127)
            with suppress(Interrupt):
                client = self.around.interrupts.try_once("linking", partial(self._link, seat))
                break
            seat.end()
            self._tidy()
            self.around.clock.advance(_BOX_MS)  # a relay keeps three boxes of an account
        seat.close()
        before = seat.path
        seat.address = client.device.address
        before.rename(seat.path)
        seat.start()
        self.companions.append(seat)
        self.phone.maintain()  # tells the new device whose keys the phone knows
        self._befall()
        self.around.counts["devices linked"] += 1

    def _tidy(self) -> None:
        """Take out of the account what stands in its list, and is nowhere."""
        there = {seat.address.device for seat in self.seats}
        for device in self.phone.client.devices().devices:
            if device.address.device not in there:
                self._unlink(device.address.device)

    def _link(self, seat: Seat) -> Client:
        around = self.around
        link = DeviceLink(
            self.address.app,
            f"device {self.links}",
            seat.store,
            seat.backend,
            policy=seat.policy,
            clock=around.clock,
            entropy=around.entropy(),
        )
        pairing = self.phone.client.link_device(link.code)
        assert link.poll() is LinkState.WANTS_DIGITS
        assert pairing.poll() is LinkState.SHOWS_DIGITS
        link.enter_digits(pairing.digits)
        pairing.confirm()
        return link.finish(pause=_no_pause)

    def unlink(self, seat: Seat) -> None:
        """Take a device out of the account."""
        self._unlink(seat.address.device)
        self._drop(seat)
        self._befall()
        self.around.counts["devices unlinked"] += 1

    def _unlink(self, device: int) -> None:
        client = self.phone.client

        def unlink() -> None:
            if device in {each.address.device for each in client.devices().devices}:
                client.unlink(device)

        self.phone.call("unlink", unlink)

    def _drop(self, seat: Seat) -> None:
        self.companions.remove(seat)
        seat.end()

    def _befall(self) -> None:
        for seat in self.seats:
            seat.befallen_ms.append(self.around.clock.now_ms)

    def lose_phone_with_backup(self) -> None:
        """Go on with a new phone under the same key."""
        self.phone.reinstall()
        self.keep_devices()
        self._befall()

    def keep_devices(self) -> None:
        """Say on device 1 which devices are the user's, where that is asked."""
        kept = [seat.address.device for seat in self.companions]

        def keep() -> None:
            self.phone.call("restore_devices", lambda: self.phone.client.restore_devices(kept))

        try:
            keep()
        except InvalidArgument:  # there is nothing to decide: device 1 is alone
            self.phone.maintain()
        except DevicesConflict:
            self.around.counts["lists decided twice"] += 1
            keep()

    def lose_phone_for_good(self) -> None:
        """Begin anew, with another key; other devices are linked anew, later."""
        for seat in self.seats:
            seat.end()
        self.companions.clear()
        self.phone = self._seat(1)
        self.phone.create()
        self._befall()
        self.around.counts["phones lost for good"] += 1

    def restore(self, seat: Seat) -> None:
        """Put the copy of a device's store back."""
        seat.restore()
        if seat is self.phone:
            self.keep_devices()
        seat.maintain()
