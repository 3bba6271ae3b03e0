# SPDX-License-Identifier: Apache-2.0
"""What a device says and decides about the identities of others.

Rules:
- Every function is one store transaction, and raises as the method of `Device` of its name.
- Of an account with a list of its devices every address stands for device 1, whose key is the
  account's.
"""

from e2ecross.address import Address, Recipient
from e2ecross.arguments import require_bytes
from e2ecross.crypto.keys import PUBLIC_KEY_BYTES, PublicKey, decode_public_key
from e2ecross.device.accepting import follow_identity, forget_unlisted, stands_for
from e2ecross.device.deciding import decision_transaction
from e2ecross.device.recipient import recipient_address
from e2ecross.device.self_sync import put_pin
from e2ecross.device.settling import drop_waiting
from e2ecross.errors import InvalidArgument, InvalidKey
from e2ecross.protocol.safety_number import SafetyNumber, make_safety_number
from e2ecross.state import trust
from e2ecross.state.accounts import find_list, primary_of
from e2ecross.state.context import Context
from e2ecross.state.session_store import send_to_identity
from e2ecross.state.transactions import peer_transaction
from e2ecross.stores.base import Transaction

__all__ = [
    "accept_identity",
    "make_number",
    "mark_verified",
    "read_identity",
    "reject_identity",
]


def read_identity(context: Context, user: Recipient) -> trust.RemoteIdentity | None:
    """See `Device.remote_identity`."""
    address = recipient_address(user, "address")
    with peer_transaction(context, address.user_id) as tx:
        return trust.find_identity(tx, primary_of(tx, address))


def accept_identity(context: Context, user: Recipient, identity_key: bytes) -> None:
    """See `Device.accept_identity`."""
    address = _checked(user, identity_key)
    try:
        key = decode_public_key(identity_key)
    except InvalidKey as error:
        raise InvalidArgument(f"identity_key is not acceptable: {error}") from error
    with decision_transaction(context, address.user_id) as tx:
        trusted = primary_of(tx, address)
        _require_not_own_account(context, tx, trusted, key)
        trust.accept_identity(tx, trusted, key, context.clock())
        follow_identity(context, tx, trusted, key)
        put_pin(context, tx, trusted)


def reject_identity(context: Context, user: Recipient, identity_key: bytes) -> None:
    """See `Device.reject_identity`."""
    address = _checked(user, identity_key)
    with peer_transaction(context, address.user_id) as tx:
        trusted = primary_of(tx, address)
        waits = [drop_waiting(context, tx, device, identity_key) for device in stands_for(trusted)]
        if trust.require_identity(tx, trusted).pending_key is not None or not any(waits):
            accepted = trust.reject_identity(tx, trusted, identity_key)
            send_to_identity(tx, trusted, accepted)
            forget_unlisted(context, tx, trusted.user_id)


def mark_verified(context: Context, user: Recipient, identity_key: bytes) -> None:
    """See `Device.mark_verified`."""
    address = _checked(user, identity_key)
    with decision_transaction(context, address.user_id) as tx:
        trusted = primary_of(tx, address)
        trust.mark_verified(tx, trusted, identity_key)
        put_pin(context, tx, trusted)


def make_number(context: Context, user: Recipient) -> SafetyNumber:
    """See `Device.safety_number`."""
    address = recipient_address(user, "address")
    with peer_transaction(context, address.user_id) as tx:
        identity = trust.require_identity(tx, primary_of(tx, address))
    return make_safety_number(
        context.address.user_id,
        context.account_key,
        address.user_id,
        identity.pending_key or identity.identity_key,
    )


def _require_not_own_account(
    context: Context, tx: Transaction, trusted: Address, identity_key: PublicKey
) -> None:
    """Refuse another key (33 bytes) for the own account: this device belongs to it by that key."""
    if trusted.user_id != context.address.user_id or identity_key == context.account_key:
        return
    if find_list(tx, trusted.user_id) is not None:
        raise InvalidArgument(
            "identity_key is not the key of the account that this device was linked to: link it "
            "again, in a new store, to follow another one"
        )


def _checked(user: Recipient, identity_key: object) -> Address:
    address = recipient_address(user, "address")
    require_bytes("identity_key", identity_key, PUBLIC_KEY_BYTES)
    return address
