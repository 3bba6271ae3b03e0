# SPDX-License-Identifier: Apache-2.0
"""Padding that hides how long a payload is.

Rules:
- 0x80 and zeros, to 80k-1 bytes (79, 159, ... 959) up to 1 KiB: with the cipher's own padding
  that fills whole blocks. Above, to the next Padmé length: at most 12 % more, and only
  O(log log n) bits of the length show.
- One padding for each payload: anything else is refused.

Source: Padmé is from "Reducing Metadata Leakage from Encrypted Files and Communication with
PURBs" (Nikitin et al., PETS 2019), section 4.
"""

from typing import Final

from e2ecross.errors import DecodeError

__all__ = ["pad", "padded_length", "unpad"]

_STEP: Final = 80
_LARGEST_STEPPED: Final = 1024 // _STEP * _STEP - 1
_MARK: Final = b"\x80"


def padded_length(length: int) -> int:
    """The length in bytes to which a payload of `length` bytes is padded; always longer."""
    minimum = length + len(_MARK)
    if minimum <= _LARGEST_STEPPED:
        return (minimum // _STEP + 1) * _STEP - 1
    exponent = minimum.bit_length() - 1
    zero_bits = exponent - exponent.bit_length()
    return (minimum + (1 << zero_bits) - 1) >> zero_bits << zero_bits


def pad(payload: bytes) -> bytes:
    """Pad a payload to `padded_length`."""
    return (payload + _MARK).ljust(padded_length(len(payload)), b"\0")


def unpad(padded: bytes) -> bytes:
    """Remove the padding.

    Raises:
        DecodeError: it is not the padding that `pad` makes.
    """
    payload, mark, zeros = padded.rpartition(_MARK)
    if not mark or zeros.strip(b"\0") or len(padded) != padded_length(len(payload)):
        raise DecodeError("a payload is not padded as it should be")
    return payload
