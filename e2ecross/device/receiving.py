# SPDX-License-Identifier: Apache-2.0
"""Receiving: everything that happens inside the transaction that decrypts a message.

Rules:
- First everything is checked, then everything is written: the session, the identity, the used
  one-time prekey. Until then nothing of the store has changed.
- A one-time prekey is deleted with the first message that it opened, in the same commit.
- A first message without a one-time prekey is remembered by its base key for as long as its
  signed prekey lives: it cannot be replayed after its session is gone.
- What the envelope says is compared with what was encrypted before anything is written, and so is
  the sender with the list of its account's devices (`sender_check.py`).
"""

from dataclasses import dataclass

from e2ecross.address import Address
from e2ecross.crypto.keys import PublicKey
from e2ecross.crypto.secret import Secret
from e2ecross.device.accepting import follow_identity
from e2ecross.device.reading import DecodedMessage, ReadMessage, UsedPrekeys, read_message
from e2ecross.device.sender_check import check_sender, keep_carried
from e2ecross.errors import EnvelopeMismatch, UnsupportedVersion
from e2ecross.protocol.session import Session
from e2ecross.protocol.session_start import prekeys_named
from e2ecross.state.context import Context
from e2ecross.state.epoch import count_operation
from e2ecross.state.message import ControlMessage, DeviceMessage, Message
from e2ecross.state.prekey_store import (
    delete_kyber_prekey,
    delete_one_time_prekey,
    remember_base_key,
)
from e2ecross.state.session_store import save_sessions, send_to_identity
from e2ecross.state.trust import (
    is_downgrade,
    note_offered_version,
    observe_identity,
    require_identity,
    require_not_refused,
)
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import ControlContent, Payload, Resent, decode_payload
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.sender_key_message import (
    SenderKeyForm,
    SenderKeyMessage,
    decode_sender_key_message,
)
from e2ecross.wire.signal_message import (
    VERSIONS,
    PreKeySignalMessage,
    decode_prekey_signal_message,
    decode_signal_message,
    is_canonical_prekey_signal_message,
)

__all__ = [
    "DecodedMessage",
    "Received",
    "decode_ciphertext",
    "decode_group_ciphertext",
    "decode_message",
    "decrypt_envelope",
    "decrypt_plaintext",
    "message_from",
]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Received(Secret):
    """An envelope that was read, and accepted.

    Attributes:
        payload: what it held.
        identity_changed: whether it came under another identity key than the accepted one.
        version_downgraded: whether it started a session of an older version than the sender has
            offered before, which the policy has accepted.
        base_key: of the session that read it, 33 bytes.
        identity_key: the sender's in that session, 33 bytes.
        trusted: whose identity it came under: the sender's own, or that of device 1 of its account
            where `is_under_other_key`.
        trusted_key: that identity's key, 33 bytes.
        is_under_other_key: it carries a list that is signed with another account key than the one
            that was accepted, and that alone vouches for the sender.
    """

    payload: Payload
    identity_changed: bool
    version_downgraded: bool
    base_key: PublicKey
    identity_key: PublicKey
    trusted: Address
    trusted_key: PublicKey
    is_under_other_key: bool


def decode_message(kind: MessageKind, data: bytes) -> DecodedMessage:
    """Decode the bytes of a Signal message; outside any transaction.

    Raises:
        DecodeError: malformed.
        UnsupportedVersion: neither message version 3 nor 4, or a message into a group.
        InvalidKey: a key is not acceptable.
    """
    if kind is MessageKind.SENDER_KEY:
        raise UnsupportedVersion("a message into a group is read by a Client, not by Device")
    if kind is MessageKind.PREKEY:
        return decode_prekey_signal_message(data, VERSIONS)
    return decode_signal_message(data, VERSIONS)


def decode_group_ciphertext(context: Context, envelope: Envelope) -> SenderKeyMessage:
    """Decode what an envelope with a message into a group holds, if it can be for this device.

    Raises:
        EnvelopeMismatch: another recipient, or our own address as sender.
        DecodeError: the message is malformed.
        UnsupportedVersion: another message version than 3.
    """
    _require_for_this_device(context, envelope)
    return decode_sender_key_message(SenderKeyForm.UUID, envelope.ciphertext)


def decode_ciphertext(context: Context, envelope: Envelope) -> DecodedMessage:
    """Decode what an envelope holds, if the envelope can be for this device.

    Raises:
        EnvelopeMismatch: another recipient, our own address as sender, or a prekey message that
            is not encoded as a sender of envelopes encodes it.
        DecodeError: the message is malformed.
        UnsupportedVersion: neither message version 3 nor 4, or a message into a group.
        InvalidKey: a key is not acceptable.
    """
    _require_for_this_device(context, envelope)
    message = decode_message(envelope.kind, envelope.ciphertext)
    if envelope.kind is MessageKind.PREKEY and not is_canonical_prekey_signal_message(
        envelope.ciphertext
    ):
        raise EnvelopeMismatch("the wrapper of a prekey message was changed on the way")
    return message


def _require_for_this_device(context: Context, envelope: Envelope) -> None:
    """Raise `EnvelopeMismatch` unless an envelope is for this device and from another one."""
    if envelope.recipient != context.address:
        raise EnvelopeMismatch(f"the envelope is for {envelope.recipient}, not for this device")
    if envelope.sender == context.address:
        raise EnvelopeMismatch("the envelope claims to come from this device")


