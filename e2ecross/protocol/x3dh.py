# SPDX-License-Identifier: Apache-2.0
"""X3DH: two identities agree on a first root key, one of them offline.

Differences from the published text (both are what deployed Signal clients do): the associated
data is sender's, then receiver's identity key, 33 bytes each; the output is 64 bytes, a root key
and the chain key of the responder's signed prekey.

Source: X3DH (revision 1, 2016-11-04) section 3.
"""

from dataclasses import dataclass

from e2ecross.crypto.kdf import ChainKey, RootKey, derive_initial_keys
from e2ecross.crypto.keys import AgreementKey, KeyPair
from e2ecross.crypto.secret import Secret
from e2ecross.protocol.agreements import initiator_agreements, responder_agreements
from e2ecross.protocol.verified_bundle import VerifiedBundle
from e2ecross.wire.signal_message import PreKeySignalMessage

__all__ = ["X3dhKeys", "x3dh_as_initiator", "x3dh_as_responder"]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class X3dhKeys(Secret):
    """What the two have agreed on.

    Attributes:
        root_key: the first one, 32 bytes, secret.
        chain_key: of the responder's signed prekey as ratchet key, 32 bytes, secret.
    """

    root_key: RootKey
    chain_key: ChainKey


def x3dh_as_initiator(
    identity_key_pair: KeyPair, base_key_pair: KeyPair, bundle: VerifiedBundle
) -> X3dhKeys:
    """Agree as initiator (Alice).

    Args:
        identity_key_pair: IK_A.
        base_key_pair: EK_A, fresh; forget it afterwards.
        bundle: the responder's.

    Raises:
        InvalidKey: an agreement is all zero.

    Source: X3DH section 3.3.
    """
    agreements = initiator_agreements(
        identity_key_pair,
        base_key_pair,
        bundle.identity_key,
        bundle.signed_prekey,
        bundle.one_time_prekey,
    )
    return X3dhKeys(*derive_initial_keys(agreements))


def x3dh_as_responder(
    identity_key_pair: KeyPair,
    signed_prekey: KeyPair,
    one_time_prekey: AgreementKey | None,
    message: PreKeySignalMessage,
) -> X3dhKeys:
    """Agree as responder (Bob), on what a first message says.

    Nothing is authenticated yet: keep the keys only after the message inside has been read.

    Args:
        identity_key_pair: IK_B.
        signed_prekey: SPK_B, the one that the message names.
        one_time_prekey: OPK_B, the one that the message names, or None if it names none.
        message: the first message.

    Raises:
        InvalidKey: an agreement is all zero.

    Source: X3DH section 3.4.
    """
    agreements = responder_agreements(
        identity_key_pair,
        signed_prekey,
        one_time_prekey,
        message.identity_key,
        message.base_key,
    )
    return X3dhKeys(*derive_initial_keys(agreements))
