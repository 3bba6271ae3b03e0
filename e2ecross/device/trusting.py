# SPDX-License-Identifier: Apache-2.0
"""What a device says and decides about the identities of others.

Rules:
- Every function is one store transaction, and raises as the method of `Device` of its name.
"""

from e2ecross.address import Address
from e2ecross.arguments import require_bytes, require_type
from e2ecross.crypto.keys import PUBLIC_KEY_BYTES, decode_public_key
from e2ecross.device.sending import send_to_identity
from e2ecross.device.settling import drop_waiting
from e2ecross.errors import InvalidArgument, InvalidKey
from e2ecross.protocol.safety_number import SafetyNumber, make_safety_number
from e2ecross.state import trust
from e2ecross.state.context import Context
from e2ecross.state.outbox import Lane, LaneName, free_lane

__all__ = [
    "accept_identity",
    "make_number",
    "mark_verified",
    "read_identity",
    "reject_identity",
]


def read_identity(context: Context, address: Address) -> trust.RemoteIdentity | None:
    """See `Device.remote_identity`."""
    require_type("address", address, Address)
    with context.store.transaction() as tx:
        return trust.find_identity(tx, address)


def accept_identity(context: Context, address: Address, identity_key: bytes) -> None:
    """See `Device.accept_identity`."""
    _require(address, identity_key)
    try:
        key = decode_public_key(identity_key)
    except InvalidKey as error:
        raise InvalidArgument(f"identity_key is not acceptable: {error}") from error
    with context.store.transaction() as tx:
        trust.accept_identity(tx, address, key, context.clock())
        send_to_identity(tx, address, key)
        for name in LaneName:  # what waited for this goes with the next call of a client
            free_lane(tx, Lane(name, address))


def reject_identity(context: Context, address: Address, identity_key: bytes) -> None:
    """See `Device.reject_identity`."""
    _require(address, identity_key)
    with context.store.transaction() as tx:
        waits = drop_waiting(context, tx, address, identity_key)
        if trust.require_identity(tx, address).pending_key is not None or not waits:
            accepted = trust.reject_identity(tx, address, identity_key)
            send_to_identity(tx, address, accepted)


def mark_verified(context: Context, address: Address, identity_key: bytes) -> None:
    """See `Device.mark_verified`."""
    _require(address, identity_key)
    with context.store.transaction() as tx:
        trust.mark_verified(tx, address, identity_key)


def make_number(context: Context, address: Address) -> SafetyNumber:
    """See `Device.safety_number`."""
    require_type("address", address, Address)
    with context.store.transaction() as tx:
        identity = trust.require_identity(tx, address)
    return make_safety_number(
        context.address.user_id,
        context.identity_key_pair.public,
        address.user_id,
        identity.pending_key or identity.identity_key,
    )


def _require(address: object, identity_key: object) -> None:
    require_type("address", address, Address)
    require_bytes("identity_key", identity_key, PUBLIC_KEY_BYTES)
