# SPDX-License-Identifier: Apache-2.0
"""Backups of the identity alone: who the device is, and no state of any ratchet.

Rules:
- Sealed with a key that Argon2id makes from a passphrase, and nothing else. Whoever has the file
  and guesses the passphrase is the device.
- Sessions, prekeys and what is known of contacts stay out: they would be old when they come back.
- A device that was linked has none: its account is not its own to restore, and it is linked anew.
- What a file asks for is checked before it costs anything.
"""

from typing import Final

from e2ecross.crypto.aead import NONCE_BYTES, open_sealed, seal
from e2ecross.crypto.entropy import EntropySource
from e2ecross.crypto.passphrase import SALT_BYTES, Passphrase, PassphraseCost
from e2ecross.errors import AuthenticationFailed, NotPrimary, WrongBackupKey
from e2ecross.state.context import Context, require_device
from e2ecross.state.transactions import reading_transaction
from e2ecross.wire.identity_backup import BackupContent, IdentityBackup

__all__ = ["export_identity", "open_backup", "seal_backup"]

_LABEL: Final = b"e2ecross identity backup 1"


def export_identity(context: Context, passphrase: str | bytes, cost: PassphraseCost | str) -> bytes:
    """Return a backup of the device's identity; see `Device.export_identity`.

    Raises:
        NotPrimary: the device was linked to an account.
        InvalidArgument: the passphrase or its cost is not acceptable.
        LocalError: there is not enough memory for the passphrase.
    """
    if context.account_key != context.identity_key_pair.public:
        raise NotPrimary(
            f"{context.address} was linked, and its keys never leave it: back up device 1, and "
            f"link a new device in the place of one that is lost"
        )
    opener = Passphrase(passphrase, cost)
    with reading_transaction(context) as tx:
        device = require_device(tx)
    # A device that was imported and has not registered yet holds the address by the old token.
    token = device.backend_token if device.registered else device.replaced_token
    token = token or device.backend_token
    content = BackupContent(device.address, device.identity_private_key, token)
    return seal_backup(content, opener, context.entropy)


def seal_backup(content: BackupContent, passphrase: Passphrase, entropy: EntropySource) -> bytes:
    """Seal what is to be kept (28 bytes of entropy).

    Raises:
        LocalError: there is not enough memory for the passphrase.
    """
    salt, nonce = entropy.bytes(SALT_BYTES), entropy.bytes(NONCE_BYTES)
    key = passphrase.derive_key(salt, passphrase.work)
    header = IdentityBackup(passphrase.work, salt, nonce, b"")
    sealed = seal(key, nonce, content.encode(), _LABEL + header.associated_data)
    return IdentityBackup(passphrase.work, salt, nonce, sealed).encode()


def open_backup(backup: bytes, passphrase: str | bytes) -> BackupContent:
    """Open what `seal_backup` has made.

    Raises:
        WrongBackupKey: another passphrase, or the backup was changed.
        DecodeError: it is no backup.
        UnsupportedVersion: a later release made it.
        InvalidArgument: an argument has the wrong type, or the passphrase is not acceptable.
        LocalError: there is not enough memory for the passphrase.
    """
    opener = Passphrase(passphrase)
    header = IdentityBackup.decode(backup)
    key = opener.derive_key(header.salt, header.work)
    try:
        content = open_sealed(key, header.nonce, header.sealed, _LABEL + header.associated_data)
    except AuthenticationFailed as error:
        raise WrongBackupKey(
            "the passphrase does not open this identity backup, or the backup was changed: ask "
            "the user for the passphrase again"
        ) from error
    return BackupContent.decode(content)
