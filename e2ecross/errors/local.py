# SPDX-License-Identifier: Apache-2.0
"""Errors of the caller."""

from collections.abc import Sequence
from typing import Any, Final

from e2ecross.errors.root import E2ECrossError

__all__ = [
    "ConsentMissing",
    "ContentRefused",
    "DevicesConflict",
    "GroupRefused",
    "GroupsUnsupported",
    "HostingChanged",
    "InvalidArgument",
    "LocalError",
    "LossyContent",
    "NoSession",
    "NotInGroup",
    "NotPrimary",
    "PrekeysExhausted",
    "SessionExhausted",
    "UntrustedIdentity",
    "WitnessFailed",
    "WrongBackupKey",
]

_NAMED: Final = 10
"""How many accounts the text of an error names."""


class LocalError(E2ECrossError):
    """The caller asked for something that cannot be done; fix the call or ask the user."""

    code = "local_error"


class InvalidArgument(LocalError, ValueError):
    """An argument has the wrong type, length or value; the message names it."""

    code = "invalid_argument"


class NoSession(LocalError):
    """There is nothing to encrypt with: `start_session` from a bundle, or `new_sender_key_raw`."""

    code = "no_session"


class SessionExhausted(LocalError):
    """A sending chain has used all its 2^32-1 numbers; start a new session or sender key."""

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


class NotInGroup(LocalError):
    """The group is not known here, or the own account is not in it."""

    code = "not_in_group"


class GroupRefused(LocalError):
    """The own role does not allow it, or nothing can be changed or sent in the group any more."""

    code = "group_refused"


class GroupsUnsupported(LocalError):
    """Some accounts have no device that takes part in groups; nothing was changed.

    Attributes:
        users: the accounts (`e2ecross.UserId`).
    """

    code = "groups_unsupported"

    # `Any`, because `UserId` stands above this module and may not be imported here.
    def __init__(self, users: Sequence[Any]) -> None:
        """Name the accounts."""
        named = ", ".join(str(user) for user in users[:_NAMED])
        super().__init__(
            f"no device takes part in groups, of {len(users)} of the accounts: ask them to upgrade "
            f"their apps, or leave them out: {named}"
        )
        self.users = tuple(users)


class FleetUnsupported(LocalError):
    """It cannot be done in a store with stripes, which many workers share."""

    code = "fleet_unsupported"


class ConsentMissing(LocalError):
    """The recipient has not granted a message with this purpose now; nothing was sent.

    It has granted none, has taken it back, its grant is over or is for other purposes, or was used
    up for this day (UTC).

    Attributes:
        user: the account (`e2ecross.UserId`).
        purpose: of the message, 1 to 4.
    """

    code = "consent_missing"

    # `Any`, because `UserId` stands above this module and may not be imported here.
    def __init__(self, user: Any, purpose: int) -> None:  # noqa: ANN401
        """Name the account and the purpose."""
        super().__init__(
            f"{user} has granted no message of purpose {purpose} now, or no more for this day: "
            f"wait for a grant of the account, or for tomorrow"
        )
        self.user = user
        self.purpose = purpose


class LossyContent(LocalError):
    """Some devices of the recipient would not show all of the content; nothing was encrypted.

    Show the user `plan`, then send it with `allow_lossy=True`, or something else.

    Attributes:
        plan: what is lost on which devices (`e2ecross.Plan`).
    """

    code = "lossy_content"

    # `Any`, because `Plan` stands above this module and may not be imported here.
    def __init__(self, plan: Any) -> None:  # noqa: ANN401
        """Carry the plan."""
        super().__init__(
            f"some devices of the recipient cannot show what needs the capabilities "
            f"{_lacking(plan)}: show the user error.plan, then send with allow_lossy=True, or "
            f"something else"
        )
        self.plan = plan


class ContentRefused(LocalError):
    """A device of the recipient would not obey what protects somebody; nothing was encrypted.

    Attributes:
        plan: what is not obeyed on which devices (`e2ecross.Plan`).
    """

    code = "content_refused"

    def __init__(self, plan: Any) -> None:  # noqa: ANN401
        """Carry the plan."""
        super().__init__(
            f"some devices of the recipient do not obey the capabilities {_lacking(plan)} that "
            f"protect somebody: send it without an expiry or view_once, or not at all"
        )
        self.plan = plan


def _lacking(plan: Any) -> str:  # noqa: ANN401
    return ", ".join(f"{loss.capability:d}" for loss in plan.losses)


class AttachmentTooLarge(LocalError):
    """The file is larger than `Policy.attachment_bytes` allows; nothing of it was fetched.

    Attributes:
        size: of the file, bytes.
        allowed: by the policy, bytes.
    """

    code = "attachment_too_large"

    def __init__(self, size: int, allowed: int) -> None:
        """Carry both sizes."""
        super().__init__(
            f"the file has {size} bytes, more than the {allowed} that Policy.attachment_bytes "
            f"allows: ask the user, and allow more, or do without it"
        )
        self.size = size
        self.allowed = allowed


class WrongBackupKey(LocalError):
    """The passphrase does not open this backup of an identity, or the backup was changed."""

    code = "wrong_backup_key"


class WitnessFailed(LocalError):
    """The witness of the store's epoch failed; nothing left the device, what was saved stays."""

    code = "witness_failed"
