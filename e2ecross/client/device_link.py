# SPDX-License-Identifier: Apache-2.0
"""`DeviceLink`: a new device that shows a code, and is linked to the account of who scans it.

Rules:
- The first offer that comes is answered, and no other is looked at.
- It never shows the digits. Whoever types wrong ones sees another phone than the one that has
  answered; there is one try.
- The store stays empty until the signed list is there; then all is written in one commit.
"""

import time
from dataclasses import dataclass
from typing import cast

from e2ecross.address import App, UserId
from e2ecross.arguments import forgets_secrets, require_type
from e2ecross.client.answers import CheckedBackend
from e2ecross.client.backend import Backend
from e2ecross.client.client import Client
from e2ecross.client.linking import ANSWER, OFFER, RESULT, Attempt, LinkState, Pause
from e2ecross.crypto.entropy import SYSTEM_ENTROPY, EntropySource
from e2ecross.crypto.secret import Secret
from e2ecross.device.device import Device
from e2ecross.device.joining import (
    answer_offer,
    check_time,
    compare_digits,
    find_newcomer,
    install,
    show_code,
    take_result,
)
from e2ecross.device.opening import Surroundings
from e2ecross.errors import BackendRefused, LocalError
from e2ecross.protocol.linking import (
    CompanionAnswered,
    CompanionConfirmed,
    CompanionStart,
    LinkedDevice,
)
from e2ecross.state.context import Clock, system_clock
from e2ecross.state.policy import Policy
from e2ecross.state.witness import Witness
from e2ecross.stores.base import Store

