# SPDX-License-Identifier: Apache-2.0
"""The root chain: each agreement of ratchet keys gives a new root key and a fresh chain key.

Source: Double Ratchet (revision 1, 2016-11-20) sections 2.3 and 3.5.
"""

from e2ecross.crypto.kdf import ChainKey, RootKey, derive_root_and_chain_key
from e2ecross.crypto.keys import KeyPair, PublicKey, agree

__all__ = ["advance_root_chain"]


def advance_root_chain(
    root_key: RootKey, local_ratchet_key_pair: KeyPair, remote_ratchet_key: PublicKey
) -> tuple[RootKey, ChainKey]:
    """One Diffie-Hellman ratchet step.

    Args:
        root_key: 32 bytes, secret.
        local_ratchet_key_pair: ours.
        remote_ratchet_key: theirs, 33 bytes.

    Returns:
        The next root key and a fresh chain key, 32 bytes each.

    Raises:
        InvalidKey: the agreement is all zero.

    Source: Double Ratchet section 3.5 (half of DHRatchet).
    """
    dh_output = agree(local_ratchet_key_pair.private, remote_ratchet_key)
    return derive_root_and_chain_key(root_key, dh_output)
