# SPDX-License-Identifier: Apache-2.0
"""What anybody can read of an envelope without a key: what a relay could learn from it.

Rules:
- Everything readable is told, also what the Signal message inside shows: its public header is not
  encrypted, only authenticated. No key is used here, and none is known.
- Nothing here is authenticated: an envelope may lie.
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.cli.describe_sender_keys import SenderKeyView, describe_header
from e2ecross.errors import RemoteError
from e2ecross.wire.envelope import Envelope, EnvelopeCopies, MessageKind
from e2ecross.wire.sender_key_message import SenderKeyForm, decode_sender_key_message
from e2ecross.wire.signal_message import (
    VERSION_3,
    VERSION_4,
    PreKeySignalMessage,
    SignalMessage,
    decode_prekey_signal_message,
    decode_signal_message,
)

__all__ = [
    "CopiesView",
    "EnvelopeView",
    "MessageView",
    "PrekeyView",
    "describe",
    "describe_copies",
]

_VERSIONS: Final = (VERSION_3, VERSION_4)


@dataclass(frozen=True, slots=True)
class MessageView:
    """The public header of a Signal message.

    Attributes:
        version: 3 or 4.
        ratchet_key: the sender's current ratchet key, 33 bytes as hex.
        counter: the message's number in its chain, from 0.
        previous_counter: the last number of the sender's previous chain; None if absent.
        encrypted: the encrypted body as hex: the padded payload with the content in it.
        encrypted_bytes: its size, a multiple of 16.
        mac: 8 bytes as hex.
        pq_ratchet: the message of the SPQR ratchet as hex; None if there is none.
        addresses: who sends to whom, as Signal writes it, as hex; None if it is not told.
    """

    version: int
    ratchet_key: str
    counter: int
    previous_counter: int | None
    encrypted: str
    encrypted_bytes: int
    mac: str
    pq_ratchet: str | None
    addresses: str | None


@dataclass(frozen=True, slots=True)
class PrekeyView:
    """The wrapper of a prekey message: what its recipient needs to start the session.

    Attributes:
        registration_id: the sender's installation.
        signed_prekey_id: which signed prekey of the recipient it uses.
        one_time_prekey_id: which one-time prekey it uses up, or None.
        base_key: the sender's ephemeral key, 33 bytes as hex.
        identity_key: the sender's identity key, 33 bytes as hex.
        kyber_prekey_id: which Kyber prekey it uses; None in version 3.
        kyber_ciphertext: what was encapsulated to it, 1569 bytes as hex; None in version 3.
    """

    registration_id: int
    signed_prekey_id: int
    one_time_prekey_id: int | None
    base_key: str
    identity_key: str
    kyber_prekey_id: int | None
    kyber_ciphertext: str | None


@dataclass(frozen=True, slots=True)
class EnvelopeView:
    """All that can be read of an envelope without a key.

    Attributes:
        message_id: 16 random bytes as hex.
        sender: such as `whatsapp:ana.1`.
        recipient: likewise.
        kind: "prekey", "signal" or "sender_key".
        envelope_bytes: size of the whole envelope.
        ciphertext_bytes: size of the Signal message in it.
        prekey: the wrapper of a prekey message; None in other messages.
        message: the public header; None in a message into a group, and when the Signal message
            does not decode.
        problem: why it does not decode, or None.
        sender_key: the public header of a message into a group; None in other messages.
    """

    message_id: str
    sender: str
    recipient: str
    kind: str
    envelope_bytes: int
    ciphertext_bytes: int
    prekey: PrekeyView | None = None
    message: MessageView | None = None
    problem: str | None = None
    sender_key: SenderKeyView | None = None


@dataclass(frozen=True, slots=True)
class CopiesView:
    """All that can be read without a key of a message to several devices.

    Attributes:
        kind: "copies".
        message_id: 16 random bytes as hex.
        sender: such as `whatsapp:ana.1`.
        recipients: likewise, at least 2: to one the bytes are an envelope.
        size_bytes: of the whole.
        ciphertext_bytes: size of the message in it.
        sender_key: its public header, or None when it does not decode.
        problem: why it does not decode, or None.
    """

    kind: str
    message_id: str
    sender: str
    recipients: tuple[str, ...]
    size_bytes: int
    ciphertext_bytes: int
    sender_key: SenderKeyView | None = None
    problem: str | None = None


def describe(data: bytes) -> EnvelopeView:
    """Read what is readable of an encoded envelope.

    Raises:
        DecodeError: not an envelope.
        UnsupportedVersion: an envelope of a later version.
    """
    envelope = Envelope.decode(data)
    prekey: PrekeyView | None = None
    message: MessageView | None = None
    sender_key: SenderKeyView | None = None
    problem: str | None = None
    try:
        if envelope.kind is MessageKind.PREKEY:
            wrapper = decode_prekey_signal_message(envelope.ciphertext, _VERSIONS)
            prekey, message = _describe_prekey(wrapper), _describe_message(wrapper.message)
        elif envelope.kind is MessageKind.SENDER_KEY:
            sender_key = _read_sender_key(envelope.ciphertext)
        else:
            message = _describe_message(decode_signal_message(envelope.ciphertext, _VERSIONS))
    except RemoteError as error:
        problem = str(error)
    return EnvelopeView(
        message_id=envelope.message_id.hex(),
        sender=str(envelope.sender),
        recipient=str(envelope.recipient),
        kind=envelope.kind.name.lower(),
        envelope_bytes=len(data),
        ciphertext_bytes=len(envelope.ciphertext),
        prekey=prekey,
        message=message,
        problem=problem,
        sender_key=sender_key,
    )


def describe_copies(data: bytes) -> CopiesView:
    """Read what is readable of a message to several devices.

    Raises:
        DecodeError: none.
        UnsupportedVersion: of a later version.
    """
    copies = EnvelopeCopies.decode(data)
    sender_key: SenderKeyView | None = None
    problem: str | None = None
    try:
        sender_key = _read_sender_key(copies.ciphertext)
    except RemoteError as error:
        problem = str(error)
    return CopiesView(
        kind="copies",
        message_id=copies.message_id.hex(),
        sender=str(copies.sender),
        recipients=tuple(str(each) for each in copies.recipients),
        size_bytes=len(data),
        ciphertext_bytes=len(copies.ciphertext),
        sender_key=sender_key,
        problem=problem,
    )


def _read_sender_key(ciphertext: bytes) -> SenderKeyView:
    return describe_header(decode_sender_key_message(SenderKeyForm.UUID, ciphertext))


def _describe_message(message: SignalMessage) -> MessageView:
    return MessageView(
        version=message.version.number,
        ratchet_key=message.ratchet_key.hex(),
        counter=message.counter,
        previous_counter=message.previous_counter,
        encrypted=message.ciphertext.hex(),
        encrypted_bytes=len(message.ciphertext),
        mac=message.mac.hex(),
        pq_ratchet=message.pq_ratchet.hex() or None,
        addresses=None if message.addresses is None else message.addresses.hex(),
    )


def _describe_prekey(wrapper: PreKeySignalMessage) -> PrekeyView:
    return PrekeyView(
        registration_id=wrapper.registration_id,
        signed_prekey_id=wrapper.signed_prekey_id,
        one_time_prekey_id=wrapper.one_time_prekey_id,
        base_key=wrapper.base_key.hex(),
        identity_key=wrapper.identity_key.hex(),
        kyber_prekey_id=None if wrapper.kyber is None else wrapper.kyber.prekey_id,
        kyber_ciphertext=None if wrapper.kyber is None else wrapper.kyber.ciphertext.hex(),
    )
