# SPDX-License-Identifier: Apache-2.0
"""Signal's messages, versions 3 and 4: `SignalMessage` and `PreKeySignalMessage`.

Rules:
- The bytes that a MAC covers are kept as they arrived; nothing is re-encoded to authenticate it.
- As deployed peers do: unknown fields ignored, any order, the last of repeated fields counts.
- The version is the high half of the first byte; the low half (the highest version the sender
  knows) is not checked here, but the MAC covers it. Which versions are read, the caller says.
- The fields of version 4 are unknown to version 3: there they are ignored, and never written.
- Nothing in the wrapper of a prekey message is authenticated, its numbers least of all.

Source: docs/wire-format.md, Signal messages (the field numbers of deployed clients).
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final, NamedTuple

from e2ecross.arguments import require_bytes
from e2ecross.crypto.cipher import BLOCK_BYTES, MAC_BYTES
from e2ecross.crypto.kem import decode_kem_ciphertext
from e2ecross.crypto.keys import PublicKey, decode_public_key
from e2ecross.crypto.secret import new_tuple
from e2ecross.errors import DecodeError, UnsupportedVersion
from e2ecross.wire._pb.signal import wire_pb2
from e2ecross.wire.encoding import parse
from e2ecross.wire.limits import MAX_SIGNAL_MESSAGE_BYTES, MAX_UINT32

__all__ = [
    "VERSIONS",
    "VERSION_3",
    "VERSION_4",
    "KyberPrekeyUse",
    "MessageVersion",
    "PreKeySignalMessage",
    "SignalMessage",
    "decode_prekey_signal_message",
    "decode_signal_message",
    "encode_prekey_signal_message",
    "encode_signal_message_body",
    "is_canonical_prekey_signal_message",
]


@dataclass(frozen=True, slots=True)
class MessageVersion:
    """A version of Signal's messages.

    Attributes:
        number: the version.
        first_byte: of every message that we write, 1 byte: it says that we know no later one.
        is_post_quantum: whether its fields include those of the KEM and of SPQR.
    """

    number: int
    first_byte: bytes
    is_post_quantum: bool


VERSION_3: Final = MessageVersion(3, b"\x33", is_post_quantum=False)
VERSION_4: Final = MessageVersion(4, b"\x44", is_post_quantum=True)

VERSIONS: Final = (VERSION_4, VERSION_3)
"""All that there are, the newest first."""

_BY_FIRST_BYTE: Final = {version.first_byte: version for version in VERSIONS}


class SignalMessage(NamedTuple):
    """A decoded message of a session; not authenticated yet.

    Attributes:
        ratchet_key: the sender's ratchet key, 33 bytes.
        counter: the message's number in its chain, from 0.
        previous_counter: the last number of the sender's previous chain, or None if absent.
        ciphertext: a positive multiple of 16 bytes.
        authenticated: what the MAC covers besides the identity keys: the bytes as received.
        mac: 8 bytes.
        version: of the message.
        pq_ratchet: a message of the SPQR ratchet, empty if there is none.
        addresses: who sends to whom (`wire/service_id.py`), any length, or None if absent.
    """

    ratchet_key: PublicKey
    counter: int
    previous_counter: int | None
    ciphertext: bytes
    authenticated: bytes
    mac: bytes
    version: MessageVersion = VERSION_3
    pq_ratchet: bytes = b""
    addresses: bytes | None = None


@dataclass(frozen=True, slots=True)
class KyberPrekeyUse:
    """Which Kyber prekey a session began with, and what was encapsulated to it.

    Attributes:
        prekey_id: of the Kyber prekey.
        ciphertext: 1569 bytes.
    """

    prekey_id: int
    ciphertext: bytes


@dataclass(frozen=True, slots=True)
class PreKeySignalMessage:
    """A decoded first message of a session; not authenticated, except for `message` in the end.

    Attributes:
        registration_id: the sender's, 0 when absent. Never act on it.
        one_time_prekey_id: which one-time prekey was used, or None.
        signed_prekey_id: which signed prekey was used.
        base_key: the initiator's ephemeral key, 33 bytes; names the session.
        identity_key: the initiator's identity key, 33 bytes.
        message: the message itself, of the same version.
        kyber: which Kyber prekey was used; None in version 3.
    """

    registration_id: int
    one_time_prekey_id: int | None
    signed_prekey_id: int
    base_key: PublicKey
    identity_key: PublicKey
    message: SignalMessage
    kyber: KyberPrekeyUse | None = None


def encode_signal_message_body(
    ratchet_key: PublicKey,
    counter: int,
    previous_counter: int,
    ciphertext: bytes,
    version: MessageVersion = VERSION_3,
    pq_ratchet: bytes = b"",
    addresses: bytes | None = None,
) -> bytes:
    """Encode everything but the MAC: version byte and protobuf. The MAC (8 bytes) follows it.

    The last two belong to version 4: a message of SPQR, empty if there is none, and 36 bytes.
    """
    message = wire_pb2.SignalMessage(
        ratchet_key=ratchet_key,
        counter=counter,
        previous_counter=previous_counter,
        ciphertext=ciphertext,
        pq_ratchet=pq_ratchet or None,
        addresses=addresses,
    )
    return version.first_byte + message.SerializeToString()


def decode_signal_message(
    data: bytes, versions: Collection[MessageVersion] = (VERSION_3,)
) -> SignalMessage:
    """Read a message of a session (at most `MAX_SIGNAL_MESSAGE_BYTES`) of one of the versions.

    Raises:
        DecodeError: too short, too long, malformed, or a field is missing or out of range.
        UnsupportedVersion: of another version.
        InvalidKey: the ratchet key is not acceptable.
    """
    version = _check_start(data, "a Signal message", 1 + MAC_BYTES, versions)
    body, mac = data[:-MAC_BYTES], data[-MAC_BYTES:]
    fields = parse(wire_pb2.SignalMessage, body[1:], "a Signal message", MAX_SIGNAL_MESSAGE_BYTES)
    has = fields.HasField
    if not (has("ratchet_key") and has("counter") and has("ciphertext")):
        raise DecodeError("a Signal message lacks a field")
    counter, previous_counter = fields.counter, fields.previous_counter
    if counter > MAX_UINT32 or previous_counter > MAX_UINT32:
        raise DecodeError("a number in a Signal message has more than 32 bits")
    ciphertext = fields.ciphertext
    if not ciphertext or len(ciphertext) % BLOCK_BYTES:
        raise DecodeError("the ciphertext of a Signal message is not a positive multiple of 16")
    pq_ratchet, addresses = b"", None
    if version.is_post_quantum:
        pq_ratchet = fields.pq_ratchet
        addresses = fields.addresses if has("addresses") else None
    values = (
        decode_public_key(fields.ratchet_key),
        counter,
        previous_counter if has("previous_counter") else None,
        ciphertext,
        body,
        mac,
        version,
        pq_ratchet,
        addresses,
    )
    return new_tuple(SignalMessage, values)


def encode_prekey_signal_message(
    *,
    registration_id: int,
    one_time_prekey_id: int | None,
    signed_prekey_id: int,
    base_key: PublicKey,
    identity_key: PublicKey,
    message: bytes,
    version: MessageVersion = VERSION_3,
    kyber: KyberPrekeyUse | None = None,
) -> bytes:
    """Wrap an encoded `SignalMessage` for a peer who may not have the session yet.

    A message of version 4 needs `kyber`, one of version 3 has none.
    """
    fields = wire_pb2.PreKeySignalMessage(
        pre_key_id=one_time_prekey_id,
        base_key=base_key,
        identity_key=identity_key,
        message=message,
        registration_id=registration_id,
        signed_pre_key_id=signed_prekey_id,
    )
    if kyber is not None:
        fields.kyber_pre_key_id = kyber.prekey_id
        fields.kyber_ciphertext = kyber.ciphertext
    return version.first_byte + fields.SerializeToString()


def decode_prekey_signal_message(
    data: bytes, versions: Collection[MessageVersion] = (VERSION_3,)
) -> PreKeySignalMessage:
    """Read a first message (at most `MAX_SIGNAL_MESSAGE_BYTES`) of one of the versions.

    Raises:
        DecodeError: too short, too long, malformed, or a field is missing or out of range.
        UnsupportedVersion: of another version, or with a message of another version inside.
        InvalidKey: a key or a KEM ciphertext is not acceptable.
    """
    version = _check_start(data, "a prekey message", 1, versions)
    fields = parse(
        wire_pb2.PreKeySignalMessage, data[1:], "a prekey message", MAX_SIGNAL_MESSAGE_BYTES
    )
    if not (
        fields.HasField("base_key")
        and fields.HasField("identity_key")
        and fields.HasField("message")
        and fields.HasField("signed_pre_key_id")
    ):
        raise DecodeError("a prekey message lacks a field")
    _check_uint32(fields.pre_key_id, fields.registration_id, fields.signed_pre_key_id)
    return PreKeySignalMessage(
        registration_id=fields.registration_id,
        # 0 counts as absent: deployed peers write it when there was no one-time prekey.
        one_time_prekey_id=fields.pre_key_id or None,
        signed_prekey_id=fields.signed_pre_key_id,
        base_key=decode_public_key(fields.base_key),
        identity_key=decode_public_key(fields.identity_key),
        message=decode_signal_message(fields.message, (version,)),
        kyber=_decode_kyber(fields) if version.is_post_quantum else None,
    )


def _decode_kyber(fields: wire_pb2.PreKeySignalMessage) -> KyberPrekeyUse:
    if not (fields.HasField("kyber_pre_key_id") and fields.HasField("kyber_ciphertext")):
        raise DecodeError("a prekey message lacks a field")
    _check_uint32(fields.kyber_pre_key_id)
    return KyberPrekeyUse(fields.kyber_pre_key_id, decode_kem_ciphertext(fields.kyber_ciphertext))


def is_canonical_prekey_signal_message(data: bytes) -> bool:
    """Tell whether a well-formed wrapper is encoded as `encode_prekey_signal_message` does it.

    Nothing authenticates the wrapper, so whoever can say where it comes from holds it to this:
    our first byte, ascending fields, minimal numbers, nothing unknown, no 0 for "none".
    """
    version = _BY_FIRST_BYTE.get(data[:1])
    fields = wire_pb2.PreKeySignalMessage.FromString(data[1:])
    fields.DiscardUnknownFields()
    says_none = fields.HasField("pre_key_id") and not fields.pre_key_id
    if version is None or not fields.HasField("registration_id") or says_none:
        return False
    if not version.is_post_quantum:  # to that version these two are unknown
        fields.ClearField("kyber_pre_key_id")
        fields.ClearField("kyber_ciphertext")
    return version.first_byte + fields.SerializeToString() == data


def _check_start(
    data: bytes, what: str, at_least: int, versions: Collection[MessageVersion]
) -> MessageVersion:
    require_bytes("data", data)
    if not at_least <= len(data) <= MAX_SIGNAL_MESSAGE_BYTES:
        raise DecodeError(f"{what} cannot have {len(data)} bytes")
    number = data[0] >> 4
    for version in versions:
        if version.number == number:
            return version
    supported = " and ".join(str(version.number) for version in versions)
    raise UnsupportedVersion(
        f"Signal message version {number} is not supported here, only {supported}"
    )


def _check_uint32(*numbers: int) -> None:
    if max(numbers) > MAX_UINT32:
        raise DecodeError("a number in a Signal message has more than 32 bits")
