# SPDX-License-Identifier: Apache-2.0
"""`Pairing`: device 1 of an account, which has scanned the code of a new device.

Rules:
- The list that has the new device is signed when the user confirms, and not before. Until then
  nothing is kept, and an attempt that ends leaves nothing.
- Once it is signed, what is left to do may be repeated as often as it fails, and signs nothing.
"""

import time
from contextlib import suppress
from dataclasses import dataclass

from e2ecross.arguments import forgets_secrets
from e2ecross.client.account import publish_list
from e2ecross.client.flushing import flush
from e2ecross.client.link import Link
from e2ecross.client.linking import ANSWER, OFFER, RESULT, Attempt, LinkState, Pause
from e2ecross.crypto.secret import Secret
from e2ecross.device.pairing import check_time, confirm_device, offer_device, take_answer
from e2ecross.errors import BackendError, BackendRefused, LocalError, NotRegistered
from e2ecross.protocol.linking import PrimaryAnswered, PrimaryOffered
from e2ecross.wire.device_list import SignedDeviceList

__all__ = ["Pairing", "begin_pairing"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Offering(Secret):
    """The offer is not known to have arrived at the back end."""

    offered: PrimaryOffered


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Signed(Secret):
    """The list is signed, and the result not known to have arrived at the back end."""

    answered: PrimaryAnswered
    signed: SignedDeviceList


@dataclass(frozen=True, slots=True)
class _Linked:
    """Everything is done.

    Attributes:
        device: the number of the new device.
    """

    device: int


_State = _Offering | PrimaryOffered | PrimaryAnswered | _Signed | _Linked


class Pairing(Secret):
    """One attempt to link a device whose code was scanned. It may be used from several threads.

    `wait`, show `name` and `digits`, let the user type the digits into the new device, unlock this
    one and say yes, and `confirm`; or `cancel`. An app with a loop of its own calls `poll` instead
    of `wait`. After `LinkFailed`, or what else is wrong with the answer, nothing is left of the
    attempt. `BackendError` ends nothing: call again.
    """

    __slots__ = ("_attempt", "_link")

    def __init__(self, link: Link, offered: PrimaryOffered) -> None:
        """Use `Client.link_device`."""
        self._link = link
        self._attempt = Attempt[_State](_Offering(offered))

    @property
    def name(self) -> str:
        """What the new device calls itself; empty before it has answered."""
        answered = self._answered()
        return "" if answered is None else answered.name

    @property
    def digits(self) -> str:
        """What the user types into the new device, six digits; empty before it has answered."""
        answered = self._answered()
        return "" if answered is None else answered.digits

    @forgets_secrets
    def poll(self) -> LinkState:
        """Ask the back end once, if something is waited for; returns how far it has come.

        Raises:
            LinkFailed: the time is over; or the answer was not made for this attempt, or with a key
                that the account has already; or the attempt was over already.
            DecodeError: the answer is malformed; likewise InvalidKey.
            InvalidSignature: the new device has not signed that it belongs to this account.
            BackendRefused: another phone has scanned the code before.
            BackendError: the back end cannot be reached; call again.
        """
        state = self._attempt.state()
        if isinstance(state, _Offering):
            state = self._offer(state)
        elif isinstance(state, PrimaryOffered):
            state = self._look_for_answer(state)
        if isinstance(state, PrimaryAnswered):
            self._check_time(state, state.ends_at_ms)
        if isinstance(state, PrimaryAnswered | _Signed):
            return LinkState.SHOWS_DIGITS
        return LinkState.LINKED if isinstance(state, _Linked) else LinkState.WAITING

    @forgets_secrets
    def wait(self, *, pause: Pause = time.sleep) -> LinkState:
        """Wait until the new device has answered, for five minutes at most; asks once a second.

        Args:
            pause: how to wait for some seconds, if not as `time.sleep` does.

        Returns:
            How far it has come: `shows_digits`, or further.

        Raises: as `poll`.
        """
        return self._attempt.wait(self.poll, LinkState.WAITING, pause)

    @forgets_secrets
    def confirm(self) -> None:
        """Let the new device belong to the account: its user has seen it take the digits.

        The list that has it is signed, published, and sent to it and to the other own devices.

        Raises:
            LocalError: the new device has not answered yet.
            LinkFailed: the time is over; or the number or the key of the new device was taken
                meanwhile. From a second call on: the new device cannot get the list any more.
            InvalidArgument: the policy allows no more devices.
            DevicesConflict: show the user `devices()`, then call `restore_devices`.
            BackendError: the back end cannot be reached. The device is in `devices()` from now on;
                confirm again, which signs nothing again, or `unlink` it.
            RestoredStore: the store is older than what was seen of the device.
            StoreError: the store cannot be read or written.
        """
        state = self._attempt.state()
        if isinstance(state, _Offering | PrimaryOffered):
            raise LocalError("the new device has not answered yet: call wait")
        if isinstance(state, PrimaryAnswered):
            state = self._sign(state)
        if isinstance(state, _Signed):
            publish_list(self._link)
            self._hand_over(state)
            with suppress(BackendError):  # what is put for other devices goes with a later call
                flush(self._link)

    def cancel(self) -> None:
        """Give up: nothing is kept, and the new device gets nowhere with this attempt.

        Raises:
            LocalError: it was confirmed.
        """
        self._attempt.end(_require_unsigned)

    # --- Steps ------------------------------------------------------------------------------

    def _offer(self, state: _Offering) -> _State:
        link, offered = self._link, state.offered
        self._check_time(state, offered.ends_at_ms)
        try:
            link.backend.put_link(
                *(offered.link_id, OFFER, offered.offer),
                address=link.context.address,
                token=link.token,
            )
        except BackendRefused:
            self._attempt.end(lambda _: None)
            raise
        return self._attempt.advance(state, lambda: offered)

    def _look_for_answer(self, offered: PrimaryOffered) -> _State:
        self._check_time(offered, offered.ends_at_ms)
        answer = self._link.backend.get_link(offered.link_id, ANSWER)
        if answer is None:
            return self._attempt.state()
        context = self._link.context
        return self._attempt.advance(offered, lambda: take_answer(context, offered, answer))

    def _sign(self, answered: PrimaryAnswered) -> _State:
        context = self._link.context
        return self._attempt.advance(
            answered, lambda: _Signed(answered, confirm_device(context, answered))
        )

    def _hand_over(self, state: _Signed) -> None:
        link, answered = self._link, state.answered
        number = answered.listed.device
        try:
            link.backend.put_link(
                *(answered.link_id, RESULT, answered.result(state.signed)),
                address=link.context.address,
                token=link.token,
            )
        except BackendRefused as error:
            reason = f"device {number} is listed, and cannot be told ({error}): unlink it"
            raise self._attempt.fail(state, reason) from error
        self._attempt.advance(state, lambda: _Linked(number))

    def _check_time(self, state: _State, ends_at_ms: int) -> None:
        self._attempt.stay(state, lambda: check_time(self._link.context, ends_at_ms))

    def _answered(self) -> PrimaryAnswered | None:
        state = self._attempt.found
        if isinstance(state, _Signed):
            return state.answered
        return state if isinstance(state, PrimaryAnswered) else None


@forgets_secrets
def begin_pairing(link: Link, code: str) -> Pairing:
    """Offer the device whose code was scanned to belong to the account; see `Client.link_device`.

    Where the back end is out of reach, the offer goes with the first call that reaches it.
    """
    pairing = Pairing(link, offer_device(link.context, code))
    try:
        pairing.poll()
    except (BackendRefused, NotRegistered):
        raise
    except BackendError:
        pass
    return pairing


def _require_unsigned(state: _State) -> None:
    if isinstance(state, _Signed | _Linked):
        raise LocalError("the new device is listed already: to take it out again, call unlink")
