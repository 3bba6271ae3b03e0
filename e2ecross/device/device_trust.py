# SPDX-License-Identifier: Apache-2.0
"""What a `Device` says and decides about the identities of others.

Rules:
- Every method is one store transaction.
"""

from e2ecross.address import Address
from e2ecross.arguments import require_bytes, require_type
from e2ecross.crypto.keys import PUBLIC_KEY_BYTES, decode_public_key
from e2ecross.device.sending import send_to_identity
from e2ecross.errors import InvalidArgument, InvalidKey
from e2ecross.protocol.safety_number import SafetyNumber, make_safety_number
from e2ecross.state.context import Context
from e2ecross.state.trust import (
    RemoteIdentity,
    accept_identity,
    find_identity,
    mark_verified,
    reject_identity,
    require_identity,
)

__all__ = ["DeviceTrust"]


class DeviceTrust:
    """The part of `Device` that is about identity keys; nothing to be made by itself."""

    __slots__ = ("_context",)

    def __init__(self, context: Context) -> None:
        """Use `Device.create` or `Device.open`."""
        self._context = context

    def remote_identity(self, address: Address) -> RemoteIdentity | None:
        """Return the identity keys known of an address and how far they are trusted, or None."""
        require_type("address", address, Address)
        with self._context.store.transaction() as tx:
            return find_identity(tx, address)

    def accept_identity(self, address: Address, identity_key: bytes) -> None:
        """Accept a changed identity key, the one that `UntrustedIdentity` has named.

        Sessions of another identity are not sent with again; they still read late messages.

        Args:
            address: whose key.
            identity_key: 33 bytes. Exactly the key that waits, if a message has brought one up;
                otherwise (a bundle was refused) the key that may be used from now on.

        Raises:
            InvalidArgument: not a key, or not the one that waits.
            NoSession: nothing is known of the address.
            StoreError: the store cannot be read or written.
        """
        require_type("address", address, Address)
        require_bytes("identity_key", identity_key, PUBLIC_KEY_BYTES)
        try:
            key = decode_public_key(identity_key)
        except InvalidKey as error:
            raise InvalidArgument(f"identity_key is not acceptable: {error}") from error
        context = self._context
        with context.store.transaction() as tx:
            accept_identity(tx, address, key, context.clock())
            send_to_identity(tx, address, key)

    def reject_identity(self, address: Address, identity_key: bytes) -> None:
        """Stay with the accepted identity key, and forget another one that was seen.

        For users who know that their contact has not changed: whoever runs the back end can
        bring up a key of their own, and nothing is sent until the user has decided.

        Args:
            address: whose key.
            identity_key: exactly the key that waits to be accepted, 33 bytes.

        Raises:
            InvalidArgument: it is not the key that waits.
            NoSession: nothing is known of the address.
            StoreError: the store cannot be read or written.
        """
        require_type("address", address, Address)
        require_bytes("identity_key", identity_key, PUBLIC_KEY_BYTES)
        with self._context.store.transaction() as tx:
            send_to_identity(tx, address, reject_identity(tx, address, identity_key))

    def mark_verified(self, address: Address, identity_key: bytes) -> None:
        """Note that the user has compared the safety number with this address.

        Args:
            address: whose safety number.
            identity_key: the accepted key that was compared, 33 bytes.

        Raises:
            InvalidArgument: it is not the accepted key.
            NoSession: nothing is known of the address.
            StoreError: the store cannot be read or written.
        """
        require_type("address", address, Address)
        require_bytes("identity_key", identity_key, PUBLIC_KEY_BYTES)
        with self._context.store.transaction() as tx:
            mark_verified(tx, address, identity_key)

    def safety_number(self, address: Address) -> SafetyNumber:
        """Compute the safety number of this device's user and another.

        While a changed identity key waits to be accepted, the number is that of the new key: it
        is what the two users have to compare.

        Raises:
            NoSession: the address's identity key is not known yet.
            InvalidArgument: not an address.
            StoreError: the store cannot be read.
        """
        require_type("address", address, Address)
        context = self._context
        with context.store.transaction() as tx:
            identity = require_identity(tx, address)
        return make_safety_number(
            context.address.user_id,
            context.identity_key_pair.public,
            address.user_id,
            identity.pending_key or identity.identity_key,
        )
