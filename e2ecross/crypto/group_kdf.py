# SPDX-License-Identifier: Apache-2.0
"""What members of groups sign and hash: every label of it.

Prefixes and lengths as in `account_kdf.py`: nothing that is signed or hashed here is the same bytes
as anything else.

Source: docs/wire-format.md, groups.
"""

import hashlib
from collections.abc import Sequence
from typing import Final

from e2ecross.crypto.account_kdf import lp, prefixed

__all__ = [
    "DISTRIBUTION_ID_BYTES",
    "commit_message",
    "hash_commit",
    "hash_context",
    "hash_genesis",
    "make_distribution_id",
]

DISTRIBUTION_ID_BYTES: Final = 16


def commit_message(encoded: bytes) -> bytes:
    """What an account key signs: an encoded commit of a group."""
    return prefixed("group-commit/v1") + lp(encoded)


def hash_commit(encoded: bytes) -> bytes:
    """The hash of an encoded commit, 32 bytes, which does not depend on its signature."""
    return hashlib.sha256(prefixed("group-commit-hash/v1") + lp(encoded)).digest()


def hash_genesis(encoded: bytes) -> bytes:
    """The id of the group that an encoded commit begins, 32 bytes."""
    return hashlib.sha256(prefixed("group-id/v1") + lp(encoded)).digest()


def hash_context(group_id: bytes, heads: Sequence[bytes]) -> bytes:
    """The hash of a state of a group, 32 bytes.

    Args:
        group_id: 32 bytes.
        heads: hashes of the newest commits, 32 bytes each, ascending.
    """
    parts = group_id + len(heads).to_bytes(4) + b"".join(heads)
    return hashlib.sha256(prefixed("group-context/v1") + parts).digest()


def make_distribution_id(
    group_id: bytes, heads: Sequence[bytes], address: str, identity_key: bytes
) -> bytes:
    """The id of a sender key, 16 bytes: nobody can pass it off as another's.

    Args:
        group_id: 32 bytes.
        heads: where the key was made: hashes of the newest commits, 32 bytes each, ascending.
        address: of the sending device, as text `app:user.device`.
        identity_key: of that device, 33 bytes.
    """
    parts = group_id + hash_context(group_id, heads) + lp(address.encode("ascii")) + identity_key
    digest = hashlib.sha256(prefixed("sender-key-id/v1") + parts).digest()
    return digest[:DISTRIBUTION_ID_BYTES]
