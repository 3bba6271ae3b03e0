# SPDX-License-Identifier: Apache-2.0
"""Sessions as records: `Session` to and from what the store keeps.

Rules:
- A session read back is checked as if it came from outside; damage is `RecordCorrupted`.
- Skipped message keys are kept apart, in buckets, so that a session's own record stays small. A
  session is read without them, and those that an operation needs are given to it.

Source: docs/wire-format.md, records at rest.
"""

from collections.abc import Mapping

from e2ecross.crypto.kdf import ChainKey, MessageKey, RootKey
from e2ecross.crypto.kem import decode_kem_ciphertext
from e2ecross.crypto.keys import KeyPair, PrivateKey, decode_public_key
from e2ecross.errors import InvalidKey, RecordCorrupted
from e2ecross.protocol.message_chain import ReceivingChain, SendingChain, StoppedSending
from e2ecross.protocol.ratchet import RatchetState
from e2ecross.protocol.session import (
    PendingPrekey,
    Session,
    UsedPrekeys,
    with_receiving_chains,
    with_spqr,
)
from e2ecross.protocol.skipped_keys import NO_SKIPPED_KEYS, SkippedKeys
from e2ecross.protocol.spqr.state import SpqrState
from e2ecross.protocol.spqr.storage import spqr_to_record, without_spqr_buckets
from e2ecross.wire.session_records import (
    StoredChain,
    StoredPending,
    StoredSession,
    StoredUsedPrekeys,
)
from e2ecross.wire.signal_message import VERSION_3, VERSION_4, KyberPrekeyUse

__all__ = [
    "SkippedBuckets",
    "session_from_record",
    "session_to_record",
    "with_all_buckets",
    "with_buckets",
    "without_buckets",
]

SkippedBuckets = Mapping[int, Mapping[int, MessageKey]]
"""Bucket number to message number to message key: what the rows of one chain hold."""


def session_to_record(session: Session) -> StoredSession:
    """Return what is stored of a session, without its skipped message keys."""
    ratchet = session.ratchet
    pending = session.pending
    used = session.used_prekeys
    sending = ratchet.sending
    key_pair = None if sending is None else sending.ratchet_key_pair
    chain = sending if isinstance(sending, SendingChain) else None
    return StoredSession(
        local_identity_key=session.local_identity_key,
        remote_identity_key=session.remote_identity_key,
        remote_registration_id=session.remote_registration_id,
        base_key=session.base_key,
        root_key=ratchet.root_key,
        ratchet_private_key=None if key_pair is None else key_pair.private,
        ratchet_public_key=None if key_pair is None else key_pair.public,
        sending_chain_key=None if chain is None else chain.chain_key,
        sending_message_number=0 if chain is None else chain.message_number,
        previous_counter=ratchet.previous_counter,
        receiving_chains=tuple([_chain_to_record(chain) for chain in ratchet.receiving]),
        pending=None
        if pending is None
        else StoredPending(
            pending.one_time_prekey_id,
            pending.signed_prekey_id,
            pending.created_at_ms,
            None if pending.kyber is None else pending.kyber.prekey_id,
        ),
        used_prekeys=None
        if used is None
        else StoredUsedPrekeys(
            used.one_time_prekey_id,
            used.signed_prekey_id,
            used.kyber_prekey_id,
            used.kem_ciphertext_hash,
        ),
        without_one_time_prekey=session.without_one_time_prekey,
        version=session.version.number,
        spqr=None if ratchet.spqr is None else spqr_to_record(ratchet.spqr),
        stopped=isinstance(sending, StoppedSending),
    )


def with_buckets(session: Session, buckets: Mapping[bytes, SkippedBuckets]) -> Session:
    """Return the session with stored keys at hand, given by ratchet key (33 bytes)."""

    def chain_with_buckets(chain: ReceivingChain) -> ReceivingChain:
        found = buckets.get(chain.ratchet_key)
        if found is None:
            return chain
        return ReceivingChain(
            chain.ratchet_key,
            chain.chain_key,
            chain.message_number,
            SkippedKeys(found, len(chain.skipped)),
            chain.may_have_no_pq_key,
        )

    return with_receiving_chains(session, map(chain_with_buckets, session.ratchet.receiving))


