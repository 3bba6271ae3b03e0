# SPDX-License-Identifier: Apache-2.0
"""Sending: everything that happens inside the transaction that encrypts a message.

Rules:
- A ciphertext leaves only after the commit: a crash may lose a message, never use a key twice.
- Nothing is encrypted to an identity key that is not accepted.
- Each operation is counted in the commit that saves it (`state/epoch.py`).
"""

from typing import Final, NamedTuple, get_args

from e2ecross.address import Address, UserId
from e2ecross.arguments import require_bytes, require_type
from e2ecross.errors import InvalidArgument, NoSession, RecordCorrupted, UntrustedIdentity
from e2ecross.protocol.session import Session
from e2ecross.protocol.session_record import (
    SessionRecord,
    add_initiated_session,
    prepare_to_send,
    seal_message,
)
from e2ecross.state.context import Context, address_key
from e2ecross.state.epoch import count_operation
from e2ecross.state.session_store import (
    read_current_session,
    read_sessions,
    save_sessions,
)
from e2ecross.state.trust import (
    find_identity_record,
    note_offered_version,
    require_accepted_account,
    require_no_downgrade,
    trust_bundle_identity,
)
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import (
    AnyContent,
    DeviceHints,
    Payload,
    PayloadContent,
    encode_payload,
    payload_length,
)
from e2ecross.wire.device_list import PRIMARY, SignedDeviceList
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.limits import MESSAGE_ID_BYTES

__all__ = [
    "NOTHING_SAID",
    "Saying",
    "checked_message_id",
    "copy_length",
    "encrypt_content",
    "encrypt_plaintext",
    "keep_initiated_session",
    "require_content",
    "require_other_device",
]

_CONTENT: Final = get_args(AnyContent)


class Saying(NamedTuple):
    """What a payload says beside its content.

    Attributes:
        hints: which device lists the message is sent by.
        peer: with whom the conversation is, in a copy for another device of the own account.
        device_list: of the own account, which goes with first messages.
    """

    hints: DeviceHints | None = None
    peer: UserId | None = None
    device_list: SignedDeviceList | None = None


NOTHING_SAID: Final = Saying()
"""By a device without a back end."""


def require_other_device(context: Context, address: Address, name: str = "address") -> None:
    """Refuse the device's own address as that argument: it has no session with itself.

    Raises:
        InvalidArgument: it is the device's own.
    """
    if address == context.address:
        raise InvalidArgument(f"{name} is this device's own, {address}")


def require_content(content: object) -> None:
    """Refuse what is not content.

    Raises:
        InvalidArgument: it is something else.
    """
    require_type("content", content, *_CONTENT)


def checked_message_id(context: Context, message_id: bytes | None) -> bytes:
    """Return the message id (16 bytes), drawing one if there is none.

    Raises:
        InvalidArgument: it has the wrong type or length.
    """
    if message_id is None:
        return context.entropy.bytes(MESSAGE_ID_BYTES)
    require_bytes("message_id", message_id, MESSAGE_ID_BYTES)
    return message_id


def keep_initiated_session(
    context: Context, tx: Transaction, address: Address, session: Session, now_ms: int
) -> None:
    """Make a session that was started from a bundle the one that is sent with.

    Raises:
        UntrustedIdentity: its identity key is not the accepted one.
        VersionDowngrade: the device has offered a newer version, and the policy does not accept it.
    """
    place = address_key(address)
    known = find_identity_record(tx, place)
    require_no_downgrade(known, address, session.version, context.policy)
    trust_bundle_identity(tx, address, session.remote_identity_key, now_ms)
    note_offered_version(tx, address, session.version)
    before = read_sessions(tx, place)
    save_sessions(tx, place, before, add_initiated_session(before, session))
    count_operation(tx)


