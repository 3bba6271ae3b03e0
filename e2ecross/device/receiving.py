# SPDX-License-Identifier: Apache-2.0
"""Receiving: everything that happens inside the transaction that decrypts a message.

Rules:
- First everything is checked, then everything is written: the session, the identity, the used
  one-time prekey. Until then nothing of the store has changed.
- A one-time prekey is deleted with the first message that it opened, in the same commit.
- A first message without a one-time prekey is remembered by its base key for as long as its
  signed prekey lives: it cannot be replayed after its session is gone.
- What the envelope says is compared with what was encrypted before anything is written.
"""

from dataclasses import dataclass
from typing import NamedTuple

from e2ecross.address import Address
from e2ecross.crypto.keys import PublicKey
from e2ecross.crypto.secret import Secret, SecretTuple
from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    EnvelopeMismatch,
    RemoteError,
    UnknownPrekey,
    UnknownSession,
)
from e2ecross.protocol.session import Session
from e2ecross.protocol.session_reading import (
    Opened,
    Reading,
    is_for_current,
    may_try_current,
    open_first_message,
    open_message,
    open_repeated_first_message,
    open_with_current,
)
from e2ecross.protocol.session_record import SessionRecord, find_session, prefer_identity
from e2ecross.protocol.session_start import OwnPrekeys, prekeys_named, respond_to_session
from e2ecross.state.context import Context, address_key
from e2ecross.state.epoch import count_operation
from e2ecross.state.message import ControlMessage, Message
from e2ecross.state.prekey_store import (
    OwnSignedPrekey,
    delete_kyber_prekey,
    delete_one_time_prekey,
    find_kyber_prekey,
    find_one_time_prekey,
    find_signed_prekey,
    has_seen_base_key,
    remember_base_key,
)
from e2ecross.state.session_store import (
    has_archived_sessions,
    read_current_session,
    read_sessions_for,
    save_sessions,
)
from e2ecross.state.trust import (
    find_identity_record,
    is_downgrade,
    note_offered_version,
    observe_identity,
    require_identity,
    require_no_downgrade,
)
from e2ecross.stores.base import Transaction
from e2ecross.wire.content import ControlContent, Payload, Resent, decode_payload
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.limits import MAX_SEEN_BASE_KEYS
from e2ecross.wire.records import RemoteIdentityRecord
from e2ecross.wire.signal_message import (
    VERSIONS,
    PreKeySignalMessage,
    SignalMessage,
    decode_prekey_signal_message,
    decode_signal_message,
    is_canonical_prekey_signal_message,
)

__all__ = [
    "DecodedMessage",
    "Received",
    "decode_ciphertext",
    "decode_message",
    "decrypt_envelope",
    "decrypt_plaintext",
    "message_from",
]

