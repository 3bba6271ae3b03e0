# SPDX-License-Identifier: Apache-2.0
"""Signal's messages, version 3: `SignalMessage` and `PreKeySignalMessage`.

Rules:
- The bytes that a MAC covers are kept as they arrived; nothing is re-encoded to authenticate it.
- As deployed peers do: unknown fields ignored, any order, the last of repeated fields counts.
- The version is the high half of the first byte and must be 3; the low half (the highest version
  the sender knows) is not checked here, but the MAC covers it.
- Nothing in the wrapper of a prekey message is authenticated, its numbers least of all.

Source: docs/wire-format.md, Signal messages (the field numbers of deployed clients).
"""

from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.crypto.cipher import BLOCK_BYTES, MAC_BYTES
from e2ecross.crypto.keys import PublicKey, decode_public_key
from e2ecross.errors import DecodeError, UnsupportedVersion
from e2ecross.wire._pb.signal import wire_pb2
from e2ecross.wire.arguments import require_bytes
from e2ecross.wire.encoding import parse
from e2ecross.wire.limits import MAX_SIGNAL_MESSAGE_BYTES, MAX_UINT32

__all__ = [
    "MESSAGE_VERSION",
    "PreKeySignalMessage",
    "SignalMessage",
    "decode_prekey_signal_message",
    "decode_signal_message",
    "encode_prekey_signal_message",
    "encode_signal_message_body",
    "is_canonical_prekey_signal_message",
]

MESSAGE_VERSION: Final = 3
_VERSION_BYTE: Final = bytes(((MESSAGE_VERSION << 4) | MESSAGE_VERSION,))


class SignalMessage(NamedTuple):
    """A decoded message of a session; not authenticated yet.

    Attributes:
        ratchet_key: the sender's ratchet key, 33 bytes.
        counter: the message's number in its chain, from 0.
        previous_counter: the last number of the sender's previous chain, or None if absent.
        ciphertext: a positive multiple of 16 bytes.
        authenticated: what the MAC covers besides the identity keys: the bytes as received.
        mac: 8 bytes.
    """

    ratchet_key: PublicKey
    counter: int
    previous_counter: int | None
    ciphertext: bytes
    authenticated: bytes
    mac: bytes


@dataclass(frozen=True, slots=True)
class PreKeySignalMessage:
    """A decoded first message of a session; not authenticated, except for `message` in the end.

    Attributes:
        registration_id: the sender's, 0 when absent. Never act on it.
        one_time_prekey_id: which one-time prekey was used, or None.
        signed_prekey_id: which signed prekey was used.
        base_key: the initiator's ephemeral key, 33 bytes; names the session.
        identity_key: the initiator's identity key, 33 bytes.
        message: the message itself.
    """

    registration_id: int
    one_time_prekey_id: int | None
    signed_prekey_id: int
    base_key: PublicKey
    identity_key: PublicKey
    message: SignalMessage


def encode_signal_message_body(
    ratchet_key: PublicKey, counter: int, previous_counter: int, ciphertext: bytes
) -> bytes:
    """Encode everything but the MAC: version byte and protobuf. The MAC (8 bytes) follows it."""
    message = wire_pb2.SignalMessage(
        ratchet_key=ratchet_key,
        counter=counter,
        previous_counter=previous_counter,
        ciphertext=ciphertext,
    )
    return _VERSION_BYTE + message.SerializeToString()


