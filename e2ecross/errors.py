# SPDX-License-Identifier: Apache-2.0
"""Every exception that e2ecross raises, in one tree.

Rules:
- One root, `E2ECrossError`; below it, who is at fault decides the branch: `LocalError` (the
  caller), `RemoteError` (a peer or the back end), `StoreError` (the store), `BackendError` (the
  way to the back end).
- Each class has a stable `code`, for programs, and a message that says what to do, for people.
- Fields hold numbers, addresses, public keys and names of arguments. Never secrets or plaintext.
"""

from typing import Any, ClassVar

__all__ = [
    "AuthenticationFailed",
    "BackendError",
    "BackendRefused",
    "DecodeError",
    "DeviceExists",
    "DevicesConflict",
    "DuplicateMessage",
    "E2ECrossError",
    "EnvelopeMismatch",
    "HostingChanged",
    "IdentityChangedError",
    "InvalidArgument",
    "InvalidDeviceList",
    "InvalidKey",
    "InvalidSignature",
    "LinkFailed",
    "LocalError",
    "MailboxFull",
    "MessageTooOld",
    "NoDevice",
    "NoSession",
    "NotPrimary",
    "NotRegistered",
    "PrekeysExhausted",
    "RecordCorrupted",
    "RemoteError",
    "RestoredStore",
    "SessionExhausted",
    "StoreBusy",
    "StoreClosed",
    "StoreCorrupted",
    "StoreError",
    "StoreTooNew",
    "TooManySkipped",
    "UnknownPrekey",
    "UnknownRecipient",
    "UnknownSession",
    "UnlistedDevice",
    "UnsupportedVersion",
    "UntrustedIdentity",
    "VersionDowngrade",
    "WitnessFailed",
    "WrongBackupKey",
    "WrongStoreKey",
    "remote_error_from_code",
]


class E2ECrossError(Exception):
    """Root of all errors of this library; raised only through its subclasses."""

    code: ClassVar[str] = "error"


# --- The caller -----------------------------------------------------------------------------


class LocalError(E2ECrossError):
    """The caller asked for something that cannot be done; fix the call or ask the user."""

    code = "local_error"


class InvalidArgument(LocalError, ValueError):
    """An argument has the wrong type, length or value; the message names it."""

    code = "invalid_argument"


class NoSession(LocalError):
    """There is no session to encrypt with; start one from a bundle (`start_session`)."""

    code = "no_session"


class SessionExhausted(LocalError):
    """A sending chain has used all its 2^32-1 numbers; start a new session."""

    code = "session_exhausted"


class PrekeysExhausted(LocalError):
    """All 24-bit prekey ids of this device have been used; create a new device."""

    code = "prekeys_exhausted"


class UntrustedIdentity(LocalError):
    """The identity key of the address has changed and was not accepted yet.

    Show the new safety number to the user; `Device.accept_identity(error.address,
    error.identity_key)` accepts exactly this key.

    Attributes:
        address: whose identity key it is (`e2ecross.Address`).
        identity_key: the key that is not trusted, 33 bytes, public.
    """

    code = "untrusted_identity"

    # `Any`, because `address` stands one step above this module and may not be imported here.
    def __init__(self, address: Any, identity_key: bytes) -> None:  # noqa: ANN401
        """Name the address and the key, 33 bytes."""
        super().__init__(
            f"the identity key of {address} has changed: compare the safety number, then call "
            f"accept_identity with this key to go on"
        )
        self.address = address
        self.identity_key = identity_key


class NotPrimary(LocalError):
    """Only device 1 of an account can do this: it signs the list of the account's devices."""

    code = "not_primary"


class DevicesConflict(LocalError):
    """The list of the account's devices has to be decided about first: call `restore_devices`."""

    code = "devices_conflict"


class HostingChanged(LocalError):
    """More than before hold keys of the account: show it to the user, confirm the `Notice` of it.

    Attributes:
        user: the account (`e2ecross.UserId`).
    """

    code = "hosting_changed"

    def __init__(self, user: Any) -> None:  # noqa: ANN401
        """Name the account."""
        super().__init__(
            f"keys of {user} are held by others than before: show it to the user, and confirm the "
            f"notice that says so to go on"
        )
        self.user = user


class WrongBackupKey(LocalError):
    """The passphrase does not open this backup of an identity, or the backup was changed."""

    code = "wrong_backup_key"


class WitnessFailed(LocalError):
    """The witness of the store's epoch failed; nothing left the device, what was saved stays."""

    code = "witness_failed"


# --- A peer or the back end -----------------------------------------------------------------


class RemoteError(E2ECrossError):
    """Input from outside is not acceptable; nothing was changed by it."""

    code = "remote_error"


class DecodeError(RemoteError):
    """Bytes from outside are not a well-formed message, envelope, bundle or payload."""

    code = "decode_error"


class UnsupportedVersion(RemoteError):
    """A version number that this release does not speak; a newer release may."""

    code = "unsupported_version"


class VersionDowngrade(RemoteError):
    """A session of an older version than its peer has offered before, or than is demanded."""

    code = "version_downgrade"


class InvalidKey(RemoteError):
    """A public key or KEM ciphertext has the wrong type or length, or is not canonical."""

    code = "invalid_key"


class InvalidSignature(RemoteError):
    """The signature over a signed prekey does not verify; do not use this bundle."""

    code = "invalid_signature"


class AuthenticationFailed(RemoteError):
    """No session accepts the message's MAC: forged, damaged, or of a session that was lost."""

    code = "authentication_failed"


