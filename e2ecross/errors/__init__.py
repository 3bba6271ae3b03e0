# SPDX-License-Identifier: Apache-2.0
"""Every exception that e2ecross raises, in one tree.

Rules:
- One root, `E2ECrossError`; below it, who is at fault decides the branch: `LocalError` (the
  caller), `RemoteError` (a peer or the back end), `StoreError` (the store), `BackendError` (the
  way to the back end).
- Each class has a stable `code`, for programs, and a message that says what to do, for people.
- Fields hold numbers, addresses, public keys and names of arguments. Never secrets or plaintext.
"""

from e2ecross.errors.backend import (
    BackendError,
    BackendRefused,
    MailboxFull,
    NotRegistered,
    UnknownRecipient,
)
from e2ecross.errors.local import (
    ContentRefused,
    DevicesConflict,
    HostingChanged,
    InvalidArgument,
    LocalError,
    LossyContent,
    NoSession,
    NotPrimary,
    PrekeysExhausted,
    SessionExhausted,
    UntrustedIdentity,
    WitnessFailed,
    WrongBackupKey,
)
from e2ecross.errors.remote import (
    AuthenticationFailed,
    DecodeError,
    DuplicateMessage,
    EnvelopeMismatch,
    IdentityChangedError,
    InvalidDeviceList,
    InvalidKey,
    InvalidSignature,
    LinkFailed,
    MessageTooOld,
    RemoteError,
    TooManySkipped,
    UnknownPrekey,
    UnknownSenderKey,
    UnknownSession,
    UnlistedDevice,
    UnsupportedVersion,
    VersionDowngrade,
    remote_error_from_code,
)
from e2ecross.errors.root import E2ECrossError
from e2ecross.errors.store import (
    DeviceExists,
    NoDevice,
    RecordCorrupted,
    RestoredStore,
    StoreBusy,
    StoreClosed,
    StoreCorrupted,
    StoreError,
    StoreTooNew,
    WrongStoreKey,
)

__all__ = [
    "AuthenticationFailed",
    "BackendError",
    "BackendRefused",
    "ContentRefused",
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
    "LossyContent",
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
    "UnknownSenderKey",
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