DecodedMessage = PreKeySignalMessage | SignalMessage


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
    """

    payload: Payload
    identity_changed: bool
    version_downgraded: bool
    base_key: PublicKey
    identity_key: PublicKey


class _ReceiptFields(NamedTuple):
    place: bytes
    identity: RemoteIdentityRecord | None
    before: SessionRecord
    opened: Opened
    first_message: PreKeySignalMessage | None = None
    signed_prekey: OwnSignedPrekey | None = None
    is_remembered: bool = False


class _Receipt(SecretTuple, _ReceiptFields):
    """A message that has been read but not accepted: what accepting it would write.

    Attributes:
        place: the store's key of the sender's address.
        identity: what the store has of the sender.
        before: the sessions with the sender as they are stored.
        opened: the sessions as they would be, and the plaintext.
        first_message: the message that started the session, if this one did.
        signed_prekey: the one that it used.
        is_remembered: it may come again while its prekeys are still there: its base key is kept.
    """

    __slots__ = ()


def decode_message(kind: MessageKind, data: bytes) -> DecodedMessage:
    """Decode the bytes of a Signal message; outside any transaction.

    Raises:
        DecodeError: malformed.
        UnsupportedVersion: neither message version 3 nor 4.
        InvalidKey: a key is not acceptable.
    """
    if kind is MessageKind.PREKEY:
        return decode_prekey_signal_message(data, VERSIONS)
    return decode_signal_message(data, VERSIONS)


def decode_ciphertext(context: Context, envelope: Envelope) -> DecodedMessage:
    """Decode what an envelope holds, if the envelope can be for this device.

    Raises:
        EnvelopeMismatch: another recipient, our own address as sender, or a prekey message that
            is not encoded as a sender of envelopes encodes it.
        DecodeError: the message is malformed.
        UnsupportedVersion: neither message version 3 nor 4.
        InvalidKey: a key is not acceptable.
    """
    if envelope.recipient != context.address:
        raise EnvelopeMismatch(f"the envelope is for {envelope.recipient}, not for this device")
    if envelope.sender == context.address:
        raise EnvelopeMismatch("the envelope claims to come from this device")
    message = decode_message(envelope.kind, envelope.ciphertext)
    if envelope.kind is MessageKind.PREKEY and not is_canonical_prekey_signal_message(
        envelope.ciphertext
    ):
        raise EnvelopeMismatch("the wrapper of a prekey message was changed on the way")
    return message


def decrypt_plaintext(
    context: Context, tx: Transaction, sender: Address, message: DecodedMessage, now_ms: int
) -> tuple[bytes, bool]:
    """Read a message of a Signal peer, and keep what that changes.

    Returns:
        The plaintext, and whether it came under an identity key that is not accepted.

    Raises:
        RemoteError: it cannot be read; nothing was changed.
    """
    receipt = _open(context, tx, sender, message)
    changed = _accept(context, tx, sender, receipt, now_ms)
    return receipt.opened.plaintext, changed


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
        RemoteError: it cannot be read. In both cases nothing was changed.
    """
    receipt = _open(context, tx, envelope.sender, message)
    payload = decode_payload(receipt.opened.plaintext)
    _compare(envelope, message, receipt.opened.session, payload)
    session = receipt.opened.session
    downgraded = receipt.first_message is not None and is_downgrade(
        receipt.identity, session.version
    )
    changed = _accept(context, tx, envelope.sender, receipt, now_ms)
    return Received(payload, changed, downgraded, session.base_key, session.remote_identity_key)


def message_from(received: Received) -> Message | ControlMessage:
    """Return what was received; of a copy that was sent again, what the first one held."""
    payload = received.payload
    message_id, sent_at_ms, content = payload.message_id, payload.sent_at_ms, payload.content
    if isinstance(content, Resent):
        message_id, sent_at_ms, content = content.message_id, content.sent_at_ms, content.content
    sender, changed = payload.sender, received.identity_changed
    downgraded = received.version_downgraded
    if isinstance(content, ControlContent):
        return ControlMessage(sender, message_id, sent_at_ms, content, changed, downgraded)
    return Message(sender, message_id, sent_at_ms, content, changed, version_downgraded=downgraded)


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


def _open(context: Context, tx: Transaction, sender: Address, message: DecodedMessage) -> _Receipt:
    place = address_key(sender)
    identity = find_identity_record(tx, place)
    accepted = None if identity is None else identity.identity_key
    if isinstance(message, SignalMessage):
        if accepted is None:
            raise UnknownSession("there is no session with the sender of this message")
        reading = _reading(context, sender, message)
        return _Receipt(
            place, identity, *_open_message(context, tx, place, message, accepted, reading)
        )
    inner = message.message
    reading = _reading(context, sender, inner)
    record = read_current_session(tx, place, inner)
    session = None if record is None else find_session(record, message.base_key)
    if record is None or session is None:
        record = read_sessions_for(tx, place, inner)
        session = find_session(record, message.base_key)
    if session is not None and session.version is not inner.version:
        # One base key, one session: rows are found by it, and another would take its place.
        raise AuthenticationFailed("a first message names a session of another version")
    if session is None or accepted is None:
        require_no_downgrade(identity, sender, inner.version, context.policy)
        return _open_first_message(context, tx, place, identity, record, message, reading)
    opened = open_repeated_first_message(record, session, message, accepted, reading)
    return _Receipt(place, identity, record, opened)


def _reading(context: Context, sender: Address, message: SignalMessage) -> Reading:
    addresses = None if message.addresses is None else context.addresses_from(sender)
    return Reading(context.policy.max_forward_jump, addresses)


