# SPDX-License-Identifier: Apache-2.0
"""Starting sessions, and single messages: what `Device` does with one of them.

Rules:
- Every function is one store transaction, of the stripe of the account that it names, and raises as
  the method of `Device` of its name.
- A ciphertext or plaintext is returned after the commit.
"""

from e2ecross.address import Address
from e2ecross.arguments import require_bytes, require_type
from e2ecross.device.receiving import (
    decode_ciphertext,
    decode_message,
    decrypt_envelope,
    decrypt_plaintext,
    message_from,
)
from e2ecross.device.sender_check import require_listed
from e2ecross.device.sending import (
    checked_message_id,
    encrypt_content,
    encrypt_plaintext,
    keep_initiated_session,
    require_content,
    require_other_device,
)
from e2ecross.errors import InvalidArgument
from e2ecross.protocol.session_start import initiate_session
from e2ecross.protocol.verified_bundle import verify_bundle
from e2ecross.state import session_store
from e2ecross.state.context import Context
from e2ecross.state.epoch import WitnessedReceipt, WitnessedTransaction
from e2ecross.state.message import ControlMessage, DeviceMessage
from e2ecross.state.transactions import peer_transaction
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.content import AnyContent
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.limits import MAX_PLAINTEXT_BYTES

__all__ = [
    "decrypt",
    "decrypt_raw",
    "encrypt",
    "encrypt_raw",
    "has_session",
    "read_session_info",
    "start_session",
]


def has_session(context: Context, address: Address) -> bool:
    """See `Device.has_session`."""
    require_type("address", address, Address)
    with peer_transaction(context, address.user_id) as tx:
        return session_store.has_session(tx, address)


def read_session_info(context: Context, address: Address) -> session_store.SessionInfo | None:
    """See `Device.session_info`."""
    require_type("address", address, Address)
    with peer_transaction(context, address.user_id) as tx:
        return session_store.read_session_info(tx, address)


def start_session(context: Context, bundle: PreKeyBundle) -> None:
    """See `Device.start_session`. The bundle is verified outside of the transaction."""
    require_type("bundle", bundle, PreKeyBundle)
    require_other_device(context, bundle.address)
    verified = verify_bundle(bundle)
    now_ms = context.clock()
    session = initiate_session(
        context.identity_key_pair,
        verified,
        context.entropy,
        now_ms,
        require_spqr=context.policy.require_spqr,
    )
    stripe = context.stripe_of(bundle.address.user_id)
    with WitnessedTransaction(context, stripe) as tx:
        require_listed(tx, bundle.address, session.remote_identity_key)
        keep_initiated_session(context, tx, bundle.address, session, now_ms)


def encrypt(
    context: Context, address: Address, content: AnyContent, message_id: bytes | None
) -> Envelope:
    """See `Device.encrypt`."""
    require_content(content)
    message_id = checked_message_id(context, message_id)
    require_type("address", address, Address)
    require_other_device(context, address)
    with WitnessedTransaction(context, context.stripe_of(address.user_id)) as tx:
        return encrypt_content(context, tx, address, content, message_id, context.clock())


def decrypt(context: Context, envelope: Envelope | bytes) -> DeviceMessage | ControlMessage:
    """See `Device.decrypt`."""
    if isinstance(envelope, bytes):
        envelope = Envelope.decode(envelope)
    require_type("envelope", envelope, Envelope)
    message = decode_ciphertext(context, envelope)
    with WitnessedReceipt(context, context.stripe_of(envelope.sender.user_id)) as tx:
        received = decrypt_envelope(context, tx, envelope, message, context.clock())
    return message_from(received)


def encrypt_raw(context: Context, address: Address, plaintext: bytes) -> tuple[MessageKind, bytes]:
    """See `Device.encrypt_raw`."""
    require_type("address", address, Address)
    require_other_device(context, address)
    require_bytes("plaintext", plaintext)
    if len(plaintext) > MAX_PLAINTEXT_BYTES:
        raise InvalidArgument(f"plaintext has more than {MAX_PLAINTEXT_BYTES} bytes")
    with WitnessedTransaction(context, context.stripe_of(address.user_id)) as tx:
        return encrypt_plaintext(context, tx, address, plaintext)


def decrypt_raw(context: Context, address: Address, kind: MessageKind, data: bytes) -> bytes:
    """See `Device.decrypt_raw`."""
    require_type("address", address, Address)
    require_other_device(context, address)
    require_bytes("data", data)
    try:
        kind = MessageKind(kind)
    except ValueError:
        raise InvalidArgument("kind must be MessageKind.SIGNAL or MessageKind.PREKEY") from None
    if kind is MessageKind.SENDER_KEY:
        raise InvalidArgument(
            "kind must be MessageKind.SIGNAL or MessageKind.PREKEY: a message under a sender key "
            "is for decrypt_group_raw"
        )
    message = decode_message(kind, data)
    with WitnessedReceipt(context, context.stripe_of(address.user_id)) as tx:
        return decrypt_plaintext(context, tx, address, message, context.clock())[0]
