# SPDX-License-Identifier: Apache-2.0
"""What the two messages of sender keys say: what is sent under one, and what gives it to a device.

Rules:
- The chain key is never told: who has it reads all that follows.
- The form is told by who calls, as everywhere. No signature is checked: what has the key to check
  it under is the other message.
"""

from dataclasses import dataclass

from e2ecross.wire.sender_key_message import (
    SenderKeyForm,
    SenderKeyMessage,
    decode_distribution,
    decode_sender_key_message,
)

__all__ = [
    "DistributionView",
    "SenderKeyMessageView",
    "SenderKeyView",
    "describe_distribution",
    "describe_header",
    "describe_sender_key_message",
]


@dataclass(frozen=True, slots=True)
class SenderKeyView:
    """The public header of a message into a group, under its sender's key.

    Attributes:
        distribution_id: names the sender key, 16 bytes as hex; None in the form that has none.
        chain_id: likewise.
        iteration: the message's number under that key, from 0.
        encrypted: the encrypted body as hex: the padded payload with the content in it.
        encrypted_bytes: its size, a multiple of 16.
        signature: under the signing key of that sender key, 64 bytes as hex.
    """

    distribution_id: str | None
    chain_id: int
    iteration: int
    encrypted: str
    encrypted_bytes: int
    signature: str


@dataclass(frozen=True, slots=True)
class SenderKeyMessageView:
    """A message under a sender key, without an envelope.

    Attributes:
        kind: "sender_key_message".
        size_bytes: of the whole.
        form: "uuid" or "key id".
        sender_key: its public header.
    """

    kind: str
    size_bytes: int
    form: str
    sender_key: SenderKeyView


@dataclass(frozen=True, slots=True)
class DistributionView:
    """What gives a device a sender key, but for the chain key.

    Attributes:
        kind: "distribution".
        size_bytes: of the whole.
        form: "uuid" or "key id".
        distribution_id: names the key, 16 bytes as hex; None in the form that has none.
        chain_id: likewise.
        iteration: of the first message that can be read with it.
        signing_key: that messages under it are signed with, 33 bytes as hex.
    """

    kind: str
    size_bytes: int
    form: str
    distribution_id: str | None
    chain_id: int
    iteration: int
    signing_key: str


def describe_sender_key_message(form: SenderKeyForm, data: bytes) -> SenderKeyMessageView:
    """Read a message under a sender key, of that form.

    Raises:
        DecodeError: none.
        UnsupportedVersion: of another version than 3.
    """
    message = decode_sender_key_message(form, data)
    return SenderKeyMessageView(
        "sender_key_message", len(data), form.value, describe_header(message)
    )


def describe_distribution(form: SenderKeyForm, data: bytes) -> DistributionView:
    """Read what gives a device a sender key, of that form.

    Raises:
        DecodeError: none.
        UnsupportedVersion: of another version than 3.
        InvalidKey: with a signing key that is not acceptable.
    """
    key = decode_distribution(form, data)
    return DistributionView(
        kind="distribution",
        size_bytes=len(data),
        form=form.value,
        distribution_id=None if key.distribution_id is None else key.distribution_id.hex(),
        chain_id=key.chain_id,
        iteration=key.iteration,
        signing_key=key.signing_key.hex(),
    )


def describe_header(message: SenderKeyMessage) -> SenderKeyView:
    """Return the public header of a message under a sender key."""
    named = message.distribution_id
    return SenderKeyView(
        distribution_id=None if named is None else named.hex(),
        chain_id=message.chain_id,
        iteration=message.iteration,
        encrypted=message.ciphertext.hex(),
        encrypted_bytes=len(message.ciphertext),
        signature=message.signature.hex(),
    )
