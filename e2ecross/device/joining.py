# SPDX-License-Identifier: Apache-2.0
"""A new device on its way into an account: what it draws and decides, and how it is written.

Rules:
- Nothing is written before the list is there that has the device: one commit, into an empty store.
"""

from dataclasses import dataclass

from e2ecross.address import App
from e2ecross.arguments import forgets_secrets
from e2ecross.crypto.secret import Secret
from e2ecross.device.opening import Surroundings, check_new_store, install_linked
from e2ecross.protocol.link_sealing import require_time
from e2ecross.protocol.linking import (
    CompanionAnswered,
    CompanionConfirmed,
    CompanionStart,
    LinkedDevice,
    begin_companion,
)
from e2ecross.state.context import Clock, Context
from e2ecross.state.policy import Policy
from e2ecross.stores.base import Store
from e2ecross.wire.capabilities import announced_by
from e2ecross.wire.limits import TOKEN_BYTES
from e2ecross.wire.linking import require_device_name

__all__ = [
    "Newcomer",
    "answer_offer",
    "check_time",
    "compare_digits",
    "find_newcomer",
    "install",
    "show_code",
    "take_result",
]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Newcomer(Secret):
    """What a device has that belongs to no account yet.

    Attributes:
        name: what it calls itself.
        store: where its state will be.
        given: what it is to work with.
        clock: milliseconds since 1970, checked.
    """

    name: str
    store: Store
    given: Surroundings
    clock: Clock


def find_newcomer(name: str, store: Store, given: Surroundings) -> Newcomer:
    """Check that a device can be linked into a store.

    Raises:
        DeviceExists: the store holds a device already.
        InvalidArgument: an argument has the wrong type, or the name is too long.
    """
    require_device_name(name)
    return Newcomer(name, store, given, check_new_store(store, given))


def show_code(newcomer: Newcomer, app: App | str) -> CompanionStart:
    """Draw a code.

    Raises:
        InvalidArgument: there is no app of such a name.
    """
    return begin_companion(app, newcomer.given.entropy, newcomer.clock())


@forgets_secrets
def answer_offer(newcomer: Newcomer, start: CompanionStart, offer: bytes) -> CompanionAnswered:
    """Answer the offer of a phone with an identity and a token that are drawn for it.

    Raises:
        LinkFailed: the time is over, or it is no offer for this code.
    """
    entropy, policy = newcomer.given.entropy, newcomer.given.policy or Policy()
    return start.take_offer(
        offer,
        name=newcomer.name,
        token=entropy.bytes(TOKEN_BYTES),
        entropy=entropy,
        now_ms=newcomer.clock(),
        capabilities=announced_by(policy.capabilities, groups=not newcomer.store.stripes),
    )


def compare_digits(
    newcomer: Newcomer, answered: CompanionAnswered, digits: str
) -> CompanionConfirmed:
    """Compare the digits that the user has typed; spaces do not count.

    Raises:
        LinkFailed: the time is over, or they are wrong.
    """
    return answered.enter_digits("".join(digits.split()), newcomer.clock())


def take_result(newcomer: Newcomer, confirmed: CompanionConfirmed, result: bytes) -> LinkedDevice:
    """Take the list that makes the device one of the account.

    Raises:
        LinkFailed: the time is over, or it does not.
    """
    return confirmed.take_result(result, newcomer.clock())


def install(newcomer: Newcomer, linked: LinkedDevice) -> Context:
    """Write the device; see `install_linked`."""
    return install_linked(linked, newcomer.store, newcomer.given)


def check_time(newcomer: Newcomer, ends_at_ms: int) -> None:
    """Raise `LinkFailed` if the time of an attempt is over."""
    require_time(ends_at_ms, newcomer.clock())