__all__ = ["DeviceLink"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Answering(Secret):
    """The answer is not known to have arrived at the back end."""

    answered: CompanionAnswered


_State = (
    CompanionStart | _Answering | CompanionAnswered | CompanionConfirmed | LinkedDevice | Client
)


class DeviceLink(Secret):
    """One attempt to link a new device. It may be used from several threads.

    Show `code` as a QR code, `wait`, have the user type the digits, and `finish`. An app with a
    loop of its own calls `poll` instead of `wait`. After `LinkFailed` nothing is left of the
    attempt, and a new object shows a new code. `BackendError` ends nothing: call again.
    """

    __slots__ = ("_attempt", "_backend", "_checked", "_newcomer")

    @forgets_secrets
    def __init__(
        self,
        app: App | str,
        name: str,
        store: Store,
        backend: Backend,
        *,
        policy: Policy | None = None,
        clock: Clock = system_clock,
        entropy: EntropySource = SYSTEM_ENTROPY,
        witness: Witness | None = None,
    ) -> None:
        """Draw a code; it is good for five minutes.

        Args:
            app: of the account.
            name: what the device calls itself, for its user; at most 64 bytes in UTF-8.
            store: where its state will be; empty, and nothing is written before it is linked.
            backend: where the account is registered.
            policy: see `Device.create`; likewise the others.
            clock: see `policy`.
            entropy: see `policy`.
            witness: see `policy`.

        Raises:
            DeviceExists: the store holds a device already.
            InvalidArgument: an argument has the wrong type, or the name is too long.
            StoreError: the store cannot be read.
        """
        self._checked = CheckedBackend(backend)
        self._backend = backend
        given = Surroundings(policy, clock, entropy, witness)
        self._newcomer = find_newcomer(name, store, given)
        self._attempt = Attempt[_State](show_code(self._newcomer, app))

    @property
    def code(self) -> str:
        """What to show as a QR code, at most 256 characters, secret to all but who scans it.

        Empty once it was scanned, or the attempt is over.
        """
        state = self._attempt.found
        return state.code if isinstance(state, CompanionStart) else ""

    @property
    def user(self) -> UserId | None:
        """The account that the device is to be linked to; None before a phone has answered."""
        state = self._attempt.found
        if isinstance(state, _Answering):
            return state.answered.user
        if isinstance(state, CompanionAnswered):
            return state.user
        if isinstance(state, CompanionConfirmed):
            return state.device.address.user_id
        if isinstance(state, LinkedDevice):
            return state.address.user_id
        return state.device.address.user_id if isinstance(state, Client) else None

    @forgets_secrets
    def poll(self) -> LinkState:
        """Ask the back end once, if something is waited for; returns how far it has come.

        Raises:
            LinkFailed: the time is over, or what has come is not acceptable, or the attempt was
                over already.
            BackendError: the back end cannot be reached; call again.
            DeviceExists: the store holds a device by now; the attempt is over.
            StoreError: the store cannot be written; call again.
            WitnessFailed: the witness cannot be read; call again.
        """
        state = self._attempt.state()
        if isinstance(state, CompanionStart):
            state = self._look_for_offer(state)
        if isinstance(state, _Answering):
            state = self._answer(state)
        if isinstance(state, CompanionAnswered):
            self._check_time(state, state.ends_at_ms)
            return LinkState.WANTS_DIGITS
        if isinstance(state, CompanionConfirmed):
            state = self._look_for_result(state)
        if isinstance(state, LinkedDevice):
            state = self._install(state)
        if isinstance(state, CompanionConfirmed):
            return LinkState.WANTS_CONFIRMATION
        return LinkState.LINKED if isinstance(state, Client) else LinkState.WAITING

    @forgets_secrets
    def wait(self, *, pause: Pause = time.sleep) -> LinkState:
        """Wait until a phone has answered, for five minutes at most; asks once a second.

        Args:
            pause: how to wait for some seconds, if not as `time.sleep` does.

        Returns:
            How far it has come: `wants_digits`, or further.

        Raises: as `poll`.
        """
        return self._attempt.wait(self.poll, LinkState.WAITING, pause)

    @forgets_secrets
    def enter_digits(self, digits: str) -> None:
        """Hand in what the user has typed; spaces do not count. There is one try.

        Raises:
            LinkFailed: they are wrong, or the time is over; the attempt is over.
            LocalError: no digits are wanted now; nothing changes.
            InvalidArgument: it is not text; nothing changes.
        """
        require_type("digits", digits, str)
        state = self._attempt.state()
        if not isinstance(state, CompanionAnswered):
            raise LocalError("digits are not wanted now: once, after wait has returned")
        newcomer = self._newcomer
        self._attempt.advance(state, lambda: compare_digits(newcomer, state, digits))

    @forgets_secrets
    def finish(self, *, pause: Pause = time.sleep) -> Client:
        """Wait until the user has confirmed on the phone, publish keys, return the client.

        Ten minutes at most; asks once a second. From a `BackendError` on the device may be linked,
        `poll` tells: then its keys are published by the next `finish`, or after a restart by
        `Client.maintain`, with the device that is in the store.

        Args:
            pause: see `wait`.

        Raises: as `poll`, and
            LocalError: the digits were not entered yet.
            NotRegistered: the phone has unlinked the device already.
        """
        state = self._attempt.state()
        if not isinstance(state, CompanionConfirmed | LinkedDevice | Client):
            raise LocalError("the digits that the phone shows come first: call enter_digits")
        self._attempt.wait(self.poll, LinkState.WANTS_CONFIRMATION, pause)
        client = cast(Client, self._attempt.state())  # an attempt never goes back
        client.maintain()
        return client

    def cancel(self) -> None:
        """Give up: nothing is kept, and the phone gets nowhere with this attempt.

        Raises:
            LocalError: the device is linked already.
        """
        self._attempt.end(_require_unfinished)

    # --- Steps ------------------------------------------------------------------------------

    def _look_for_offer(self, start: CompanionStart) -> _State:
        self._check_time(start, start.ends_at_ms)
        offer = self._checked.get_link(start.link_id, OFFER)
        if offer is None:
            return self._attempt.state()
        newcomer = self._newcomer
        return self._attempt.advance(
            start, lambda: _Answering(answer_offer(newcomer, start, offer))
        )

    def _answer(self, state: _Answering) -> _State:
        answered = state.answered
        self._check_time(state, answered.ends_at_ms)
        try:
            self._checked.put_link(answered.link_id, ANSWER, answered.answer)
        except BackendRefused as error:
            reason = f"the answer cannot be sent ({error}): begin again with a new code"
            raise self._attempt.fail(state, reason) from error
        return self._attempt.advance(state, lambda: answered)

    def _look_for_result(self, confirmed: CompanionConfirmed) -> _State:
        self._check_time(confirmed, confirmed.ends_at_ms)
        result = self._checked.get_link(confirmed.link_id, RESULT)
        if result is None:
            return self._attempt.state()
        return self._attempt.advance(
            confirmed, lambda: take_result(self._newcomer, confirmed, result)
        )

    def _install(self, linked: LinkedDevice) -> _State:
        return self._attempt.advance(
            linked,
            lambda: Client(Device(install(self._newcomer, linked)), self._backend),
        )

    def _check_time(self, state: _State, ends_at_ms: int) -> None:
        self._attempt.stay(state, lambda: check_time(self._newcomer, ends_at_ms))


def _require_unfinished(state: _State) -> None:
    if isinstance(state, Client):
        raise LocalError("this device is linked already: to take it out again, call leave")
