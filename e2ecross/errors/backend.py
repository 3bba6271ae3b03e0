# SPDX-License-Identifier: Apache-2.0
"""Errors of the way to the back end."""

from e2ecross.errors.root import E2ECrossError

__all__ = [
    "BackendError",
    "BackendRefused",
    "BlobGone",
    "MailboxFull",
    "NotRegistered",
    "UnknownRecipient",
]


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


class BlobGone(BackendError):
    """The back end has no such file, or not any more; ask the sender for it, or upload it anew."""

    code = "blob_gone"
