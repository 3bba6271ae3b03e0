# SPDX-License-Identifier: Apache-2.0
"""Bundles of others, once their keys and signatures have been checked.

Rules:
- Every key and every signature of a bundle is checked before any agreement.

Source: X3DH (revision 1, 2016-11-04) section 3.3; PQXDH (revision 3, 2024-01-23) section 3.3.
"""

from dataclasses import dataclass

from e2ecross.crypto.kem import KemPublicKey, decode_kem_public_key
from e2ecross.crypto.keys import PublicKey, decode_public_key
from e2ecross.crypto.xeddsa import verify_signature
from e2ecross.errors import DecodeError
from e2ecross.wire.bundle import PreKeyBundle

__all__ = ["VerifiedBundle", "VerifiedKyberPrekey", "verify_bundle", "verify_kyber_prekey"]


@dataclass(frozen=True, slots=True)
class VerifiedKyberPrekey:
    """A Kyber prekey whose signature has been checked; made by `verify_kyber_prekey` only.

    Attributes:
        prekey_id: of PQPK_B.
        public_key: PQPK_B, 1569 bytes.
    """

    prekey_id: int
    public_key: KemPublicKey


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
        kyber_prekey: PQPK_B, or None: then the session is one of version 3.
    """

    registration_id: int
    identity_key: PublicKey
    signed_prekey_id: int
    signed_prekey: PublicKey
    one_time_prekey_id: int | None
    one_time_prekey: PublicKey | None
    kyber_prekey: VerifiedKyberPrekey | None = None


def verify_bundle(bundle: PreKeyBundle) -> VerifiedBundle:
    """Check a bundle from outside.

    Raises:
        InvalidKey: a key has the wrong length, is not canonical, or is of low order.
        InvalidSignature: a signed or a Kyber prekey is not signed by the identity key.
        DecodeError: the one-time prekey has the id 0, which means "none" on the wire.

    Source: X3DH section 3.3 (first step), section 4.8 (identity binding is the caller's); PQXDH
    section 3.3 (first step).
    """
    identity_key = decode_public_key(bundle.identity_key)
    signed_prekey = decode_public_key(bundle.signed_prekey)
    one_time_prekey = None
    if bundle.one_time_prekey is not None:
        one_time_prekey = decode_public_key(bundle.one_time_prekey)
        if bundle.one_time_prekey_id == 0:
            raise DecodeError("a bundle's one-time prekey has the id 0, which means none")
    verify_signature(identity_key, signed_prekey, bundle.signed_prekey_signature)
    kyber_prekey = None
    if (
        bundle.kyber_prekey_id is not None
        and bundle.kyber_prekey is not None
        and bundle.kyber_prekey_signature is not None
    ):
        kyber_prekey = verify_kyber_prekey(
            identity_key,
            bundle.kyber_prekey_id,
            bundle.kyber_prekey,
            bundle.kyber_prekey_signature,
        )
    return VerifiedBundle(
        registration_id=bundle.registration_id,
        identity_key=identity_key,
        signed_prekey_id=bundle.signed_prekey_id,
        signed_prekey=signed_prekey,
        one_time_prekey_id=bundle.one_time_prekey_id,
        one_time_prekey=one_time_prekey,
        kyber_prekey=kyber_prekey,
    )


def verify_kyber_prekey(
    identity_key: PublicKey, prekey_id: int, public_key: bytes, signature: bytes
) -> VerifiedKyberPrekey:
    """Check the Kyber prekey of a bundle from outside.

    Args:
        identity_key: IK_B, 33 bytes.
        prekey_id: of PQPK_B.
        public_key: PQPK_B, 1569 bytes.
        signature: by the identity key over `public_key`, 64 bytes.

    Raises:
        InvalidKey: the key has the wrong length or type, or is not canonical.
        InvalidSignature: it is not signed by the identity key.

    Source: PQXDH section 3.3 (first step).
    """
    key = decode_kem_public_key(public_key)
    verify_signature(identity_key, key, signature)
    return VerifiedKyberPrekey(prekey_id, key)
