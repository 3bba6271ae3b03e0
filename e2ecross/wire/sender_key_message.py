# SPDX-License-Identifier: Apache-2.0
"""The two messages of sender keys: what gives a group a key, and what is sent under it.

Rules:
- There are two forms, one that names its key by the 16 bytes of a distribution id (libsignal,
  groups of ours), and one that has nothing but a chain id (clients of the WhatsApp type). The
  caller says which it is; it is never told from the bytes.
- The bytes that a signature covers are kept as they arrived; nothing is re-encoded to check it.
- As deployed peers do: unknown fields ignored (the signature covers them), any order, the last of
  repeated fields counts, the low half of the first byte not checked. Every known field is demanded.

Source: docs/wire-format.md, sender keys.
"""

import enum
from typing import Any, Final, NamedTuple

from e2ecross.arguments import require_bytes
from e2ecross.crypto.kdf import KEY_BYTES, ChainKey
from e2ecross.crypto.keys import PublicKey, decode_public_key
from e2ecross.crypto.secret import SecretTuple, new_tuple
from e2ecross.crypto.xeddsa import SIGNATURE_BYTES
from e2ecross.errors import DecodeError, UnsupportedVersion
from e2ecross.wire._pb.signal import wire_pb2
from e2ecross.wire.encoding import parse
from e2ecross.wire.limits import MAX_DISTRIBUTION_BYTES, MAX_SIGNAL_MESSAGE_BYTES, MAX_UINT32

__all__ = [
    "DISTRIBUTION_ID_BYTES",
    "Distribution",
    "SenderKeyForm",
    "SenderKeyMessage",
    "decode_distribution",
    "decode_sender_key_message",
    "encode_distribution",
    "encode_sender_key_message_body",
]

DISTRIBUTION_ID_BYTES: Final = 16

_FIRST_BYTE: Final = b"\x33"
_VERSION: Final = 3
_SHORTEST_BYTES: Final = 1 + SIGNATURE_BYTES
_OF_A_DISTRIBUTION: Final = ("chain_id", "iteration", "chain_key", "signing_key")
_OF_A_MESSAGE: Final = ("chain_id", "iteration", "ciphertext")


class SenderKeyForm(enum.Enum):
    """How the messages of a sender key say which key it is."""

    UUID = "uuid"
    """By a distribution id, 16 bytes, and a chain id."""
    KEY_ID = "key id"
    """By a chain id alone: which group it is, the caller knows."""


class _DistributionFields(NamedTuple):
    distribution_id: bytes | None
    chain_id: int
    iteration: int
    chain_key: ChainKey
    signing_key: PublicKey


class Distribution(SecretTuple, _DistributionFields):
    """A sender key as its sender hands it out. Nothing in it says who that is.

    Attributes:
        distribution_id: 16 bytes, or None in the form that has none.
        chain_id: of the key, 0 to 2^32-1.
        iteration: of the first message that can be read with it, 0 to 2^32-1.
        chain_key: at that iteration, 32 bytes, secret.
        signing_key: that messages are signed with, 33 bytes.
    """

    __slots__ = ()


class SenderKeyMessage(NamedTuple):
    """A decoded message to a group; not authenticated yet.

    Attributes:
        distribution_id: 16 bytes, or None in the form that has none.
        chain_id: of the sender key, 0 to 2^32-1.
        iteration: the message's number under that key, from 0 to 2^32-1.
        ciphertext: any length.
        signed: what the signature covers: the bytes as received.
        signature: 64 bytes.
    """

    distribution_id: bytes | None
    chain_id: int
    iteration: int
    ciphertext: bytes
    signed: bytes
    signature: bytes


def encode_distribution(distribution: Distribution) -> bytes:
    """Encode a sender key for the devices of a group: secret, for pairwise sessions alone.

    The form is that with a distribution id if there is one.
    """
    fields: Any
    if distribution.distribution_id is None:
        fields = wire_pb2.KeyIdDistributionMessage()
    else:
        fields = wire_pb2.SenderKeyDistributionMessage(distribution_id=distribution.distribution_id)
    fields.chain_id = distribution.chain_id
    fields.iteration = distribution.iteration
    fields.chain_key = distribution.chain_key
    fields.signing_key = distribution.signing_key
    return _FIRST_BYTE + bytes(fields.SerializeToString())