class DuplicateMessage(RemoteError):
    """The message was received before; drop it."""

    code = "duplicate_message"


class TooManySkipped(RemoteError):
    """A message claims to be further ahead in its chain than the limit allows.

    Attributes:
        got: how many messages would have to be skipped, or None if no longer known.
        allowed: the limit, or None if no longer known.
    """

    code = "too_many_skipped"

    def __init__(self, message: str, got: int | None = None, allowed: int | None = None) -> None:
        """Carry the two numbers beside the message."""
        super().__init__(message)
        self.got = got
        self.allowed = allowed


class MessageTooOld(RemoteError):
    """The chain that the message belongs to has been closed; its key no longer exists."""

    code = "message_too_old"


class UnknownPrekey(RemoteError):
    """A first message names a prekey that does not exist (any more): used, expired or invented."""

    code = "unknown_prekey"


class UnknownSession(RemoteError):
    """A message that is no first message comes from an address without a session."""

    code = "unknown_session"


class EnvelopeMismatch(RemoteError):
    """What the envelope says and what was encrypted differ: the back end rewrote the envelope."""

    code = "envelope_mismatch"


class IdentityChangedError(RemoteError):
    """A message under a new identity key, refused by `Policy.refuse_changed_identity`.

    From `Client` also what says that a key has changed when there is no message to say it: a
    retry request, or a second copy of a message, came under a new one.

    Attributes:
        address: whose identity key it is (`e2ecross.Address`).
        identity_key: the new key, 33 bytes, public.
    """

    code = "identity_changed"

    def __init__(self, message: str, address: Any, identity_key: bytes) -> None:  # noqa: ANN401
        """Carry the address and the key, 33 bytes, beside the message."""
        super().__init__(message)
        self.address = address
        self.identity_key = identity_key


class InvalidDeviceList(RemoteError):
    """A signed list of an account's devices contradicts the one that is known."""

    code = "invalid_device_list"


class UnlistedDevice(RemoteError):
    """A device, or its key, is not in the signed list of its account: not of that user."""

    code = "unlisted_device"


class LinkFailed(RemoteError):
    """An attempt to link a device has ended; nothing of it is left, begin another one."""

    code = "link_failed"


# --- The store ------------------------------------------------------------------------------


class StoreError(E2ECrossError):
    """The store cannot do what was asked; nothing of the operation was saved."""

    code = "store_error"


class StoreBusy(StoreError):
    """Another process or thread held the store for too long; try again."""

    code = "store_busy"


class StoreClosed(StoreError):
    """The store has been closed; open it anew."""

    code = "store_closed"


class StoreCorrupted(StoreError):
    """The file is damaged, not an e2ecross store, or not the one that was opened any more."""

    code = "store_corrupted"


class RecordCorrupted(StoreError):
    """A stored record does not decode; the store is damaged.

    Attributes:
        row: the number of the row in a queue, 8 bytes, where a store that lists one cannot open it;
            else None.
    """

    code = "record_corrupted"
    row: bytes | None = None


class StoreTooNew(StoreError):
    """A newer release wrote this store; upgrade e2ecross.

    Attributes:
        found: the version that the store has.
        supported: the highest version that this release reads.
    """

    code = "store_too_new"

    def __init__(self, what: str, found: int, supported: int) -> None:
        """Name what is too new, its version, and ours."""
        super().__init__(
            f"{what} has version {found}, this release reads up to {supported}: upgrade e2ecross"
        )
        self.found = found
        self.supported = supported


class WrongStoreKey(StoreError):
    """The key does not open this store (or the store has none, or needs one)."""

    code = "wrong_store_key"


class RestoredStore(StoreError):
    """The store is older than the device's last message; open it as restored."""

    code = "restored_store"


class DeviceExists(StoreError):
    """The store already holds a device; use `Device.open`."""

    code = "device_exists"


class NoDevice(StoreError):
    """The store holds no device yet; use `Device.create`."""

    code = "no_device"


# --- The way to the back end ----------------------------------------------------------------


class BackendError(E2ECrossError):
    """The back end cannot be reached or refuses; nothing was lost, try again."""

    code = "backend_error"


class BackendRefused(BackendError):
    """The back end refuses: wrong token, taken address, or a limit; trying again will not help."""

    code = "backend_refused"


class NotRegistered(BackendError):
    """The device is not registered at the back end; call `Client.register`."""

    code = "not_registered"


class UnknownRecipient(BackendError):
    """The back end knows no keys for the address; it has not registered."""

    code = "unknown_recipient"


class MailboxFull(BackendError):
    """The recipient's mailbox is full; try again when they have been online."""

    code = "mailbox_full"


_REMOTE_ERRORS: dict[str, type[RemoteError]] = {
    cls.code: cls
    for cls in (
        RemoteError,
        DecodeError,
        UnsupportedVersion,
        VersionDowngrade,
        InvalidKey,
        InvalidSignature,
        AuthenticationFailed,
        DuplicateMessage,
        TooManySkipped,
        MessageTooOld,
        UnknownPrekey,
        UnknownSession,
        EnvelopeMismatch,
        InvalidDeviceList,
        UnlistedDevice,
        LinkFailed,
    )
}


def remote_error_from_code(code: str, message: str) -> RemoteError:
    """Rebuild a `RemoteError` that was stored as its code and message; its fields are None.

    `IdentityChangedError` is not one of them: without its fields nobody could act on it.
    """
    return _REMOTE_ERRORS.get(code, RemoteError)(message)