def decrypt_plaintext(
    context: Context, tx: Transaction, sender: Address, message: DecodedMessage, now_ms: int
) -> tuple[bytes, bool]:
    """Read a message of a Signal peer, and keep what that changes.

    Returns:
        The plaintext, and whether it came under an identity key that is not accepted.

    Raises:
        RemoteError: it cannot be read; nothing was changed.
    """
    read = read_message(context, tx, sender, message)
    changed = _accept(context, tx, sender, read, now_ms)
    return read.opened.plaintext, changed


def decrypt_envelope(
    context: Context, tx: Transaction, envelope: Envelope, message: DecodedMessage, now_ms: int
) -> Received:
    """Read the message in an envelope, hold it against the envelope, and keep what that changes.

    Args:
        context: of the device.
        tx: the operation's transaction.
        envelope: as it arrived.
        message: what `decode_ciphertext` made of it.
        now_ms: milliseconds since 1970.

    Raises:
        EnvelopeMismatch: the envelope says something else than what was encrypted.
        UnlistedDevice: its account does not list the sender.
        RemoteError: it cannot be read. In all cases nothing was changed.
    """
    sender = envelope.sender
    read = read_message(context, tx, sender, message)
    payload = decode_payload(read.opened.plaintext)
    session = read.opened.session
    _compare(envelope, message, session, payload)
    key, starts = session.remote_identity_key, read.first_message is not None
    standing = check_sender(context, tx, payload, key, starts_session=starts)
    is_judged = standing.is_under_other_key
    if keep_carried(context, tx, standing, now_ms, starts_session=starts):
        read = read_message(context, tx, sender, message)  # its rows have changed
    downgraded = starts and is_downgrade(read.identity, session.version)
    changed = _accept(context, tx, sender, read, now_ms, is_judged=is_judged)
    return Received(
        *(payload, changed, downgraded, session.base_key, key),
        *(standing.trusted, standing.trusted_key, is_judged),
    )


def message_from(received: Received) -> DeviceMessage | ControlMessage:
    """Return what was received; of a copy that was sent again, what the first one held."""
    payload = received.payload
    message_id, sent_at_ms, content = payload.message_id, payload.sent_at_ms, payload.content
    if isinstance(content, Resent):
        message_id, sent_at_ms, content = content.message_id, content.sent_at_ms, content.content
    sender, changed = payload.sender, received.identity_changed
    downgraded = received.version_downgraded
    if isinstance(content, ControlContent):
        return ControlMessage(sender, message_id, sent_at_ms, content, changed, downgraded)
    return Message(
        *(sender, message_id, sent_at_ms, content, changed),
        version_downgraded=downgraded,
        peer=payload.peer or sender.user_id,
        own_copy=payload.peer is not None,
    )


def _compare(
    envelope: Envelope, message: DecodedMessage, session: Session, payload: Payload
) -> None:
    if payload.sender != envelope.sender:
        raise EnvelopeMismatch("the envelope names another sender than the message")
    if payload.recipient != envelope.recipient:
        raise EnvelopeMismatch("the envelope names another recipient than the message")
    if payload.message_id != envelope.message_id:
        raise EnvelopeMismatch("the envelope has another message id than the message")
    if isinstance(message, PreKeySignalMessage):
        used = prekeys_named(message)
        if payload.registration_id != message.registration_id or used != session.used_prekeys:
            raise EnvelopeMismatch("the wrapper of a prekey message was changed on the way")
    elif payload.device_list:
        raise EnvelopeMismatch("a message that is no first message carries a list of devices")


def _accept(
    context: Context,
    tx: Transaction,
    sender: Address,
    read: ReadMessage,
    now_ms: int,
    *,
    is_judged: bool = False,
) -> bool:
    """Write what a message changes, now that it has passed every check but the policy's.

    Its sender's identity is not marked when another one was judged, that of its account.
    """
    first, known, changed = read.first_message, read.identity, is_judged
    key, policy, starts = read.opened.session.remote_identity_key, context.policy, first is not None
    if first is not None and read.used is not None:
        if known is not None and not is_judged:
            require_not_refused(known, sender, key, policy, starts_session=True)
        # Before anything else is written: where another stripe uses them, too, one has to give way.
        _use_up(context, tx, first, read.used)
    if not is_judged or known is None:
        changed |= observe_identity(tx, sender, known, key, policy, now_ms, starts_session=starts)
    save_sessions(tx, read.place, read.before, read.opened.record)
    if changed and first is not None:
        _choose_session(context, tx, sender, key, is_judged=is_judged)
    if read.used is not None:
        count_operation(tx)
        note_offered_version(tx, sender, read.opened.session.version)
    return changed


def _use_up(
    context: Context, tx: Transaction, message: PreKeySignalMessage, used: UsedPrekeys
) -> None:
    """Delete or remember the prekeys of a first message that the policy has accepted.

    Another stripe may use them at this moment: then all of the transaction is undone.
    """
    if used.kyber_id is not None:
        delete_kyber_prekey(tx, used.kyber_id)
    if used.one_time_id is not None:
        delete_one_time_prekey(tx, used.one_time_id)
    if used.is_remembered:
        stripes = context.store.stripes
        remember_base_key(tx, message.signed_prekey_id, message.base_key, stripes)


def _choose_session(
    context: Context, tx: Transaction, sender: Address, identity_key: PublicKey, *, is_judged: bool
) -> None:
    """Send with a session of the accepted key, after one has begun under another (33 bytes)."""
    known = require_identity(tx, sender)
    if known.identity_key == identity_key and not is_judged:  # accepted by the policy
        follow_identity(context, tx, sender, identity_key)
    elif known.pending_key is None:  # else the user decides which it is
        send_to_identity(tx, sender, known.identity_key)
