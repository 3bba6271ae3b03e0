# SPDX-License-Identifier: Apache-2.0
"""An envelope that was fetched, decoded: what can be told of it before anything is read."""

from typing import NamedTuple

from e2ecross.address import Address
from e2ecross.device.bundles import require_minimum_version
from e2ecross.device.receiving import DecodedMessage, decode_ciphertext, decode_group_ciphertext
from e2ecross.errors import RemoteError
from e2ecross.state.context import Context
from e2ecross.wire.envelope import Envelope, MessageKind
from e2ecross.wire.sender_key_message import SenderKeyMessage
from e2ecross.wire.signal_message import PreKeySignalMessage

__all__ = [
    "AnyMessage",
    "Arrived",
    "decode_arrived",
    "open_arrived",
    "read_sender",
    "stripe_of_arrived",
    "try_to_decode",
]

AnyMessage = DecodedMessage | SenderKeyMessage
"""What an envelope holds: a message in a session, or one into a group."""


class Arrived(NamedTuple):
    """An envelope that was fetched. What is not for this device is not kept twice in memory.

    Attributes:
        number: at the back end.
        data: as it came.
        sender: whom it claims to be of; None if it is no envelope.
        kind: of what it claims to hold; likewise.
        opened: decoded, with the message in it; None if it is none for this device.
    """

    number: int
    data: bytes
    sender: Address | None
    kind: MessageKind | None
    opened: tuple[Envelope, AnyMessage] | None


def decode_arrived(context: Context, number: int, data: bytes) -> Arrived:
    """Decode an envelope, outside of any transaction; see `take_in_all`."""
    sender = kind = None
    try:
        envelope = Envelope.decode(data)
        sender, kind = envelope.sender, envelope.kind
        return Arrived(number, data, sender, kind, (envelope, _open(context, envelope)))
    except RemoteError:  # told by `take_in`, which comes to the same
        return Arrived(number, data, sender, kind, None)


def stripe_of_arrived(context: Context, number: int, sender: Address | None) -> int:
    """Return in which stripe an envelope is taken in: of the account that it claims to come from.

    What is no envelope is spread over all but stripe 0, by its number at the back end: a back end
    that makes garbage does not have the whole store locked.
    """
    stripes = context.store.stripes
    if sender is not None or not stripes:
        return 0 if sender is None else context.stripe_of(sender.user_id)
    return 1 + number % stripes


def open_arrived(context: Context, data: bytes) -> tuple[Envelope, AnyMessage]:
    """Decode an envelope, and the message in it.

    Raises:
        RemoteError: it is none for this device, or is not acceptable.
    """
    envelope = Envelope.decode(data)
    return envelope, _open(context, envelope)


def try_to_decode(context: Context, data: bytes) -> tuple[Envelope | None, AnyMessage | None]:
    """Return what can be told of an envelope that could not be read."""
    envelope = None
    try:
        envelope = Envelope.decode(data)
        return envelope, _decode_message(context, envelope)
    except RemoteError:
        return envelope, None


def read_sender(data: bytes) -> Address | None:
    """Return whom an encoded envelope claims to be of; None if it is no envelope."""
    try:
        return Envelope.decode(data).sender
    except RemoteError:
        return None


def _open(context: Context, envelope: Envelope) -> AnyMessage:
    message = _decode_message(context, envelope)
    if isinstance(message, PreKeySignalMessage):
        require_minimum_version(context, message.message.version)
    return message


def _decode_message(context: Context, envelope: Envelope) -> AnyMessage:
    if envelope.kind is MessageKind.SENDER_KEY:
        return decode_group_ciphertext(context, envelope)
    return decode_ciphertext(context, envelope)
