# SPDX-License-Identifier: Apache-2.0
"""One session: who its two ends are, its ratchet, and its wrapping until it is acknowledged.

Rules:
- A session remembers both identity keys; they are the associated data of every message.
- As initiator we wrap every message as a prekey message until we have read one of the peer's.

Source: X3DH (revision 1, 2016-11-04) section 3.3; docs/wire-format.md, prekey messages.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.keys import PublicKey
from e2ecross.crypto.secret import SecretTuple, new_tuple, without_frames
from e2ecross.errors import RemoteError
from e2ecross.protocol.message_chain import ReceivingChain, StoppedSending
from e2ecross.protocol.ratchet import (
    RatchetState,
    drop_skipped_keys,
    ratchet_decrypt,
    ratchet_encrypt,
)
from e2ecross.protocol.spqr.state import SpqrState, drop_skipped_spqr_keys
from e2ecross.wire.envelope import MessageKind
from e2ecross.wire.signal_message import (
    VERSION_3,
    KyberPrekeyUse,
    MessageVersion,
    SignalMessage,
    encode_prekey_signal_message,
)

__all__ = [
    "PendingPrekey",
    "Session",
    "UsedPrekeys",
    "can_send",
    "session_decrypt",
    "session_encrypt",
    "stop_sending",
    "with_receiving_chains",
    "with_spqr",
    "without_pending",
    "without_skipped_keys",
    "without_skipped_spqr_keys",
]


@dataclass(frozen=True, slots=True)
class PendingPrekey:
    """What a prekey message repeats until the peer has answered.

    Attributes:
        one_time_prekey_id: the peer's one-time prekey that was used, or None.
        signed_prekey_id: the peer's signed prekey that was used.
        created_at_ms: when the session was started, milliseconds since 1970.
        kyber: the peer's Kyber prekey that was used; None in version 3.
    """

    one_time_prekey_id: int | None
    signed_prekey_id: int
    created_at_ms: int
    kyber: KyberPrekeyUse | None = None


@dataclass(frozen=True, slots=True)
class UsedPrekeys:
    """What the initiator used to start the session; repeated first messages say the same.

    Attributes:
        one_time_prekey_id: of our one-time prekey, or None.
        signed_prekey_id: of our signed prekey.
        kyber_prekey_id: of our Kyber prekey; None in version 3.
        kem_ciphertext_hash: of what was encapsulated to it, 16 bytes; None in version 3.
    """

    one_time_prekey_id: int | None
    signed_prekey_id: int
    kyber_prekey_id: int | None = None
    kem_ciphertext_hash: bytes | None = None


class _SessionFields(NamedTuple):
    local_identity_key: PublicKey
    remote_identity_key: PublicKey
    remote_registration_id: int
    base_key: PublicKey
    ratchet: RatchetState
    pending: PendingPrekey | None
    used_prekeys: UsedPrekeys | None
    without_one_time_prekey: bool = False
    version: MessageVersion = VERSION_3


class Session(SecretTuple, _SessionFields):
    """One session with a device.

    Attributes:
        local_identity_key: ours, 33 bytes.
        remote_identity_key: the peer's, 33 bytes.
        remote_registration_id: the peer's, as first heard; without cryptographic meaning.
        base_key: the initiator's ephemeral key, 33 bytes; names the session.
        ratchet: all that changes with each message.
        pending: set as long as we are the initiator and the peer has not answered.
        used_prekeys: set if we are the responder.
        without_one_time_prekey: it began without one: until the first answer, a thief of the
            responder's signed prekey and identity key can read it.
        version: of its messages.
    """

    __slots__ = ()


def session_encrypt(
    session: Session,
    plaintext: bytes,
    registration_id: int,
    entropy: EntropySource,
    addresses: bytes | None = None,
) -> tuple[Session, MessageKind, bytes]:
    """Encrypt a message with this session.

    Args:
        session: with the peer.
        plaintext: any length.
        registration_id: our own, for the wrapper.
        entropy: see `ratchet_encrypt`.
        addresses: who sends to whom, 36 bytes, or None. Said inside prekey messages of version 4.

    Returns:
        The new session, the kind of message, and its bytes.

    Raises:
        SessionExhausted: the sending chain has no numbers left.
        NoSession: it was stopped.
    """
    pending = session.pending
    ratchet, message = ratchet_encrypt(
        session.ratchet,
        plaintext,
        session.local_identity_key + session.remote_identity_key,
        entropy,
        session.version,
        addresses if pending is not None and session.version.is_post_quantum else None,
    )
    advanced = _with(session, ratchet, pending)
    if pending is None:
        return advanced, MessageKind.SIGNAL, message
    wrapped = encode_prekey_signal_message(
        registration_id=registration_id,
        one_time_prekey_id=pending.one_time_prekey_id,
        signed_prekey_id=pending.signed_prekey_id,
        base_key=session.base_key,
        identity_key=session.local_identity_key,
        message=message,
        version=session.version,
        kyber=pending.kyber,
    )
    return advanced, MessageKind.PREKEY, wrapped


def session_decrypt(
    session: Session,
    message: SignalMessage,
    max_forward_jump: int,
    addresses: bytes | None = None,
) -> tuple[Session, bytes]:
    """Decrypt a message with this session; that it can be read acknowledges the session.

    The arguments are those of `ratchet_decrypt`; the message is of the session's version.

    Returns:
        The new session, and the plaintext.

    Raises:
        RemoteError: as `ratchet_decrypt`.
    """
    try:
        ratchet, plaintext = ratchet_decrypt(
            session.ratchet,
            message,
            session.remote_identity_key + session.local_identity_key,
            max_forward_jump,
            addresses,
        )
    except RemoteError as error:
        # A forged message may name the number of a genuine one, whose key those frames hold.
        raise without_frames(error)  # noqa: B904 - the error itself, without a cause
    return _with(session, ratchet, None), plaintext


def stop_sending(session: Session) -> Session:
    """Return the session without its sending chain: it reads, and never sends again."""
    ratchet = session.ratchet
    key_pair = None if ratchet.sending is None else ratchet.sending.ratchet_key_pair
    stopped = RatchetState(
        ratchet.root_key,
        StoppedSending(key_pair),
        ratchet.previous_counter,
        ratchet.receiving,
        ratchet.spqr,
    )
    return _with(session, stopped, None)


def can_send(session: Session) -> bool:
    """Tell whether the session was not stopped."""
    return not isinstance(session.ratchet.sending, StoppedSending)


def without_pending(session: Session) -> Session:
    """Return the session as it is archived: it no longer wraps."""
    return session if session.pending is None else _with(session, session.ratchet, None)


def without_skipped_keys(session: Session, count: int) -> Session:
    """Return the session without that many stored message keys, or all; the oldest go first."""
    return _with(session, drop_skipped_keys(session.ratchet, count), session.pending)


def without_skipped_spqr_keys(session: Session, count: int) -> Session:
    """The same for those of the post-quantum ratchet."""
    spqr = session.ratchet.spqr
    return session if spqr is None else with_spqr(session, drop_skipped_spqr_keys(spqr, count))


def with_receiving_chains(session: Session, chains: Iterable[ReceivingChain]) -> Session:
    """Return the session with these receiving chains; for what is left in the store of them."""
    ratchet = session.ratchet
    changed = RatchetState(
        ratchet.root_key, ratchet.sending, ratchet.previous_counter, tuple(chains), ratchet.spqr
    )
    return _with(session, changed, session.pending)


def with_spqr(session: Session, spqr: SpqrState | None) -> Session:
    """Return the session with this post-quantum ratchet; for what is left in the store of it."""
    ratchet = session.ratchet
    changed = RatchetState(
        ratchet.root_key, ratchet.sending, ratchet.previous_counter, ratchet.receiving, spqr
    )
    return _with(session, changed, session.pending)


def _with(session: Session, ratchet: RatchetState, pending: PendingPrekey | None) -> Session:
    fields = (
        session.local_identity_key,
        session.remote_identity_key,
        session.remote_registration_id,
        session.base_key,
        ratchet,
        pending,
        session.used_prekeys,
        session.without_one_time_prekey,
        session.version,
    )
    return new_tuple(Session, fields)
