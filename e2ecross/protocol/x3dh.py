# SPDX-License-Identifier: Apache-2.0
"""X3DH: two identities agree on a first root key, one of them offline.

Rules:
- Every key and the signature of a bundle are checked before any agreement.
- The initiator's ephemeral (base) key is forgotten when the session has been made.
- No chain is kept that nobody ever sends on.

Differences from the published text (both are what deployed Signal clients do): the associated
data is sender's, then receiver's identity key, 33 bytes each; the output is 64 bytes, a root key
and the chain key of the responder's signed prekey.

Source: X3DH (revision 1, 2016-11-04) section 3.
"""

from dataclasses import dataclass

from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.kdf import ChainKey, RootKey, derive_initial_keys
from e2ecross.crypto.keys import KeyPair, PublicKey, decode_public_key, generate_key_pair
from e2ecross.crypto.xeddsa import verify_signature
from e2ecross.errors import DecodeError
from e2ecross.protocol.agreements import initiator_agreements, responder_agreements
from e2ecross.protocol.message_chain import SendingChain
from e2ecross.protocol.ratchet import RatchetState
from e2ecross.protocol.root_chain import advance_root_chain
from e2ecross.protocol.session import PendingPrekey, Session, UsedPrekeys
from e2ecross.wire.bundle import PreKeyBundle
from e2ecross.wire.signal_message import PreKeySignalMessage

__all__ = ["VerifiedBundle", "initiate_session", "respond_to_session", "verify_bundle"]


@dataclass(frozen=True, slots=True)
class VerifiedBundle:
    """A bundle whose keys and signature have been checked; made by `verify_bundle` only.

    Attributes:
        registration_id: the responder's.
        identity_key: IK_B, 33 bytes.
        signed_prekey_id: of SPK_B.
        signed_prekey: SPK_B, 33 bytes.
        one_time_prekey_id: of OPK_B, never 0, or None.
        one_time_prekey: OPK_B, 33 bytes, or None.
    """

    registration_id: int
    identity_key: PublicKey
    signed_prekey_id: int
    signed_prekey: PublicKey
    one_time_prekey_id: int | None
    one_time_prekey: PublicKey | None


def verify_bundle(bundle: PreKeyBundle) -> VerifiedBundle:
    """Check a bundle from outside.

    Raises:
        InvalidKey: a key has the wrong length, is not canonical, or is of low order.
        InvalidSignature: the signed prekey is not signed by the identity key.
        DecodeError: the one-time prekey has the id 0, which means "none" on the wire.

    Source: X3DH section 3.3 (first step), section 4.8 (identity binding is the caller's).
    """
    identity_key = decode_public_key(bundle.identity_key)
    signed_prekey = decode_public_key(bundle.signed_prekey)
    one_time_prekey = None
    if bundle.one_time_prekey is not None:
        one_time_prekey = decode_public_key(bundle.one_time_prekey)
        if bundle.one_time_prekey_id == 0:
            raise DecodeError("a bundle's one-time prekey has the id 0, which means none")
    verify_signature(identity_key, signed_prekey, bundle.signed_prekey_signature)
    return VerifiedBundle(
        registration_id=bundle.registration_id,
        identity_key=identity_key,
        signed_prekey_id=bundle.signed_prekey_id,
        signed_prekey=signed_prekey,
        one_time_prekey_id=bundle.one_time_prekey_id,
        one_time_prekey=one_time_prekey,
    )


def initiate_session(
    identity_key_pair: KeyPair, bundle: VerifiedBundle, entropy: EntropySource, now_ms: int
) -> Session:
    """Start a session as initiator (Alice); it can encrypt at once.

    Args:
        identity_key_pair: IK_A.
        bundle: the responder's.
        entropy: for the base key EK_A and then the first ratchet key pair, 32 bytes each.
        now_ms: milliseconds since 1970.

    Raises:
        InvalidKey: an agreement is all zero.

    Source: X3DH section 3.3; Double Ratchet section 3.3 (RatchetInitAlice).
    """
    base_key_pair = generate_key_pair(entropy)
    agreements = initiator_agreements(
        identity_key_pair,
        base_key_pair,
        bundle.identity_key,
        bundle.signed_prekey,
        bundle.one_time_prekey,
    )
    # The chain key belongs to the signed prekey as ratchet key; nobody sends on that chain.
    root_key, _ = derive_initial_keys(agreements)
    ratchet_key_pair = generate_key_pair(entropy)
    root_key, chain_key = advance_root_chain(root_key, ratchet_key_pair, bundle.signed_prekey)
    return Session(
        local_identity_key=identity_key_pair.public,
        remote_identity_key=bundle.identity_key,
        remote_registration_id=bundle.registration_id,
        base_key=base_key_pair.public,
        ratchet=_first_state(root_key, ratchet_key_pair, chain_key),
        pending=PendingPrekey(bundle.one_time_prekey_id, bundle.signed_prekey_id, now_ms),
        used_prekeys=None,
        without_one_time_prekey=bundle.one_time_prekey is None,
    )


def respond_to_session(
    identity_key_pair: KeyPair,
    signed_prekey: KeyPair,
    one_time_prekey: KeyPair | None,
    message: PreKeySignalMessage,
) -> Session:
    """Make the responder's (Bob's) side of the session that a first message wants to start.

    Nothing is authenticated yet: keep the session only after the message inside has been read.

    Args:
        identity_key_pair: IK_B.
        signed_prekey: SPK_B, the one that the message names.
        one_time_prekey: OPK_B, the one that the message names, or None if it names none.
        message: the first message.

    Raises:
        InvalidKey: an agreement is all zero.

    Source: X3DH section 3.4; Double Ratchet section 3.3 (RatchetInitBob).
    """
    agreements = responder_agreements(
        identity_key_pair,
        signed_prekey,
        one_time_prekey,
        message.identity_key,
        message.base_key,
    )
    root_key, chain_key = derive_initial_keys(agreements)
    return Session(
        local_identity_key=identity_key_pair.public,
        remote_identity_key=message.identity_key,
        remote_registration_id=message.registration_id,
        base_key=message.base_key,
        # The signed prekey is the first ratchet key; the first message turns it at once.
        ratchet=_first_state(root_key, signed_prekey, chain_key),
        pending=None,
        used_prekeys=UsedPrekeys(message.one_time_prekey_id, message.signed_prekey_id),
        without_one_time_prekey=one_time_prekey is None,
    )


def _first_state(root_key: RootKey, ratchet_key_pair: KeyPair, chain_key: ChainKey) -> RatchetState:
    return RatchetState(
        root_key=root_key,
        sending=SendingChain(ratchet_key_pair, chain_key, 0),
        previous_counter=0,
        receiving=(),
    )