def decode_distribution(form: SenderKeyForm, data: bytes) -> Distribution:
    """Read a distribution message (65 to 256 bytes) of that form.

    Raises:
        DecodeError: too short, too long, malformed, or a field is missing, too long or too high;
            so are the bytes of the other form.
        UnsupportedVersion: of another version than 3.
        InvalidKey: the signing key is malformed, not canonical, or of low order.
    """
    what = "a distribution message"
    _check_start(data, what, MAX_DISTRIBUTION_BYTES)
    kind = (
        wire_pb2.SenderKeyDistributionMessage
        if form is SenderKeyForm.UUID
        else wire_pb2.KeyIdDistributionMessage
    )
    fields: Any = parse(kind, data[1:], what, MAX_DISTRIBUTION_BYTES)
    distribution_id = _check_fields(form, fields, what, _OF_A_DISTRIBUTION)
    if len(fields.chain_key) != KEY_BYTES:
        raise DecodeError(f"the chain key of {what} has not {KEY_BYTES} bytes")
    chain_key, signing_key = ChainKey(fields.chain_key), decode_public_key(fields.signing_key)
    values = (distribution_id, fields.chain_id, fields.iteration, chain_key, signing_key)
    return new_tuple(Distribution, values)


def encode_sender_key_message_body(
    distribution_id: bytes | None, chain_id: int, iteration: int, ciphertext: bytes
) -> bytes:
    """Encode everything but the signature (64 bytes), which covers it all and follows it.

    The form is that with a distribution id (16 bytes) if there is one.
    """
    fields: Any
    if distribution_id is None:
        fields = wire_pb2.KeyIdMessage()
    else:
        fields = wire_pb2.SenderKeyMessage(distribution_id=distribution_id)
    fields.chain_id = chain_id
    fields.iteration = iteration
    fields.ciphertext = ciphertext
    return _FIRST_BYTE + bytes(fields.SerializeToString())


def decode_sender_key_message(form: SenderKeyForm, data: bytes) -> SenderKeyMessage:
    """Read a message to a group (65 to `MAX_SIGNAL_MESSAGE_BYTES` bytes) of that form.

    Raises:
        DecodeError: too short, too long, malformed, or a field is missing, too long or too high;
            so are the bytes of the other form.
        UnsupportedVersion: of another version than 3.
    """
    what = "a sender-key message"
    _check_start(data, what, MAX_SIGNAL_MESSAGE_BYTES)
    kind = wire_pb2.SenderKeyMessage if form is SenderKeyForm.UUID else wire_pb2.KeyIdMessage
    signed, signature = data[:-SIGNATURE_BYTES], data[-SIGNATURE_BYTES:]
    fields: Any = parse(kind, signed[1:], what, MAX_SIGNAL_MESSAGE_BYTES)
    distribution_id = _check_fields(form, fields, what, _OF_A_MESSAGE)
    return SenderKeyMessage(
        distribution_id, fields.chain_id, fields.iteration, fields.ciphertext, signed, signature
    )


def _check_start(data: bytes, what: str, at_most: int) -> None:
    require_bytes("data", data)
    if not _SHORTEST_BYTES <= len(data) <= at_most:
        raise DecodeError(f"{what} cannot have {len(data)} bytes")
    version = data[0] >> 4
    if version != _VERSION:
        raise UnsupportedVersion(f"{what} has version {version}, only {_VERSION} is supported")


def _check_fields(
    form: SenderKeyForm,
    fields: Any,  # noqa: ANN401 - one of four generated classes
    what: str,
    names: tuple[str, ...],
) -> bytes | None:
    """Check that all fields are there, the numbers, and the distribution id; returns that."""
    if not all(map(fields.HasField, names)):
        raise DecodeError(f"{what} lacks a field")
    if max(fields.chain_id, fields.iteration) > MAX_UINT32:
        raise DecodeError(f"a number in {what} has more than 32 bits")
    if form is SenderKeyForm.KEY_ID:
        return None
    distribution_id: bytes = fields.distribution_id  # empty where it is missing
    if len(distribution_id) != DISTRIBUTION_ID_BYTES:
        raise DecodeError(f"the distribution id of {what} has not {DISTRIBUTION_ID_BYTES} bytes")
    return distribution_id
