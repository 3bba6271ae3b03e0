# SPDX-License-Identifier: Apache-2.0
"""PQXDH: X3DH with a KEM beside the agreements, so that both have to be broken.

Rules:
- The signatures of both prekeys have been checked before any agreement (`verified_bundle.py`). A
  bundle without a Kyber prekey is none for PQXDH.
- The KEM gives secrecy, not authentication: who the two are is still said by their X25519 keys.

Differences from the published text (both are what deployed Signal clients do): the associated
data does not hold the KEM's key; the output is 96 bytes, a root key, the chain key of the
responder's signed prekey, and a key for SPQR.

Source: PQXDH (revision 3, 2024-01-23) section 3.
"""

from dataclasses import dataclass

from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.kdf import ChainKey, RootKey
from e2ecross.crypto.kem import (
    KemKeyPair,
    decapsulate,
    encapsulate,
)
from e2ecross.crypto.keys import AgreementKey, KeyPair
from e2ecross.crypto.prime_order import require_prime_order
from e2ecross.crypto.secret import Secret
from e2ecross.crypto.spqr_kdf import AuthKey, derive_pqxdh_keys
from e2ecross.errors import InvalidKey
from e2ecross.protocol.agreements import initiator_agreements, responder_agreements
from e2ecross.protocol.verified_bundle import VerifiedBundle
from e2ecross.wire.signal_message import KyberPrekeyUse, PreKeySignalMessage

__all__ = [
    "PqxdhKeys",
    "agree_as_initiator",
    "agree_as_responder",
]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class PqxdhKeys(Secret):
    """What the two have agreed on.

    Attributes:
        root_key: the first one, 32 bytes, secret.
        chain_key: of the responder's signed prekey as ratchet key, 32 bytes, secret.
        auth_key: for SPQR, 32 bytes, secret.
    """

    root_key: RootKey
    chain_key: ChainKey
    auth_key: AuthKey


def agree_as_initiator(
    identity_key_pair: KeyPair,
    base_key_pair: KeyPair,
    bundle: VerifiedBundle,
    entropy: EntropySource,
) -> tuple[PqxdhKeys, KyberPrekeyUse]:
    """Agree as initiator (Alice).

    Args:
        identity_key_pair: IK_A.
        base_key_pair: EK_A, fresh; forget it afterwards.
        bundle: the responder's.
        entropy: for one encapsulation.

    Returns:
        The keys, and what the first messages say of the KEM.

    Raises:
        InvalidKey: the bundle has no Kyber prekey, or an agreement is all zero.

    Source: PQXDH section 3.3.
    """
    kyber_prekey = bundle.kyber_prekey
    if kyber_prekey is None:
        raise InvalidKey("the bundle has no Kyber prekey")
    agreements = initiator_agreements(
        identity_key_pair,
        base_key_pair,
        bundle.identity_key,
        bundle.signed_prekey,
        bundle.one_time_prekey,
    )
    secret, ciphertext = encapsulate(kyber_prekey.public_key, entropy)
    use = KyberPrekeyUse(kyber_prekey.prekey_id, ciphertext)
    return PqxdhKeys(*derive_pqxdh_keys(agreements, secret)), use


def agree_as_responder(
    identity_key_pair: KeyPair,
    signed_prekey: KeyPair,
    one_time_prekey: AgreementKey | None,
    kyber_prekey: KemKeyPair,
    message: PreKeySignalMessage,
) -> PqxdhKeys:
    """Agree as responder (Bob), on what a first message says.

    Nothing is authenticated yet: keep the keys only after the message inside has been read.

    Args:
        identity_key_pair: IK_B.
        signed_prekey: SPK_B, the one that the message names.
        one_time_prekey: OPK_B, the one that the message names, or None if it names none.
        kyber_prekey: PQPK_B, the one that the message names.
        message: the first message, of version 4.

    Raises:
        InvalidKey: the base key is not a point of prime order, or an agreement is all zero, or
            the message has no KEM ciphertext.

    Source: PQXDH section 3.4.
    """
    require_prime_order(message.base_key)
    agreements = responder_agreements(
        identity_key_pair,
        signed_prekey,
        one_time_prekey,
        message.identity_key,
        message.base_key,
    )
    ciphertext = b"" if message.kyber is None else message.kyber.ciphertext
    secret = decapsulate(kyber_prekey, ciphertext)
    return PqxdhKeys(*derive_pqxdh_keys(agreements, secret))
