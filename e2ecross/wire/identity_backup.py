# SPDX-License-Identifier: Apache-2.0
"""The backup of an identity as a file: what is readable of it, and what is sealed in it.

Rules:
- A backup comes from outside: what does not decode is a `DecodeError`.
- Exactly one encoding of either message. The readable fields are authenticated with the rest.

Source: docs/wire-format.md, identity backup.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import Address
from e2ecross.crypto.aead import NONCE_BYTES, TAG_BYTES
from e2ecross.crypto.keys import PRIVATE_KEY_BYTES
from e2ecross.crypto.passphrase import SALT_BYTES, Argon2Work
from e2ecross.crypto.secret import Secret
from e2ecross.errors import DecodeError, UnsupportedVersion
from e2ecross.wire._pb.e2ecross.v1 import backup_pb2
from e2ecross.wire.encoding import (
    decode_address,
    encode_address,
    parse,
    require_canonical,
    serialize,
)
from e2ecross.wire.limits import TOKEN_BYTES

__all__ = ["BACKUP_VERSION", "BackupContent", "IdentityBackup"]

BACKUP_VERSION: Final = 1
_MAX_BYTES: Final = 1024
"""An address has 100 bytes at most, the rest is of fixed length: a backup has under 320."""
_WHAT: Final = "an identity backup"


@dataclass(frozen=True, slots=True)
class IdentityBackup:
    """A backup as anybody can read it.

    Attributes:
        work: what the key costs to derive from the passphrase, within the bounds.
        salt: of that derivation, 16 bytes.
        nonce: 12 bytes.
        sealed: the encrypted content.
    """

    work: Argon2Work
    salt: bytes
    nonce: bytes
    sealed: bytes

    @property
    def associated_data(self) -> bytes:
        """What is authenticated beside the content: everything that is readable."""
        return self._encode(b"")

    def encode(self) -> bytes:
        """Return the backup's one encoding."""
        return self._encode(self.sealed)

    @classmethod
    def decode(cls, data: bytes) -> "IdentityBackup":
        """Read a backup. The work that it asks for is checked, and not done.

        Raises:
            DecodeError: over 1024 bytes, malformed, not in its one encoding, or it asks for more
                or less work than any backup may.
            UnsupportedVersion: a later release made it.
        """
        fields = parse(backup_pb2.IdentityBackup, data, _WHAT, _MAX_BYTES)
        if fields.version > BACKUP_VERSION:
            raise UnsupportedVersion(
                f"identity backup version {fields.version} is not supported, only 1 is: "
                f"upgrade e2ecross"
            )
        require_canonical(fields, data, _WHAT)
        work = Argon2Work(fields.passes, fields.memory_kib)
        if fields.version != BACKUP_VERSION:
            raise DecodeError("an identity backup lacks its version")
        if len(fields.salt) != SALT_BYTES or len(fields.nonce) != NONCE_BYTES:
            raise DecodeError("an identity backup holds a value of wrong length")
        if len(fields.sealed) < TAG_BYTES:
            raise DecodeError("an identity backup is cut off")
        if not work.is_within_bounds():  # a hostile file gets neither gigabytes nor a cheap key
            raise DecodeError("an identity backup asks for too little or too much work")
        return cls(work, fields.salt, fields.nonce, fields.sealed)

    def _encode(self, sealed: bytes) -> bytes:
        return serialize(
            backup_pb2.IdentityBackup(
                version=BACKUP_VERSION,
                passes=self.work.passes,
                memory_kib=self.work.memory_kib,
                salt=self.salt,
                nonce=self.nonce,
                sealed=sealed,
            )
        )


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class BackupContent(Secret):
    """What is sealed in a backup: who the device is, and nothing of what it has done.

    Attributes:
        address: its address.
        identity_private_key: 32 bytes, secret.
        backend_token: 32 bytes, secret, or empty.
    """

    address: Address
    identity_private_key: bytes
    backend_token: bytes

    def encode(self) -> bytes:
        """Return the content's one encoding."""
        return serialize(
            backup_pb2.IdentityBackupContent(
                address=encode_address(self.address),
                identity_private_key=self.identity_private_key,
                backend_token=self.backend_token,
            )
        )

    @classmethod
    def decode(cls, data: bytes) -> "BackupContent":
        """Read what was sealed.

        Raises:
            DecodeError: malformed, not in its one encoding, or a value has the wrong length.
        """
        fields = parse(backup_pb2.IdentityBackupContent, data, _WHAT, _MAX_BYTES)
        require_canonical(fields, data, _WHAT)
        if len(fields.identity_private_key) != PRIVATE_KEY_BYTES:
            raise DecodeError("an identity backup holds a key of wrong length")
        if fields.backend_token and len(fields.backend_token) != TOKEN_BYTES:
            raise DecodeError("an identity backup holds a token of wrong length")
        return cls(
            decode_address(fields.address), fields.identity_private_key, fields.backend_token
        )
