# SPDX-License-Identifier: Apache-2.0
"""Opening a message with the sessions in the store; nothing is written.

Rules:
- A first message without a one-time prekey is refused when its base key is remembered: its session
  has been there, and is gone.
- Prekeys are looked up by what the message names, which is not authenticated: only what it opens
  shows that they were used.
"""

from typing import NamedTuple

from e2ecross.address import Address
from e2ecross.crypto.keys import PublicKey
from e2ecross.crypto.secret import SecretTuple
from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    RemoteError,
    UnknownPrekey,
    UnknownSession,
)
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
from e2ecross.protocol.session_record import SessionRecord, find_session
from e2ecross.protocol.session_start import OwnPrekeys, respond_to_session
from e2ecross.state.context import Context, address_key
from e2ecross.state.prekey_store import (
    find_kyber_prekey,
    find_one_time_prekey,
    find_signed_prekey,
    has_seen_base_key,
)
from e2ecross.state.session_store import (
    has_archived_sessions,
    read_current_session,
    read_sessions_for,
)
from e2ecross.state.stripe import is_full
from e2ecross.state.trust import find_identity_record, require_no_downgrade
from e2ecross.stores.base import Transaction
from e2ecross.wire.records import RemoteIdentityRecord
from e2ecross.wire.signal_message import PreKeySignalMessage, SignalMessage

__all__ = ["DecodedMessage", "ReadMessage", "read_message"]

DecodedMessage = PreKeySignalMessage | SignalMessage


class UsedPrekeys(NamedTuple):
    """Which prekeys of ours a first message has used.

    Attributes:
        one_time_id: of the one-time prekey, which goes with it; None: there was none.
        kyber_id: of the one-time Kyber prekey, likewise.
        is_remembered: it may come again while the others are still there: its base key is kept.
    """

    one_time_id: int | None
    kyber_id: int | None
    is_remembered: bool


class _ReadFields(NamedTuple):
    place: bytes
    identity: RemoteIdentityRecord | None
    before: SessionRecord
    opened: Opened
    first_message: PreKeySignalMessage | None = None
    used: UsedPrekeys | None = None


class ReadMessage(SecretTuple, _ReadFields):
    """A message that has been read but not accepted: what accepting it would write.

    Attributes:
        place: the store's key of the sender's address.
        identity: what the store has of the sender.
        before: the sessions with the sender as they are stored.
        opened: the sessions as they would be, and the plaintext.
        first_message: the message that started the session, if this one did.
        used: the prekeys that it has used, if that session is new.
    """

    __slots__ = ()


def read_message(
    context: Context, tx: Transaction, sender: Address, message: DecodedMessage
) -> ReadMessage:
    """Read a message with a session in the store, or with the one that it starts.

    Raises:
        RemoteError: it cannot be read.
    """
    place = address_key(sender)
    identity = find_identity_record(tx, place)
    accepted = None if identity is None else identity.identity_key
    if isinstance(message, SignalMessage):
        if accepted is None:
            raise UnknownSession("there is no session with the sender of this message")
        reading = _reading(context, sender, message)
        return ReadMessage(
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
    return ReadMessage(place, identity, record, opened)


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
) -> ReadMessage:
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
    is_last_resort = kyber_prekey is not None and kyber_prekey.record.is_last_resort
    is_remembered = one_time_prekey is None or is_last_resort
    one_time_kyber_id = None
    if message.kyber is not None and not is_last_resort:
        one_time_kyber_id = message.kyber.prekey_id
    if is_remembered and is_full(tx, message.signed_prekey_id, context.store.stripes):
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
    used = UsedPrekeys(message.one_time_prekey_id, one_time_kyber_id, is_remembered)
    # Only now that it is authentic: anybody can copy a base key, and claim that it was seen.
    if is_remembered and has_seen_base_key(tx, message.signed_prekey_id, message.base_key):
        raise DuplicateMessage("a first message was received before, and its session is gone")
    return ReadMessage(
        *(place, identity, before, opened),
        *(message, used),
    )


def _unknown_prekey(kind: str, prekey_id: int) -> UnknownPrekey:
    return UnknownPrekey(
        f"a first message uses {kind} prekey {prekey_id}, which does not exist (any more): the "
        f"message may be a replay"
    )