def encrypt_plaintext(
    context: Context, tx: Transaction, address: Address, plaintext: bytes
) -> tuple[MessageKind, bytes]:
    """Encrypt a plaintext and save the advanced session.

    Raises:
        NoSession: there is no session with the address.
        UntrustedIdentity: its identity key has changed and was not accepted.
        SessionExhausted: the session has no message numbers left.
    """
    return _encrypt(context, tx, address, _prepare(tx, address), plaintext)


def encrypt_content(
    context: Context,
    tx: Transaction,
    address: Address,
    content: PayloadContent,
    message_id: bytes,
    now_ms: int,
    saying: Saying = NOTHING_SAID,
    least: int = 0,
) -> Envelope:
    """Encrypt content for a device and put it into its envelope.

    Args:
        context: of the device.
        tx: the operation's transaction.
        address: the recipient.
        content: what the user sends.
        message_id: 16 bytes.
        now_ms: milliseconds since 1970, shown to the recipient.
        saying: what is said beside it.
        least: of the copies of one message: the greatest `copy_length`, bytes.

    Raises:
        NoSession: there is no session with the address.
        UntrustedIdentity: its identity key has changed and was not accepted.
        SessionExhausted: the session has no message numbers left.
    """
    ready = _prepare(tx, address)
    carried = saying.device_list if ready.is_first else None
    device_list = b"" if carried is None else carried.encode()
    payload = _payload(context, address, content, message_id, now_ms, saying, device_list)
    kind, ciphertext = _encrypt(context, tx, address, ready, encode_payload(payload, least))
    return Envelope(message_id, context.address, address, kind, ciphertext)


def copy_length(
    context: Context,
    address: Address,
    content: PayloadContent,
    message_id: bytes,
    now_ms: int,
    saying: Saying,
) -> int:
    """How many bytes the payload of a copy has that starts no session; see `encrypt_content`."""
    return payload_length(_payload(context, address, content, message_id, now_ms, saying, b""))


class _Ready(NamedTuple):
    """Sessions with which a message can be sent.

    Attributes:
        before: as they are stored.
        record: as they are made ready.
        is_first: whether what is sent now is a prekey message.
    """

    before: SessionRecord
    record: SessionRecord
    is_first: bool


def _prepare(tx: Transaction, address: Address) -> _Ready:
    place = address_key(address)
    identity = find_identity_record(tx, place)
    if identity is None:
        raise _no_session(address)
    if identity.pending_key is not None:
        raise UntrustedIdentity(address, identity.pending_key)
    if address.device != PRIMARY:
        require_accepted_account(tx, address)
    accepted = identity.identity_key
    before = read_current_session(tx, place) or read_sessions(tx, place)
    ready = prepare_to_send(before, accepted)
    if ready.current is None:
        raise _no_session(address)
    # The sessions and the identities are rows of their own: hold them against each other.
    if ready.current.remote_identity_key != accepted:
        raise RecordCorrupted(
            f"the session with {address} is of another identity than the accepted one: the store "
            f"is damaged"
        )
    return _Ready(before, ready, ready.current.pending is not None)


def _encrypt(
    context: Context, tx: Transaction, address: Address, ready: _Ready, plaintext: bytes
) -> tuple[MessageKind, bytes]:
    # Who sends to whom is said in first messages.
    addresses = context.addresses_to(address) if ready.is_first else None
    after, kind, data = seal_message(
        ready.record, plaintext, context.registration_id, context.entropy, addresses
    )
    save_sessions(tx, address_key(address), ready.before, after)
    count_operation(tx)
    return kind, data


def _payload(
    context: Context,
    address: Address,
    content: PayloadContent,
    message_id: bytes,
    now_ms: int,
    saying: Saying,
    device_list: bytes,
) -> Payload:
    return Payload(
        sender=context.address,
        recipient=address,
        message_id=message_id,
        registration_id=context.registration_id,
        sent_at_ms=now_ms,
        content=content,
        hints=saying.hints,
        peer=saying.peer,
        device_list=device_list,
    )


def _no_session(address: Address) -> NoSession:
    return NoSession(
        f"there is no session with {address}: call start_session with a bundle of it "
        f"(Client.send fetches one by itself)"
    )
