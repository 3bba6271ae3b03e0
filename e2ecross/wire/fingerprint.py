# SPDX-License-Identifier: Apache-2.0
"""The scannable form of a safety number: what a QR code carries.

Source: docs/wire-format.md, safety numbers.
"""

from typing import Final, NamedTuple

from e2ecross.errors import DecodeError
from e2ecross.wire._pb.signal import wire_pb2
from e2ecross.wire.encoding import parse

__all__ = ["FINGERPRINT_BYTES", "ScannedFingerprints", "decode_fingerprints", "encode_fingerprints"]

FINGERPRINT_BYTES: Final = 32
_MAX_BYTES: Final = 256  # 74 bytes are needed; QR readers may add fields that we ignore


class ScannedFingerprints(NamedTuple):
    """What a scannable safety number says.

    Attributes:
        version: of the scannable form.
        local: the fingerprint of whoever shows it, 32 bytes.
        remote: the fingerprint of whom they talk to, 32 bytes.
    """

    version: int
    local: bytes
    remote: bytes


def encode_fingerprints(version: int, local: bytes, remote: bytes) -> bytes:
    """Encode two fingerprints (32 bytes each)."""
    return wire_pb2.CombinedFingerprints(
        version=version,
        local_fingerprint=wire_pb2.LogicalFingerprint(content=local),
        remote_fingerprint=wire_pb2.LogicalFingerprint(content=remote),
    ).SerializeToString()


def decode_fingerprints(data: bytes) -> ScannedFingerprints:
    """Read what was scanned; an absent version counts as 0.

    Raises:
        DecodeError: malformed, or a fingerprint is missing or does not have 32 bytes.
    """
    fields = parse(wire_pb2.CombinedFingerprints, data, "a scanned safety number", _MAX_BYTES)
    local = fields.local_fingerprint.content
    remote = fields.remote_fingerprint.content
    if len(local) != FINGERPRINT_BYTES or len(remote) != FINGERPRINT_BYTES:
        raise DecodeError("a scanned safety number lacks a fingerprint")
    return ScannedFingerprints(fields.version, local, remote)
