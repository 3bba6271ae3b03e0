# SPDX-License-Identifier: Apache-2.0
"""What callers hand in for calls about many at once, checked: all of it, before anything is done.

Rules:
- What no back end may take is a mistake of the caller: `InvalidArgument`, and nothing was done.
- What another back end may take, and this one does not, is `BackendRefused`.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from e2ecross.arguments import require_bytes, require_list, require_type, require_whole_number
from e2ecross.errors import BackendRefused, InvalidArgument
from e2ecross.relay.rows import MAX_NUMBER
from e2ecross.wire.exchange import MAX_DEPOSIT_BYTES, MAX_IN_CALL, KeysWanted
from e2ecross.wire.limits import TOKEN_BYTES

__all__ = [
    "require_consents",
    "require_envelopes",
    "require_numbers",
    "require_replaced_token",
    "require_told",
    "require_waiting",
    "require_wanted",
]

_MAX_CREDENTIAL_BYTES: Final = 4_096
_MAX_WAIT_MS: Final = 30_000
_MAX_HOLD_MS: Final = 600_000
_HOLDER_BYTES: Final = 16
_CONSENT_BYTES: Final = 32


def require_replaced_token(replaces: bytes, credential: bytes) -> None:
    """Check what comes with a registration beside the token."""
    require_bytes("replaces", replaces)
    if replaces:
        require_bytes("replaces", replaces, TOKEN_BYTES)
    require_bytes("credential", credential)
    if len(credential) > _MAX_CREDENTIAL_BYTES:
        raise InvalidArgument(f"credential must have at most {_MAX_CREDENTIAL_BYTES} bytes")


def require_wanted(wanted: Sequence[KeysWanted]) -> list[KeysWanted]:
    """Return whose keys are wanted: of 1 to 1,024 users."""
    asked = require_list("wanted", wanted)
    require_whole_number("the length of wanted", len(asked), 1, MAX_IN_CALL)
    for keys in asked:
        require_type("an element of wanted", keys, KeysWanted)
    return asked


def require_envelopes(envelopes: Sequence[bytes]) -> list[bytes]:
    """Return what is deposited: 1 to 1,024 envelopes, at most 4,194,304 bytes together."""
    listed = require_list("envelopes", envelopes)
    require_whole_number("the length of envelopes", len(listed), 1, MAX_IN_CALL)
    for envelope in listed:
        require_bytes("an element of envelopes", envelope)
    require_whole_number("the size of envelopes", sum(map(len, listed)), 0, MAX_DEPOSIT_BYTES)
    return listed


def require_told(epochs: Mapping[int, int] | None) -> int:
    """Return the epoch that is told of stripe 0, 0 if none.

    Raises:
        InvalidArgument: these are no epochs.
        BackendRefused: one is of another stripe, which only fleets have.
    """
    if epochs is None:
        return 0
    require_type("epochs", epochs, Mapping)
    for stripe, epoch in epochs.items():
        require_whole_number("epochs", stripe)
        require_whole_number("epochs", epoch, 0, MAX_NUMBER)
        if stripe:
            raise BackendRefused("this back end knows no fleets: tell the epoch of stripe 0 alone")
    return epochs.get(0, 0)


def require_consents(consents: Sequence[bytes], envelopes: int) -> None:
    """Check tokens of consent: none, or one for each envelope, empty or of 32 bytes."""
    listed = require_list("consents", consents)
    if len(listed) not in (0, envelopes):
        raise InvalidArgument("consents must be none, or one for each envelope")
    for consent in listed:
        require_bytes("consents", consent)
        if len(consent) not in (0, _CONSENT_BYTES):
            raise InvalidArgument(f"consents must be empty or have {_CONSENT_BYTES} bytes each")


def require_waiting(wait_ms: int, hold_ms: int, holder: bytes) -> None:
    """Check how long a fetch may wait, and for how long and whom it is to hold what it returns."""
    require_whole_number("wait_ms", wait_ms, 0, _MAX_WAIT_MS)
    require_whole_number("hold_ms", hold_ms, 0, _MAX_HOLD_MS)
    require_bytes("holder", holder, _HOLDER_BYTES if hold_ms else 0)


def require_numbers(numbers: Sequence[int]) -> list[int]:
    """Return those that can be numbers of envelopes."""
    require_type("numbers", numbers, Sequence)
    is_text = isinstance(numbers, bytes | bytearray | str)
    if is_text or not all(type(number) is int for number in numbers):
        raise InvalidArgument("numbers must be a list of whole numbers")
    return [number for number in numbers if 0 < number <= MAX_NUMBER]
