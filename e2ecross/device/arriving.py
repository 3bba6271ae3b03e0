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
    "try_to_decode",
]

AnyMessage = DecodedMessage | SenderKeyMessage
"""What an envelope holds: a message in a session, or one into a group."""


class Arrived(NamedTuple):
    """An envelope that was fetched.

    Attributes:
        number: at the back end.
        data: as it came.
        opened: decoded, with the message in it; None if it is none for this device.
    """

    number: int
    data: bytes
    opened: tuple[Envelope, AnyMessage] | None


def decode_arrived(context: Context, number: int, data: bytes) -> Arrived:
    """Decode an envelope, outside of any transaction; see `take_in_all`."""
    try:
        return Arrived(number, data, open_arrived(context, data))
    except RemoteError:  # told by `take_in`, which comes to the same
        return Arrived(number, data, None)


def open_arrived(context: Context, data: bytes) -> tuple[Envelope, AnyMessage]:
    """Decode an envelope, and the message in it.

    Raises:
        RemoteError: it is none for this device, or is not acceptable.
    """
    envelope = Envelope.decode(data)
    message = _decode_message(context, envelope)
    if isinstance(message, PreKeySignalMessage):
        require_minimum_version(context, message.message.version)
    return envelope, message


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


def _decode_message(context: Context, envelope: Envelope) -> AnyMessage:
    if envelope.kind is MessageKind.SENDER_KEY:
        return decode_group_ciphertext(context, envelope)
    return decode_ciphertext(context, envelope)
