# SPDX-License-Identifier: Apache-2.0
"""How sessions start: the agreement of their version, and the first state of their ratchets.

Rules:
- The bundle decides on the version, and the first message says it. A version is a value that holds
  its agreement for both ends; what follows is the same for all.
- The initiator's ephemeral (base) key is forgotten when the session has been made.
- No chain is kept that nobody ever sends on.

Source: X3DH (revision 1, 2016-11-04) section 3; PQXDH (revision 3, 2024-01-23) section 3; Double
Ratchet (revision 1, 2016-11-20) section 3.3.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from e2ecross.arguments import forgets_secrets
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.kdf import ChainKey, RootKey, hash_kem_ciphertext
from e2ecross.crypto.kem import KemKeyPair
from e2ecross.crypto.keys import AgreementKey, KeyPair, generate_key_pair
from e2ecross.crypto.secret import Secret
from e2ecross.errors import InvalidKey
from e2ecross.protocol.message_chain import SendingChain
from e2ecross.protocol.pqxdh import agree_as_initiator, agree_as_responder
from e2ecross.protocol.ratchet import RatchetState
from e2ecross.protocol.root_chain import advance_root_chain
from e2ecross.protocol.session import PendingPrekey, Session, UsedPrekeys
from e2ecross.protocol.spqr.state import SpqrState, start_spqr
from e2ecross.protocol.verified_bundle import VerifiedBundle
from e2ecross.protocol.x3dh import x3dh_as_initiator, x3dh_as_responder
from e2ecross.wire.signal_message import (
    VERSION_3,
    VERSION_4,
    KyberPrekeyUse,
    MessageVersion,
    PreKeySignalMessage,
)

__all__ = ["OwnPrekeys", "initiate_session", "prekeys_named", "respond_to_session"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class OwnPrekeys(Secret):
    """Our keys that a first message names.

    Attributes:
        signed_prekey: SPK_B.
        one_time_prekey: OPK_B, or None if it names none.
        kyber_prekey: PQPK_B, or None in version 3.
    """

    signed_prekey: KeyPair
    one_time_prekey: AgreementKey | None = None
    kyber_prekey: KemKeyPair | None = None


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Agreed(Secret):
    root_key: RootKey
    chain_key: ChainKey
    spqr: SpqrState | None
    kyber: KyberPrekeyUse | None


@dataclass(frozen=True, slots=True)
class _Agreement:
    """What the two ends do to agree, in one version of the protocol."""

    initiate: Callable[[KeyPair, KeyPair, VerifiedBundle, EntropySource, bool], _Agreed]
    respond: Callable[[KeyPair, OwnPrekeys, PreKeySignalMessage, bool], _Agreed]


@forgets_secrets
def initiate_session(
    identity_key_pair: KeyPair,
    bundle: VerifiedBundle,
    entropy: EntropySource,
    now_ms: int,
    *,
    require_spqr: bool = True,
) -> Session:
    """Start a session as initiator (Alice); it can encrypt at once.

    Args:
        identity_key_pair: IK_A.
        bundle: the responder's; with a Kyber prekey the session is one of version 4.
        entropy: for the base key EK_A, an encapsulation in version 4, and then the first ratchet
            key pair; 32 bytes for each key.
        now_ms: milliseconds since 1970.
        require_spqr: whether a peer of version 4 must run the post-quantum ratchet.

    Raises:
        InvalidKey: an agreement is all zero.

    Source: X3DH section 3.3; PQXDH section 3.3; Double Ratchet section 3.3 (RatchetInitAlice).
    """
    version = VERSION_3 if bundle.kyber_prekey is None else VERSION_4
    base_key_pair = generate_key_pair(entropy)
    # The chain key belongs to the signed prekey as ratchet key; nobody sends on that chain.
    agreed = _AGREEMENTS[version].initiate(
        identity_key_pair, base_key_pair, bundle, entropy, require_spqr
    )
    ratchet_key_pair = generate_key_pair(entropy)
    root_key, chain_key = advance_root_chain(
        agreed.root_key, ratchet_key_pair, bundle.signed_prekey
    )
    return Session(
        local_identity_key=identity_key_pair.public,
        remote_identity_key=bundle.identity_key,
        remote_registration_id=bundle.registration_id,
        base_key=base_key_pair.public,
        ratchet=_first_state(root_key, ratchet_key_pair, chain_key, agreed.spqr),
        pending=PendingPrekey(
            bundle.one_time_prekey_id, bundle.signed_prekey_id, now_ms, agreed.kyber
        ),
        used_prekeys=None,
        without_one_time_prekey=bundle.one_time_prekey is None,
        version=version,
    )


def respond_to_session(
    identity_key_pair: KeyPair,
    prekeys: OwnPrekeys,
    message: PreKeySignalMessage,
    *,
    require_spqr: bool = True,
) -> Session:
    """Make the responder's (Bob's) side of the session that a first message wants to start.

    Nothing is authenticated yet: keep the session only after the message inside has been read.

    Args:
        identity_key_pair: IK_B.
        prekeys: those that the message names.
        message: the first message.
        require_spqr: whether a peer of version 4 must run the post-quantum ratchet.

    Raises:
        InvalidKey: an agreement is all zero, or a key is not what the version asks for.

    Source: X3DH section 3.4; PQXDH section 3.4; Double Ratchet section 3.3 (RatchetInitBob).
    """
    version = message.message.version
    agreed = _AGREEMENTS[version].respond(identity_key_pair, prekeys, message, require_spqr)
    return Session(
        local_identity_key=identity_key_pair.public,
        remote_identity_key=message.identity_key,
        remote_registration_id=message.registration_id,
        base_key=message.base_key,
        # The signed prekey is the first ratchet key; the first message turns it at once.
        ratchet=_first_state(agreed.root_key, prekeys.signed_prekey, agreed.chain_key, agreed.spqr),
        pending=None,
        used_prekeys=prekeys_named(message),
        without_one_time_prekey=prekeys.one_time_prekey is None,
        version=version,
    )


def prekeys_named(message: PreKeySignalMessage) -> UsedPrekeys:
    """Return what a prekey message says about the start of its session; nothing is checked."""
    kyber = message.kyber
    return UsedPrekeys(
        message.one_time_prekey_id,
        message.signed_prekey_id,
        None if kyber is None else kyber.prekey_id,
        None if kyber is None else hash_kem_ciphertext(kyber.ciphertext),
    )


def _initiate_3(
    identity: KeyPair, base: KeyPair, bundle: VerifiedBundle, _: EntropySource, __: bool
) -> _Agreed:
    keys = x3dh_as_initiator(identity, base, bundle)
    return _Agreed(keys.root_key, keys.chain_key, None, None)


def _respond_3(
    identity: KeyPair, prekeys: OwnPrekeys, message: PreKeySignalMessage, _: bool
) -> _Agreed:
    keys = x3dh_as_responder(identity, prekeys.signed_prekey, prekeys.one_time_prekey, message)
    return _Agreed(keys.root_key, keys.chain_key, None, None)


def _initiate_4(
    identity: KeyPair,
    base: KeyPair,
    bundle: VerifiedBundle,
    entropy: EntropySource,
    require_spqr: bool,
) -> _Agreed:
    keys, use = agree_as_initiator(identity, base, bundle, entropy)
    spqr = start_spqr(keys.auth_key, is_initiator=True, is_required=require_spqr)
    return _Agreed(keys.root_key, keys.chain_key, spqr, use)


def _respond_4(
    identity: KeyPair, prekeys: OwnPrekeys, message: PreKeySignalMessage, require_spqr: bool
) -> _Agreed:
    if prekeys.kyber_prekey is None:
        raise InvalidKey("the first message names no Kyber prekey")
    keys = agree_as_responder(
        identity, prekeys.signed_prekey, prekeys.one_time_prekey, prekeys.kyber_prekey, message
    )
    spqr = start_spqr(keys.auth_key, is_initiator=False, is_required=require_spqr)
    return _Agreed(keys.root_key, keys.chain_key, spqr, None)


_AGREEMENTS: Final[dict[MessageVersion, _Agreement]] = {
    VERSION_3: _Agreement(_initiate_3, _respond_3),
    VERSION_4: _Agreement(_initiate_4, _respond_4),
}


def _first_state(
    root_key: RootKey, ratchet_key_pair: KeyPair, chain_key: ChainKey, spqr: SpqrState | None
) -> RatchetState:
    return RatchetState(
        root_key=root_key,
        sending=SendingChain(ratchet_key_pair, chain_key, 0),
        previous_counter=0,
        receiving=(),
        spqr=spqr,
    )