def with_all_buckets(session: Session, buckets: Mapping[bytes, SkippedBuckets]) -> Session:
    """The same, where these are all of them.

    Raises:
        RecordCorrupted: they are not as many as the session says.
    """
    for chain in session.ratchet.receiving:
        found = buckets.get(chain.ratchet_key, {})
        if sum(map(len, found.values())) != len(chain.skipped):
            raise RecordCorrupted(
                "a session and its skipped message keys differ: the store is damaged"
            )
    return with_buckets(session, buckets)


def without_buckets(session: Session) -> Session:
    """Return the session with none of its stored keys at hand."""
    spqr = session.ratchet.spqr
    if spqr is not None:
        slim = without_spqr_buckets(spqr)
        if slim is not spqr:
            session = with_spqr(session, slim)
    chains = session.ratchet.receiving
    for chain in chains:
        if chain.skipped.buckets or chain.skipped.forgotten:
            return with_receiving_chains(session, map(_without_buckets, chains))
    return session


def session_from_record(
    stored: StoredSession, spqr: SpqrState | None = None, kyber_ciphertext: bytes = b""
) -> Session:
    """Make a session of what was stored, without its skipped message keys.

    Args:
        stored: the decoded record.
        spqr: made of the record's `spqr` and what else is stored of it.
        kyber_ciphertext: 1569 bytes, if the record says that one is repeated.

    Raises:
        RecordCorrupted: a value is impossible.
    """
    try:
        return Session(
            local_identity_key=decode_public_key(stored.local_identity_key),
            remote_identity_key=decode_public_key(stored.remote_identity_key),
            remote_registration_id=stored.remote_registration_id,
            base_key=decode_public_key(stored.base_key),
            ratchet=RatchetState(
                root_key=RootKey(stored.root_key),
                sending=_sending_from_record(stored),
                previous_counter=stored.previous_counter,
                receiving=tuple(_chain_from_record(chain) for chain in stored.receiving_chains),
                spqr=spqr,
            ),
            pending=_pending_from_record(stored.pending, kyber_ciphertext),
            used_prekeys=None
            if stored.used_prekeys is None
            else UsedPrekeys(
                stored.used_prekeys.one_time_prekey_id,
                stored.used_prekeys.signed_prekey_id,
                stored.used_prekeys.kyber_prekey_id,
                stored.used_prekeys.kem_ciphertext_hash,
            ),
            without_one_time_prekey=stored.without_one_time_prekey,
            version=VERSION_3 if stored.version == VERSION_3.number else VERSION_4,
        )
    except InvalidKey as error:
        raise RecordCorrupted("a session holds an impossible key: the store is damaged") from error


def _sending_from_record(stored: StoredSession) -> SendingChain | StoppedSending | None:
    key_pair = None
    if stored.ratchet_private_key is not None and stored.ratchet_public_key is not None:
        key_pair = KeyPair(
            PrivateKey(stored.ratchet_private_key), decode_public_key(stored.ratchet_public_key)
        )
    if stored.stopped:
        return StoppedSending(key_pair)
    if key_pair is None or stored.sending_chain_key is None:
        return None
    return SendingChain(key_pair, ChainKey(stored.sending_chain_key), stored.sending_message_number)


def _pending_from_record(
    stored: StoredPending | None, kyber_ciphertext: bytes
) -> PendingPrekey | None:
    if stored is None:
        return None
    kyber = None
    if stored.kyber_prekey_id is not None:
        kyber = KyberPrekeyUse(stored.kyber_prekey_id, decode_kem_ciphertext(kyber_ciphertext))
    return PendingPrekey(
        stored.one_time_prekey_id, stored.signed_prekey_id, stored.created_at_ms, kyber
    )


def _chain_to_record(chain: ReceivingChain) -> StoredChain:
    return StoredChain(
        chain.ratchet_key,
        chain.chain_key,
        chain.message_number,
        len(chain.skipped),
        chain.may_have_no_pq_key,
    )


def _chain_from_record(stored: StoredChain) -> ReceivingChain:
    return ReceivingChain(
        decode_public_key(stored.ratchet_key),
        None if stored.chain_key is None else ChainKey(stored.chain_key),
        stored.message_number,
        SkippedKeys({}, stored.skipped_count) if stored.skipped_count else NO_SKIPPED_KEYS,
        stored.may_have_no_pq_key,
    )


def _without_buckets(chain: ReceivingChain) -> ReceivingChain:
    return ReceivingChain(
        chain.ratchet_key,
        chain.chain_key,
        chain.message_number,
        chain.skipped.left_in_store(),
        chain.may_have_no_pq_key,
    )