def _open_message(
    context: Context,
    tx: Transaction,
    place: bytes,
    message: SignalMessage,
    accepted: PublicKey,
    reading: Reading,
) -> tuple[SessionRecord, Opened]:
    """Read a message with the current session, and only if that fails with archived ones."""
    record = read_current_session(tx, place, message)
    tried = record is not None and may_try_current(record, message, accepted)
    if record is not None and tried:
        try:
            return record, open_with_current(record, message, reading)
        except RemoteError:
            if is_for_current(record, message) or not has_archived_sessions(tx, place):
                raise
    record = read_sessions_for(tx, place, message)
    return record, open_message(record, message, accepted, reading, current_tried=tried)


def _open_first_message(
    context: Context,
    tx: Transaction,
    place: bytes,
    identity: RemoteIdentityRecord | None,
    before: SessionRecord,
    message: PreKeySignalMessage,
    reading: Reading,
) -> _Receipt:
    signed_prekey = find_signed_prekey(tx, message.signed_prekey_id)
    if signed_prekey is None:
        raise _unknown_prekey("signed", message.signed_prekey_id)
    one_time_prekey = kyber_prekey = None
    if message.one_time_prekey_id is not None:
        one_time_prekey = find_one_time_prekey(tx, message.one_time_prekey_id)
        if one_time_prekey is None:
            raise _unknown_prekey("one-time", message.one_time_prekey_id)
    if message.kyber is not None:
        kyber_prekey = find_kyber_prekey(tx, message.kyber.prekey_id)
        if kyber_prekey is None:
            raise _unknown_prekey("Kyber", message.kyber.prekey_id)
    is_remembered = one_time_prekey is None or (
        kyber_prekey is not None and kyber_prekey.record.is_last_resort
    )
    if is_remembered and signed_prekey.record.seen_base_keys >= MAX_SEEN_BASE_KEYS:
        raise UnknownPrekey(
            f"signed prekey {message.signed_prekey_id} takes no more first messages that use no "
            f"one-time prekey: the sender needs a new bundle"
        )
    prekeys = OwnPrekeys(
        signed_prekey.key_pair,
        one_time_prekey,
        None if kyber_prekey is None else kyber_prekey.key_pair,
    )
    session = respond_to_session(
        context.identity_key_pair, prekeys, message, require_spqr=context.policy.require_spqr
    )
    accepted = message.identity_key if identity is None else identity.identity_key
    opened = open_first_message(before, session, message.message, accepted, reading)
    # Only now that it is authentic: anybody can copy a base key, and claim that it was seen.
    if is_remembered and has_seen_base_key(tx, message.signed_prekey_id, message.base_key):
        raise DuplicateMessage("a first message was received before, and its session is gone")
    return _Receipt(
        *(place, identity, before, opened),
        *(message, signed_prekey, is_remembered),
    )


def _unknown_prekey(kind: str, prekey_id: int) -> UnknownPrekey:
    return UnknownPrekey(
        f"a first message uses {kind} prekey {prekey_id}, which does not exist (any more): the "
        f"message may be a replay"
    )


def _accept(
    context: Context, tx: Transaction, sender: Address, receipt: _Receipt, now_ms: int
) -> bool:
    """Write what a message changes, now that it has passed every check but the policy's."""
    first = receipt.first_message
    key = receipt.opened.session.remote_identity_key
    changed = observe_identity(
        tx,
        sender,
        receipt.identity,
        key,
        context.policy,
        now_ms,
        starts_session=first is not None,
    )
    record = receipt.opened.record
    if changed and require_identity(tx, sender).identity_key == key:  # accepted by the policy
        record = prefer_identity(record, key)
    save_sessions(tx, receipt.place, receipt.before, record)
    if first is not None and receipt.signed_prekey is not None:
        count_operation(tx)
        if first.one_time_prekey_id is not None:
            delete_one_time_prekey(tx, first.one_time_prekey_id)
        if first.kyber is not None:
            delete_kyber_prekey(tx, first.kyber.prekey_id)
        if receipt.is_remembered:
            remember_base_key(tx, first.signed_prekey_id, receipt.signed_prekey, first.base_key)
        note_offered_version(tx, sender, receipt.opened.session.version)
    return changed
