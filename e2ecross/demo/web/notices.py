# SPDX-License-Identifier: Apache-2.0
"""What an app of the page tells its user when something is as it should not be, in plain words."""

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from e2ecross.errors import (
    AuthenticationFailed,
    DuplicateMessage,
    EnvelopeMismatch,
    RemoteError,
    UnknownPrekey,
    UnknownSenderKey,
    UnknownSession,
    UnlistedDevice,
)
from e2ecross.state.message import FailedMessage
from e2ecross.state.notice import Notice, NoticeKind

__all__ = ["Told", "fault", "sentence", "tell_failure", "tell_notice"]

Name = Callable[[str], str]


class Told(NamedTuple):
    """A sentence for a user, and whether it warns."""

    text: str
    alarm: bool


_REASONS: Final[Mapping[str, str]] = {
    AuthenticationFailed.code: "it was changed on its way, or does not fit the keys of this phone",
    DuplicateMessage.code: "it has come before",
    EnvelopeMismatch.code: "it was written for somebody else, or by somebody else",
    UnknownPrekey.code: "it was encrypted to a key that this phone does not have any more",
    UnknownSenderKey.code: "its sender has given this phone no key to read it with",
    UnknownSession.code: "it belongs to a conversation that this phone does not have",
    UnlistedDevice.code: "it comes from a device that its owner has never confirmed",
}
_NOTICES: Final[Mapping[NoticeKind, Told]] = {
    NoticeKind.IDENTITY_CHANGED: Told(
        "{user} has a new key, which was accepted: compare the safety number.", alarm=True
    ),
    NoticeKind.IDENTITY_PENDING: Told(
        "{user} has another key than before: nothing is sent until it is accepted.", alarm=True
    ),
    NoticeKind.VERSION_DOWNGRADED: Told(
        "The conversation with {user} is not safe against quantum computers.", alarm=True
    ),
    NoticeKind.NOT_DELIVERED: Told("A message to {user} was not delivered: {code}.", alarm=True),
    NoticeKind.RESTORED: Told(
        "This phone was set back to an old backup: all keys that may have been used since were "
        "replaced, and what was sent since may not have arrived.",
        alarm=True,
    ),
    NoticeKind.DEVICE_LINKED: Told("Another device was linked to this account.", alarm=False),
    NoticeKind.DEVICE_UNLINKED: Told("A device was taken out of this account.", alarm=False),
    NoticeKind.FOREIGN_LIST: Told(
        "Somebody else has signed a list of this account's devices with its key.", alarm=True
    ),
    NoticeKind.OWN_LIST_EXPIRED: Told(
        "The list of this account's devices is too old: device 1 has to renew it.", alarm=True
    ),
    NoticeKind.LIST_FORK: Told(
        "Two lists of the devices of {user} contradict each other.", alarm=True
    ),
    NoticeKind.ACCOUNT_RESTORED: Told(
        "The phone of {user} was set back to a backup, with the same key as before.", alarm=False
    ),
    NoticeKind.HOSTING_CHANGED: Told("Others hold keys of {user} from now on.", alarm=True),
    NoticeKind.GROUP_JOINED: Told("This account is in the group from now on.", alarm=False),
    NoticeKind.GROUP_ADDED: Told("{users} came into the group.", alarm=False),
    NoticeKind.GROUP_REMOVED: Told("{users} was taken out of the group.", alarm=False),
    NoticeKind.GROUP_LEFT: Told("{users} has left the group.", alarm=False),
    NoticeKind.GROUP_ROLE: Told("{users} has another role in the group.", alarm=False),
    NoticeKind.GROUP_SETTINGS: Told("The group has other settings.", alarm=False),
    NoticeKind.GROUP_UNDONE: Told(
        "What was done about {users} does not count any more.", alarm=True
    ),
    NoticeKind.GROUP_OUT: Told("This account is not in the group any more.", alarm=False),
    NoticeKind.GROUP_KEY_DIFFERS: Told(
        "{users} is in the group with another key than the one known here.", alarm=True
    ),
    NoticeKind.GROUP_OUTDATED: Told(
        "The group was changed in a way that this app cannot read.", alarm=True
    ),
    NoticeKind.GROUP_FULL: Told("Nothing can be sent into this group any more.", alarm=True),
}


def tell_notice(notice: Notice, name: Name) -> Told | None:
    """Return what to tell of a notice; None: nothing that its user would want to read.

    Args:
        notice: it.
        name: says how a user is called.
    """
    told = _NOTICES.get(notice.kind)
    if told is None:
        return None
    user = "several accounts" if notice.user is None else name(str(notice.user))
    users = ", ".join(name(str(each)) for each in notice.users) or "Somebody"
    return Told(told.text.format(user=user, users=users, code=notice.code), told.alarm)


def tell_failure(failed: FailedMessage, name: Name) -> Told:
    """Return what to tell of a message that could not be read."""
    sender = "somebody" if failed.sender is None else name(str(failed.sender.user_id))
    again = " Its sender was asked to send it again." if failed.retrying else ""
    return Told(
        f"A message in the name of {sender} was refused: {_reason(failed.error)}.{again}",
        alarm=True,
    )


def _reason(error: RemoteError) -> str:
    return _REASONS.get(error.code, error.code)


def sentence(text: str) -> str:
    """Return what an error says as people write it: it begins and ends as sentences do.

    An address at the beginning stays as it is: with a capital it would be none.
    """
    begins = "" if ":" in text.partition(" ")[0].rstrip(":") else text[:1].upper()
    return (begins + text[1:] if begins else text) + ("" if text.endswith((".", "!", "?")) else ".")


def fault(error: Exception) -> str:
    """Return what is told of an error that nobody has thought of."""
    return f"Something is wrong with the demo itself: {type(error).__name__}."
