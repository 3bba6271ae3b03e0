# SPDX-License-Identifier: Apache-2.0
"""The Diffie-Hellman agreements that start a session, the same in X3DH and in PQXDH.

Source: X3DH (revision 1, 2016-11-04) section 3; PQXDH (revision 3, 2024-01-23) section 3.
"""

from e2ecross.crypto.keys import AgreementKey, KeyPair, PublicKey, agree

__all__ = ["initiator_agreements", "responder_agreements"]


def initiator_agreements(
    identity_key_pair: KeyPair,
    base_key_pair: KeyPair,
    remote_identity_key: PublicKey,
    signed_prekey: PublicKey,
    one_time_prekey: PublicKey | None,
) -> bytes:
    """Return DH1 || DH2 || DH3 [|| DH4] as the initiator (Alice): 96 or 128 bytes, secret.

    Args:
        identity_key_pair: IK_A.
        base_key_pair: EK_A.
        remote_identity_key: IK_B, 33 bytes.
        signed_prekey: SPK_B, 33 bytes.
        one_time_prekey: OPK_B, 33 bytes, or None.

    Raises:
        InvalidKey: an agreement is all zero.

    Source: X3DH section 3.3.
    """
    agreements = (
        agree(identity_key_pair.private, signed_prekey)
        + agree(base_key_pair.private, remote_identity_key)
        + agree(base_key_pair.private, signed_prekey)
    )
    if one_time_prekey is None:
        return agreements
    return agreements + agree(base_key_pair.private, one_time_prekey)


def responder_agreements(
    identity_key_pair: KeyPair,
    signed_prekey: KeyPair,
    one_time_prekey: AgreementKey | None,
    remote_identity_key: PublicKey,
    base_key: PublicKey,
) -> bytes:
    """Return DH1 || DH2 || DH3 [|| DH4] as the responder (Bob): 96 or 128 bytes, secret.

    Args:
        identity_key_pair: IK_B.
        signed_prekey: SPK_B.
        one_time_prekey: OPK_B, or None if the initiator used none.
        remote_identity_key: IK_A, 33 bytes.
        base_key: EK_A, 33 bytes.

    Raises:
        InvalidKey: an agreement is all zero.

    Source: X3DH section 3.4.
    """
    agreements = (
        agree(signed_prekey.private, remote_identity_key)
        + agree(identity_key_pair.private, base_key)
        + agree(signed_prekey.private, base_key)
    )
    if one_time_prekey is None:
        return agreements
    return agreements + agree(one_time_prekey.private, base_key)