def decode_signal_message(data: bytes) -> SignalMessage:
    """Read a message of a session (at most 98,816 bytes).

    Raises:
        DecodeError: too short, too long, malformed, or a field is missing or out of range.
        UnsupportedVersion: not message version 3.
        InvalidKey: the ratchet key is not acceptable.
    """
    _check_start(data, "a Signal message", at_least=1 + MAC_BYTES)
    body, mac = data[:-MAC_BYTES], data[-MAC_BYTES:]
    fields = parse(wire_pb2.SignalMessage(), body[1:], "a Signal message", MAX_SIGNAL_MESSAGE_BYTES)
    has = fields.HasField
    if not (has("ratchet_key") and has("counter") and has("ciphertext")):
        raise DecodeError("a Signal message lacks a field")
    counter, previous_counter = fields.counter, fields.previous_counter
    if counter > MAX_UINT32 or previous_counter > MAX_UINT32:
        raise DecodeError("a number in a Signal message has more than 32 bits")
    ciphertext = fields.ciphertext
    if not ciphertext or len(ciphertext) % BLOCK_BYTES:
        raise DecodeError("the ciphertext of a Signal message is not a positive multiple of 16")
    return SignalMessage(
        decode_public_key(fields.ratchet_key),
        counter,
        previous_counter if has("previous_counter") else None,
        ciphertext,
        body,
        mac,
    )


def encode_prekey_signal_message(
    *,
    registration_id: int,
    one_time_prekey_id: int | None,
    signed_prekey_id: int,
    base_key: PublicKey,
    identity_key: PublicKey,
    message: bytes,
) -> bytes:
    """Wrap an encoded `SignalMessage` for a peer who may not have the session yet."""
    fields = wire_pb2.PreKeySignalMessage(
        pre_key_id=one_time_prekey_id,
        base_key=base_key,
        identity_key=identity_key,
        message=message,
        registration_id=registration_id,
        signed_pre_key_id=signed_prekey_id,
    )
    return _VERSION_BYTE + fields.SerializeToString()


def decode_prekey_signal_message(data: bytes) -> PreKeySignalMessage:
    """Read a first message of a session (at most 98,816 bytes).

    Raises:
        DecodeError: too short, too long, malformed, or a field is missing or out of range.
        UnsupportedVersion: not message version 3.
        InvalidKey: a key is not acceptable.
    """
    _check_start(data, "a prekey message", at_least=1)
    fields = parse(
        wire_pb2.PreKeySignalMessage(), data[1:], "a prekey message", MAX_SIGNAL_MESSAGE_BYTES
    )
    if not (
        fields.HasField("base_key")
        and fields.HasField("identity_key")
        and fields.HasField("message")
        and fields.HasField("signed_pre_key_id")
    ):
        raise DecodeError("a prekey message lacks a field")
    if max(fields.pre_key_id, fields.registration_id, fields.signed_pre_key_id) > MAX_UINT32:
        raise DecodeError("a number in a Signal message has more than 32 bits")
    return PreKeySignalMessage(
        registration_id=fields.registration_id,
        # 0 counts as absent: deployed peers write it when there was no one-time prekey.
        one_time_prekey_id=fields.pre_key_id or None,
        signed_prekey_id=fields.signed_pre_key_id,
        base_key=decode_public_key(fields.base_key),
        identity_key=decode_public_key(fields.identity_key),
        message=decode_signal_message(fields.message),
    )


def is_canonical_prekey_signal_message(data: bytes) -> bool:
    """Tell whether a well-formed wrapper is encoded as `encode_prekey_signal_message` does it.

    Nothing authenticates the wrapper, so whoever can say where it comes from holds it to this:
    first byte 0x33, ascending fields, minimal numbers, nothing unknown, no 0 for "none".
    """
    fields = wire_pb2.PreKeySignalMessage.FromString(data[1:])
    fields.DiscardUnknownFields()
    says_none = fields.HasField("pre_key_id") and not fields.pre_key_id
    complete = fields.HasField("registration_id") and not says_none
    return complete and _VERSION_BYTE + fields.SerializeToString() == data


def _check_start(data: bytes, what: str, at_least: int) -> None:
    require_bytes("data", data)
    if not at_least <= len(data) <= MAX_SIGNAL_MESSAGE_BYTES:
        raise DecodeError(f"{what} cannot have {len(data)} bytes")
    version = data[0] >> 4
    if version != MESSAGE_VERSION:
        raise UnsupportedVersion(f"Signal message version {version} is not supported, only 3 is")
