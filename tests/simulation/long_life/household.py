# SPDX-License-Identifier: Apache-2.0
"""An account with a phone and linked devices: devices come and go, and so do phones."""

from dataclasses import dataclass, field

from e2ecross import Address, DeviceLink, LinkState, Policy
from e2ecross.address import UserId
from e2ecross.errors import DevicesConflict, InvalidArgument
from tests.simulation.long_life.seat import Seat, Surroundings
from tests.support.devices import EVERYTHING, STORE_KEY

__all__ = ["Household"]


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
        """Link one more device, as its user does."""
        around = self.around
        seat = self._seat(127)
        self.links += 1
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
        client = link.finish(pause=_no_pause)
        seat.store.close()
        before = seat.path
        seat.address = client.device.address
        before.rename(seat.path)
        seat.store = seat.open_store()
        seat.open()
        self.companions.append(seat)
        self.phone.maintain()  # tells the new device whose keys the phone knows
        self._befall()
        around.counts["devices linked"] += 1

    def unlink(self, seat: Seat) -> None:
        """Take a device out of the account."""
        self.phone.client.unlink(seat.address.device)
        self._drop(seat)
        self._befall()
        self.around.counts["devices unlinked"] += 1

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
        try:
            self.phone.client.restore_devices([seat.address.device for seat in self.companions])
        except InvalidArgument:  # there is nothing to decide: device 1 is alone
            self.phone.maintain()
        except DevicesConflict:
            self.around.counts["lists decided twice"] += 1
            self.phone.client.restore_devices([seat.address.device for seat in self.companions])

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
