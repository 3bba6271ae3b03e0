# SPDX-License-Identifier: Apache-2.0
"""Padding that hides how long a payload is.

Rules:
- 0x80 and zeros, up to a bucket: 399, 479, ... 959 bytes, then Padmé lengths. Short texts,
  receipts and requests look alike; the cipher's own padding makes whole blocks of 80k-1 bytes; of
  a longer payload only O(log log n) bits of its length show, for at most 12 % more bytes.
- A writer takes the least bucket that holds the payload; for copies of one message for several
  devices the least that holds each of them, so that they have one length. A reader takes any.

Source: Padmé is from "Reducing Metadata Leakage from Encrypted Files and Communication with
PURBs" (Nikitin et al., PETS 2019), section 4.
"""

from typing import Final

from e2ecross.errors import DecodeError
from e2ecross.wire.limits import MAX_PLAINTEXT_BYTES

__all__ = ["pad", "padded_length", "unpad"]

_STEP: Final = 80
_SMALLEST: Final = 5 * _STEP - 1
_LARGEST_STEPPED: Final = 12 * _STEP - 1
_MARK: Final = b"\x80"


def padded_length(length: int) -> int:
    """The length in bytes to which a payload of `length` bytes is padded; always longer."""
    return _bucket(length + len(_MARK))


def pad(payload: bytes, least: int = 0) -> bytes:
    """Pad a payload to `padded_length`: its own, or that of `least` bytes where these are more."""
    return (payload + _MARK).ljust(padded_length(max(len(payload), least)), b"\0")


def unpad(padded: bytes) -> bytes:
    """Remove the padding, up to whichever bucket it goes.

    Raises:
        DecodeError: it is no padding, or longer than any plaintext.
    """
    size = len(padded)
    if size > MAX_PLAINTEXT_BYTES:
        raise DecodeError(
            f"a payload has {size} bytes with its padding, of at most {MAX_PLAINTEXT_BYTES}"
        )
    payload, mark, zeros = padded.rpartition(_MARK)
    if not mark or zeros.strip(b"\0") or size != _bucket(size):
        raise DecodeError("a payload is not padded as it should be")
    return payload


def _bucket(least: int) -> int:
    """The smallest bucket of at least so many bytes."""
    if least <= _LARGEST_STEPPED:
        return max(_SMALLEST, (least // _STEP + 1) * _STEP - 1)
    exponent = least.bit_length() - 1
    zero_bits = exponent - exponent.bit_length()
    return (least + (1 << zero_bits) - 1) >> zero_bits << zero_bits
