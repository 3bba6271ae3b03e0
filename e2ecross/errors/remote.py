# SPDX-License-Identifier: Apache-2.0
"""Errors of a peer or the back end: input from outside that is not acceptable."""

from typing import Any

from e2ecross.errors.root import E2ECrossError

__all__ = [
    "AuthenticationFailed",
    "DecodeError",
    "DuplicateMessage",
    "EnvelopeMismatch",
    "IdentityChangedError",
    "InvalidDeviceList",
    "InvalidGroupCommit",
    "InvalidKey",
    "InvalidSignature",
    "LinkFailed",
    "MessageTooOld",
    "NotAllowedInGroup",
    "RemoteError",
    "StaleSenderKey",
    "TooManySkipped",
    "UnknownGroupState",
    "UnknownPrekey",
    "UnknownSenderKey",
    "UnknownSession",
    "UnlistedDevice",
    "UnsupportedVersion",
    "VersionDowngrade",
    "remote_error_from_code",
]


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
    """A signature does not verify: of a bundle, do not use it; of a group message, drop it."""

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


class UnknownSenderKey(RemoteError):
    """A group message of a sender key that is not held: have its sender distribute it again."""

    code = "unknown_sender_key"


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
    """A signed list of an account's devices contradicts the one that is known: it is ignored."""

    code = "invalid_device_list"


class UnlistedDevice(RemoteError):
    """A device, or its key, is not in the signed list of its account: not of that user."""

    code = "unlisted_device"


class LinkFailed(RemoteError):
    """An attempt to link a device has ended; nothing of it is left, begin another one."""

    code = "link_failed"


class AttachmentCorrupted(RemoteError):
    """The blob is not the file that the message names; nothing that is wrong was released."""

    code = "attachment_corrupted"


class InvalidGroupCommit(RemoteError):
    """A change of a group by somebody who may not make it, or one that is of another group."""

    code = "invalid_group_commit"


class UnknownGroupState(RemoteError):
    """Something stands on changes of a group that have not come, or on a group that is unknown."""

    code = "unknown_group_state"


class StaleSenderKey(RemoteError):
    """A key that its sender ought to have changed: who has left the group since could read it."""

    code = "stale_sender_key"


class NotAllowedInGroup(RemoteError):
    """A message into a group of somebody who is not in it, or may not send there."""

    code = "not_allowed_in_group"


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
        UnknownSenderKey,
        EnvelopeMismatch,
        InvalidDeviceList,
        UnlistedDevice,
        LinkFailed,
        AttachmentCorrupted,
        InvalidGroupCommit,
        UnknownGroupState,
        StaleSenderKey,
        NotAllowedInGroup,
    )
}


def remote_error_from_code(code: str, message: str) -> RemoteError:
    """Rebuild a `RemoteError` that was stored as its code and message; its fields are None.

    `IdentityChangedError` is not one of them: without its fields nobody could act on it.
    """
    return _REMOTE_ERRORS.get(code, RemoteError)(message)
