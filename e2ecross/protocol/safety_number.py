# SPDX-License-Identifier: Apache-2.0
"""Safety numbers: how two people make sure that nobody stands between them.

Rules:
- Both ends compute the same 60 digits from both identity keys and both account ids.
- Comparison of scanned codes is in constant time.

Source: docs/wire-format.md, safety numbers (deployed Signal clients, scannable version 2).
"""

from dataclasses import dataclass
from typing import Final

from e2ecross.address import UserId
from e2ecross.arguments import require_whole_number
from e2ecross.crypto.kdf import is_equal, iterated_sha512
from e2ecross.crypto.keys import PublicKey
from e2ecross.errors import UnsupportedVersion
from e2ecross.wire.fingerprint import FINGERPRINT_BYTES, decode_fingerprints, encode_fingerprints

__all__ = ["SafetyNumber", "combine_fingerprints", "compute_fingerprint", "make_safety_number"]

_HASH_FORMAT: Final = b"\x00\x00"
_ITERATIONS: Final = 5200
_MIN_ITERATIONS: Final = 2  # the range that deployed clients accept
_MAX_ITERATIONS: Final = 1_000_000
_SCANNABLE_VERSION: Final = 2
_GROUP_BYTES: Final = 5
_GROUPS: Final = 6


@dataclass(frozen=True, slots=True)
class SafetyNumber:
    """What two people compare; public.

    Attributes:
        digits: 60 decimal digits, the same on both sides. Show them in groups of five.
        scannable: 74 bytes for a QR code; each side shows its own.
    """

    digits: str
    scannable: bytes

    def matches(self, scanned: bytes) -> bool:
        """Tell whether a scanned code is the other side's view of the same two identities.

        Args:
            scanned: the bytes of the code that the other person's device shows.

        Raises:
            DecodeError: the code is no safety number.
            UnsupportedVersion: the code has another version: one of the two apps is older.
        """
        theirs = decode_fingerprints(scanned)
        ours = decode_fingerprints(self.scannable)
        if theirs.version != ours.version:
            older = "their" if theirs.version < ours.version else "this"
            raise UnsupportedVersion(
                f"the scanned safety number has version {theirs.version}, ours {ours.version}: "
                f"{older} app is older"
            )
        # Both are evaluated, so that time does not tell which one differs.
        sent = is_equal(theirs.local, ours.remote)
        received = is_equal(theirs.remote, ours.local)
        return sent and received


def compute_fingerprint(
    identifier: bytes, identity_key: PublicKey, iterations: int = _ITERATIONS
) -> bytes:
    """Hash one party (64 bytes; takes milliseconds by design).

    Args:
        identifier: what names the party, any bytes.
        identity_key: 33 bytes.
        iterations: calls of SHA-512, 2 to 1,000,000.

    Raises:
        InvalidArgument: `iterations` is out of range.
    """
    require_whole_number("iterations", iterations, _MIN_ITERATIONS, _MAX_ITERATIONS)
    first = _HASH_FORMAT + identity_key + identifier + identity_key
    return iterated_sha512(first, identity_key, iterations)


def make_safety_number(
    local_user: UserId, local_key: PublicKey, remote_user: UserId, remote_key: PublicKey
) -> SafetyNumber:
    """Compute the safety number of two accounts; the identifier is ASCII `app:user`.

    Args:
        local_user: our account.
        local_key: our identity key, 33 bytes.
        remote_user: their account.
        remote_key: their identity key, 33 bytes.
    """
    return combine_fingerprints(
        compute_fingerprint(str(local_user).encode(), local_key),
        compute_fingerprint(str(remote_user).encode(), remote_key),
    )


def combine_fingerprints(
    local: bytes, remote: bytes, version: int = _SCANNABLE_VERSION
) -> SafetyNumber:
    """Make the two forms of a safety number from two fingerprints of 64 bytes."""
    digits = "".join(sorted((_digits(local), _digits(remote))))
    scannable = encode_fingerprints(version, local[:FINGERPRINT_BYTES], remote[:FINGERPRINT_BYTES])
    return SafetyNumber(digits, scannable)


def _digits(fingerprint: bytes) -> str:
    groups = (
        int.from_bytes(fingerprint[i * _GROUP_BYTES : (i + 1) * _GROUP_BYTES]) % 100_000
        for i in range(_GROUPS)
    )
    return "".join(f"{group:05d}" for group in groups)
