# SPDX-License-Identifier: Apache-2.0
"""Linking another device, at device 1: what it is offered, and how it gets into the list.

Rules:
- Nothing that the account's key signs says anything of the new device before `confirm_device`.
"""

from e2ecross.arguments import forgets_secrets
from e2ecross.device.list_signing import require_held
from e2ecross.device.own_list import add_device, number_for_device
from e2ecross.protocol.link_sealing import require_time
from e2ecross.protocol.linking import PrimaryAnswered, PrimaryOffered, begin_primary
from e2ecross.state.context import Context
from e2ecross.state.transactions import stripe_transaction
from e2ecross.wire.device_list import SignedDeviceList

__all__ = ["check_time", "confirm_device", "offer_device", "take_answer"]


@forgets_secrets
def offer_device(context: Context, code: str) -> PrimaryOffered:
    """Make an offer to the device whose code was scanned; nothing is kept of it.

    Raises:
        NotPrimary: this is not device 1.
        DevicesConflict: see `restore_devices`.
        InvalidArgument: the policy allows no more devices; the code is not text; or another device
            was linked just now.
        NotRegistered: there is no list yet.
        LinkFailed: it is a code of another app.
        RemoteError: it is no code.
    """
    number = number_for_device(context)
    with stripe_transaction(context) as tx:
        own = require_held(context, tx).list
    return begin_primary(code, own, number, context.entropy, context.clock())


@forgets_secrets
def take_answer(context: Context, offered: PrimaryOffered, answer: bytes) -> PrimaryAnswered:
    """Take what the new device has answered.

    Raises:
        RemoteError: the time is over, or it is no answer; see `PrimaryOffered.take_answer`.
    """
    return offered.take_answer(answer, context.clock())


def confirm_device(context: Context, answered: PrimaryAnswered) -> SignedDeviceList:
    """Sign the list that has the new device, now that the user has confirmed.

    Raises:
        LinkFailed: the time is over; or the number or the key of the device was taken meanwhile.
        InvalidArgument: the policy allows no more devices.
        DevicesConflict: see `restore_devices`.
    """
    check_time(context, answered.ends_at_ms)
    return add_device(context, answered.listed, answered.name, answered.token_hash)


def check_time(context: Context, ends_at_ms: int) -> None:
    """Raise `LinkFailed` if the time of an attempt is over."""
    require_time(ends_at_ms, context.clock())
