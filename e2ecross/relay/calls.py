# SPDX-License-Identifier: Apache-2.0
"""What calls of the directory do inside their transaction; of many users each on its own.

Each function runs inside a transaction of the caller.
"""

from e2ecross.address import Address
from e2ecross.errors import UnknownRecipient
from e2ecross.relay import allowance, devices, directory
from e2ecross.relay.database import Connection
from e2ecross.relay.limits import RelayLimits
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.device_list import PRIMARY
from e2ecross.wire.exchange import KeysWanted, UserKeys

__all__ = ["claim", "hand_out"]


def hand_out(
    connection: Connection,
    requester: Address,
    wanted: KeysWanted,
    limits: RelayLimits,
    now_ms: int,
) -> UserKeys | UnknownRecipient:
    """Return the list and the keys that are wanted of one user, or that nobody is registered."""
    user = wanted.user
    if not directory.devices(connection, user):
        return UnknownRecipient(f"{user} is not registered")
    signed = devices.signed_list(connection, user)
    if wanted.devices is not None:
        numbers = sorted(wanted.devices)
    elif signed:
        numbers = directory.devices_with_keys(connection, user)
    else:
        numbers = [PRIMARY]  # others without a list are no devices of the same account
    allowance.forget_expired(connection, limits, now_ms)  # more than the devices of one user add
    bundles: list[PreKeyBundle] = []
    for number in numbers:
        address = Address(user.app, user.user, number)
        pair = (requester.user_id, address)
        left = allowance.is_left(connection, *pair, limits, now_ms)
        try:
            bundle, is_one_time = directory.hand_out_bundle(connection, address, left)
        except UnknownRecipient:
            continue
        if is_one_time:
            allowance.use(connection, *pair, limits, now_ms)
        bundles.append(bundle)
    return UserKeys(signed, tuple(bundles))


def claim(
    address: Address,
    tokens: tuple[bytes, bytes],
    allowed: bool | None,
    limits: RelayLimits,
    now_ms: int,
    connection: Connection,
) -> bool | None:
    """Give an address to a token, or return whether it is taken, to ask who may claim it.

    Args:
        address: which.
        tokens: the new one, and the one that it replaces, or empty: 32 bytes each, secret.
        allowed: whether the address was taken when the app let the claim go ahead; None: it was
            not asked.
        limits: what is remembered of a mailbox that is dropped.
        now_ms: the time, milliseconds since 1970.
        connection: inside a writing transaction.

    Raises:
        BackendRefused: it is that of a companion of an account with a list of its devices.
    """
    token, replaces = tokens
    if directory.is_holder(connection, address, token):
        return None
    if replaces and directory.is_holder(connection, address, replaces):
        directory.replace_token(connection, address, token)
        return None
    devices.require_claimable(connection, address)
    taken = directory.is_registered(connection, address)
    if taken is allowed:
        devices.give(connection, address, directory.token_sha256(token), limits, now_ms)
        return None
    return taken
