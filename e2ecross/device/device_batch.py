# SPDX-License-Identifier: Apache-2.0
"""What a `Device` does with many messages at once."""

from collections.abc import Iterable

from e2ecross.address import Address
from e2ecross.arguments import require_callable, require_list, require_type
from e2ecross.device.batch import Progress, decode_envelopes, decrypt_all, encrypt_all
from e2ecross.device.device_trust import DeviceTrust
from e2ecross.device.sending import require_content, require_other_device
from e2ecross.errors import LocalError, RecordCorrupted, RemoteError
from e2ecross.state.epoch import witnessed_receipt, witnessed_transaction
from e2ecross.state.message import ControlMessage, Message
from e2ecross.wire.content import Content
from e2ecross.wire.envelope import Envelope

__all__ = ["DeviceBatch"]


class DeviceBatch(DeviceTrust):
    """The part of `Device` for many messages: one commit instead of one each."""

    __slots__ = ()

    def encrypt_many(
        self, addresses: Iterable[Address], content: Content, *, progress: Progress | None = None
    ) -> list[Envelope | LocalError | RecordCorrupted]:
        """Encrypt the same content for many devices, each under a message id of its own.

        One transaction: all envelopes leave after one commit. It holds the store until then, about
        a second for ten thousand addresses; give more than that in several calls if other threads
        or processes use the store.

        Args:
            addresses: of the recipients; one that is named twice gets two messages.
            content: what the user sends.
            progress: called with how many messages are done and how many there are, after each
                recipient. When it raises, nothing is saved. It must not use the device.

        Returns:
            In the order of the addresses, for each its envelope, or the error that `encrypt` would
            have raised for it (`NoSession`, `UntrustedIdentity`, `SessionExhausted`, or
            `RecordCorrupted` where a contact's records are damaged); the others are not affected.

        Raises:
            InvalidArgument: an argument has the wrong type, or names this device. Nothing changed.
            StoreError: the store cannot be read or written. Nothing was sent.
        """
        context = self._context
        require_content(content)
        listed = require_list("addresses", addresses)
        for address in listed:
            require_type("an element of addresses", address, Address)
            require_other_device(context, address, "an element of addresses")
        if progress is not None:
            require_callable("progress", progress)
        with witnessed_transaction(context) as tx:
            return encrypt_all(context, tx, listed, content, progress)

    def decrypt_many(
        self, envelopes: Iterable[Envelope | bytes], *, progress: Progress | None = None
    ) -> list[Message | ControlMessage | RemoteError | RecordCorrupted]:
        """Authenticate and decrypt many envelopes; what they change is saved before this returns.

        Args:
            envelopes: envelopes or their encodings, of one sender or many. Those of one sender are
                read in their order.
            progress: see `encrypt_many`; called after each sender.

        Returns:
            In the order of the envelopes, for each its message, or the error that `decrypt` would
            have raised for it (a `RemoteError`; or `RecordCorrupted`, then nothing of that sender
            was read); the others are not affected.

        Raises:
            InvalidArgument: an argument has the wrong type. Nothing changed.
            StoreError: the store cannot be read or written. Nothing changed.
        """
        context = self._context
        listed = require_list("envelopes", envelopes)
        for envelope in listed:
            require_type("an element of envelopes", envelope, Envelope, bytes)
        if progress is not None:
            require_callable("progress", progress)
        decoded = decode_envelopes(context, listed)
        with witnessed_receipt(context) as tx:
            return decrypt_all(context, tx, decoded, progress)
